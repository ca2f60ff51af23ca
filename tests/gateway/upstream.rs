//! What passes between callers and a provider beside the bodies: headers, names of requests, and never our key.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use crate::lab::{CHAT, Lab, chat, post, streamed};
use crate::support::{Gateway, client, found, json as read};

const KEY: &str = "sk-ours-0123456789abcdef";

/// A gateway with a keyed account at the lab; `account` goes into it, `rest` behind it.
fn gateway(lab: &Lab, account: &str, rest: &str) -> Gateway {
    let models = ["told", "leak"]
        .map(|name| format!("[models.{name}]\nroutes = [{{ provider = \"lab\" }}]\nretry = {{ max_attempts = 1 }}\n"));
    let base = format!(
        "[providers.lab]\nkind = \"openai\"\nbase_url = \"http://127.0.0.1:{}/v1\"\napi_key = {{ value = \"{KEY}\" }}\n",
        lab.port
    );
    Gateway::start("", &[base, account.to_owned() + "\n", models.concat(), rest.to_owned()].concat())
}

/// Returns the headers that the lab was sent with a request.
async fn sent(gateway: &Gateway, headers: &[(&str, &str)]) -> Value {
    let answer = read(post(gateway, CHAT, &chat("told"), headers).await).await;
    answer["choices"][0]["message"]["content"].clone()
}

#[tokio::test]
async fn a_provider_is_told_who_asks() {
    let lab = Lab::start();
    let plain = gateway(&lab, "", "");
    let seen = sent(&plain, &[("user-agent", "a-tenant/1")]).await;
    assert_eq!(seen["user-agent"], format!("fairflow/{}", env!("CARGO_PKG_VERSION")));
    let own = "user_agent = \"mine/2\"\nheaders = { X-Title = \"fair\", openai-organization = \"org-ours\" }";
    let set = gateway(&lab, own, "");
    let theirs = [
        ("openai-organization", "org-theirs"),
        ("openai-project", "proj-theirs"),
        ("OpenAI-Beta", "assistants=v2"),
        ("x-title", "theirs"),
        ("authorization", "Bearer theirs"),
    ];
    let seen = sent(&set, &theirs).await;
    assert_eq!((&seen["user-agent"], &seen["x-title"]), (&json!("mine/2"), &json!("fair")));
    assert_eq!(seen["openai-organization"], "org-ours", "what the configuration sets is not a caller's to change");
    assert_eq!((&seen["openai-project"], &seen["openai-beta"]), (&json!("proj-theirs"), &json!("assistants=v2")));
    // Ours, not the caller's: it is cut out of what comes back.
    assert_eq!(seen["authorization"], "Bearer [redacted]");
    assert_eq!(sent(&plain, &theirs[..1]).await["openai-organization"], "org-theirs");
}

#[tokio::test]
async fn a_provider_s_name_for_a_request_is_shown() {
    let lab = Lab::start();
    let gateway = gateway(&lab, "", "");
    let answer = post(&gateway, CHAT, &chat("told"), &[("x-request-id", "ours")]).await;
    let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    assert_eq!((header("x-request-id"), header("x-fairflow-upstream-id")), ("ours".into(), "req_42".into()));
    assert_eq!(header("openai-processing-ms"), "7");
    let refused = post(&gateway, CHAT, &chat("leak"), &[]).await;
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["x-fairflow-upstream-id"]),
        (400, &"req_43".parse().unwrap())
    );
}

#[tokio::test]
async fn our_key_never_reaches_a_tenant() {
    let lab = Lab::start();
    let gateway = gateway(&lab, "", "");
    let told = post(&gateway, CHAT, &chat("told"), &[]).await.text().await.unwrap();
    assert!(!told.contains(KEY) && told.contains("Bearer [redacted]"), "{told}");
    let events = post(&gateway, CHAT, &streamed("leak"), &[]).await.text().await.unwrap();
    assert!(!events.contains(KEY) && !events.is_empty(), "{events}");
    for status in [400, 404, 409, 422, 500, 503, 403, 401] {
        let mut body = chat("leak");
        body["status"] = status.into();
        let answer = post(&gateway, CHAT, &body, &[]).await;
        assert!(!format!("{:?}", answer.headers()).contains(KEY), "{status}");
        let answer = answer.text().await.unwrap();
        assert!(!answer.contains(KEY) && !answer.is_empty(), "{status}: {answer}");
        let task = json!([{"taskType": "textInference", "taskUUID": "u", "model": "leak", "status": status,
            "messages": [{"role": "user", "content": "x"}]}]);
        let answer = post(&gateway, "/v1", &task, &[]).await.text().await.unwrap();
        assert!(!answer.contains(KEY) && !answer.is_empty(), "{status}: {answer}");
    }
}

#[tokio::test]
async fn names_that_the_provider_does_not_know_keep_no_place() {
    let lab = Lab::start();
    let gateway = gateway(&lab, "", "[defaults]\nunknown_models = \"lab\"\n");
    let names: Vec<String> = (0..600).map(|n| format!("unknown/{n}")).collect();
    for names in names.chunks(100) {
        let asked = names.iter().map(|name| {
            let gateway = &gateway;
            async move { post(gateway, CHAT, &chat(name), &[("x-fairflow-tenant", "inventor")]).await.status() }
        });
        let answers = futures_util::future::join_all(asked).await;
        assert!(answers.iter().all(|status| status.as_u16() == 404), "{answers:?}");
    }
    // Good names get in, of whoever.
    for tenant in ["inventor", "other"] {
        let good = post(&gateway, CHAT, &chat("ok/brand-new"), &[("x-fairflow-tenant", tenant)]).await;
        assert_eq!(good.status(), 200);
    }
    let listed = found("the models that are used are listed", async || {
        let listed = read(client().get(format!("{}/v1/capacity", gateway.public)).send().await.unwrap()).await;
        Some(listed).filter(|listed| listed["models"].as_array().unwrap().len() == 3)
    })
    .await;
    let names: Vec<_> = listed["models"].as_array().unwrap().iter().map(|model| model["model"].clone()).collect();
    assert_eq!(names, ["leak", "ok/brand-new", "told"]);
    let page = client().get(format!("{}/metrics", gateway.admin)).send().await.unwrap().text().await.unwrap();
    assert!(!page.contains("unknown/"), "nor in metrics");
}

/// What is left of one kind of request says nothing of another.
#[tokio::test]
async fn a_limit_on_images_holds_images_and_no_chat() {
    let lab = Lab::start();
    let models =
        ["limited", "limited/images"].map(|name| format!("[models.{name:?}]\nroutes = [{{ provider = \"lab\" }}]\n"));
    let gateway = gateway(&lab, "", &models.concat());
    let hurry = [("x-fairflow-max-wait", "1000")];
    let chats = async || {
        for n in 0..20 {
            assert_eq!(post(&gateway, CHAT, &chat("limited"), &hurry).await.status(), 200, "chat {n}");
        }
    };
    let image = json!({"model": "limited/images", "prompt": "x"});
    let draw = async || post(&gateway, "/v1/images/generations", &image, &hurry).await;
    chats().await;
    assert_eq!(draw().await.status(), 200, "chats have told nothing of images");
    let calls = lab.seen.calls.load(Ordering::SeqCst);
    let refused = draw().await;
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["x-fairflow-reason"]),
        (503, &"no_capacity".parse().unwrap())
    );
    assert_eq!(lab.seen.calls.load(Ordering::SeqCst), calls, "nothing is sent where nothing is left");
    chats().await;
}
