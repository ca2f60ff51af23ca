//! What streamed chats cost, whatever callers and providers say about usage.

use serde_json::{Value, json};

use crate::fake::{Ask, Fake, Reply};
use crate::lab::{CHAT, post, streamed};
use crate::support::{Gateway, client, json as read};

/// Forty pieces of a token each, and the usage of a hundred and forty tokens where it is asked for.
fn script(_: &str, ask: &Ask, _: usize) -> Reply {
    let pieces = || (0..40).map(|_| "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"usage\":null}\n\n");
    let usage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":40}}\n\n";
    let asked = ask.body["stream_options"]["include_usage"] == true;
    let refusal = |words: &str| Reply::Json(400, json!({"error": {"message": words, "type": "invalid_request_error"}}));
    match ask.body["model"].as_str().unwrap() {
        "strict" if ask.body.get("stream_options").is_some() => {
            refusal("Unrecognized request argument: stream_options")
        }
        "wordless" if ask.body.get("stream_options").is_some() => refusal("extra inputs are not permitted"),
        "bad" => refusal("bad prompt"),
        "told" if asked => stream(pieces().chain([usage, "data: [DONE]\n\n"])),
        _ => stream(pieces().chain(["data: [DONE]\n\n"])),
    }
}

fn stream(events: impl Iterator<Item = &'static str>) -> Reply {
    Reply::Text("text/event-stream", Box::leak(events.collect::<String>().into_boxed_str()))
}

async fn start(budget: f64) -> (Fake, Gateway) {
    let fake = Fake::start(script).await;
    let mut config = format!(
        "[tiers.t]\nbudget = {{ dollars_per_day = {budget} }}\n[defaults]\ntier = \"t\"\n\
         [providers.lab]\nkind = \"openai\"\nbase_url = \"{}/v1\"\n",
        fake.url
    );
    for model in ["told", "silent", "strict", "wordless", "bad"] {
        config += &format!(
            "[models.{model}]\nroutes = [{{ provider = \"lab\" }}]\nwindow = {{ initial = 64, min = 64, max = 64 }}\n\
             price = {{ input_per_million = 1000, output_per_million = 10000 }}\n"
        );
    }
    let gateway = Gateway::start("", &config);
    (fake, gateway)
}

async fn spent(gateway: &Gateway, model: &str, tenant: &str) -> f64 {
    gateway.at_rest(model).await;
    let request = client().get(format!("{}/v1/capacity/{model}", gateway.public)).header("x-fairflow-tenant", tenant);
    let told = read(request.send().await.unwrap()).await;
    told["models"][0]["you"]["budget"]["spent"].as_f64().unwrap()
}

/// A chat of a token or two that asks for at most forty.
fn ask(model: &str) -> Value {
    let mut chat = streamed(model);
    chat["max_tokens"] = 40.into();
    chat
}

#[tokio::test]
async fn a_stream_costs_what_it_used_though_nobody_asked_for_its_usage() {
    let (fake, gateway) = start(100.0).await;
    let text = post(&gateway, CHAT, &ask("told"), &[("x-fairflow-tenant", "told")]).await.text().await.unwrap();
    assert_eq!((text.matches("\"content\":\"a\"").count(), text.contains("prompt_tokens")), (40, false), "{text}");
    assert!(text.ends_with("data: [DONE]\n\n"));
    assert!((spent(&gateway, "told", "told").await - 0.5).abs() < 1e-9, "a hundred tokens in, forty out");

    let mut wanted = ask("told");
    wanted["stream_options"] = json!({"include_usage": true});
    let text = post(&gateway, CHAT, &wanted, &[]).await.text().await.unwrap();
    assert!(text.contains("\"prompt_tokens\":100"), "who asks is told: {text}");
    assert_eq!(fake.asks()[1].body, wanted, "and sent on as it came");

    // Who does not tell is counted; who refuses the question is not asked again.
    for (model, asks) in [("silent", 2), ("strict", 3), ("wordless", 3)] {
        let before = fake.asks().len();
        for _ in 0..2 {
            let text = post(&gateway, CHAT, &ask(model), &[("x-fairflow-tenant", model)]).await.text().await.unwrap();
            assert_eq!(text.matches("\"content\":\"a\"").count(), 40, "{model}: {text}");
        }
        assert_eq!(fake.asks().len() - before, asks, "{model}");
        let spent = spent(&gateway, model, model).await;
        assert!((0.8..0.83).contains(&spent), "{model}: twice forty tokens, and some input: {spent}");
    }
    let page = client().get(format!("{}/metrics", gateway.admin)).send().await.unwrap().text().await.unwrap();
    let estimated = |model: &str| {
        let name = format!("fairflow_estimated_dollars_total{{model=\"{model}\"}} ");
        let line = page.lines().find_map(|line| line.strip_prefix(&name)).unwrap_or_else(|| panic!("{name}in {page}"));
        line.parse::<f64>().unwrap()
    };
    assert!(estimated("told") == 0.0 && estimated("silent") > 0.8, "{page}");

    let refused = post(&gateway, CHAT, &ask("bad"), &[]).await;
    assert_eq!((refused.status().as_u16(), &read(refused).await["error"]["message"]), (400, &json!("bad prompt")));
}

#[tokio::test]
async fn sixty_streams_at_once_after_a_start_do_not_pass_a_budget() {
    // Each costs about 0.4 dollars, so that five fit.
    let (_fake, gateway) = start(2.0).await;
    let calls = (0..60).map(|_| async {
        let answer = post(&gateway, CHAT, &ask("silent"), &[("x-fairflow-tenant", "a")]).await;
        let status = answer.status().as_u16();
        answer.text().await.unwrap();
        status
    });
    let statuses = futures_util::future::join_all(calls).await;
    let spent = spent(&gateway, "silent", "a").await;
    assert!((1.9..2.5).contains(&spent), "one more than fits at most: {spent}");
    assert!(statuses.iter().all(|status| [200, 429].contains(status)), "{statuses:?}");
}
