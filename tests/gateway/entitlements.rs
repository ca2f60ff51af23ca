//! What tenants may use and spend, and their keys, which come and go in a file of their own.

use serde_json::{Value, json};

use crate::client::Client;
use crate::lab::{CHAT, chat, post};
use crate::support::{Beside, Gateway, Log, client, eventually, json as read};

const SIM: &str = "[providers.sim]\nkind = \"sim\"\nsim = { service = \"5ms\", sigma = 0.0 }\n\
    [models.gpt-a]\nroutes = [{ provider = \"sim\" }]\n[models.img-b]\nroutes = [{ provider = \"sim\" }]\n";
/// Hashes of the keys `abc` and `def`.
const ABC: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
const DEF: &str = "sha256:cb8379ac2098aa165029e3938a51da0bcecfc008fd6795f401178647f96c5b34";

async fn get(gateway: &Gateway, path: &str, tenant: &str) -> (u16, Value) {
    let request = client().get(format!("{}{path}", gateway.public)).header("x-fairflow-tenant", tenant);
    let response = request.send().await.unwrap();
    (response.status().as_u16(), read(response).await)
}

fn image(model: &str) -> Value {
    json!({"taskType": "imageInference", "taskUUID": "U", "model": model, "positivePrompt": "x", "width": 64, "height": 64})
}

/// What is left of limits is told where both are set; without one of them any number is let in.
#[tokio::test]
async fn limits_are_told_where_they_bound() {
    let tiers = "[tiers.both]\nmax_in_flight = 2\nmax_queued = 3\n[tiers.half]\nmax_in_flight = 2\n";
    let tenants = "[tenants.both]\ntier = \"both\"\n[tenants.half]\ntier = \"half\"\n";
    let gateway = Gateway::start("", &format!("{SIM}{tiers}{tenants}"));
    for (tenant, limit) in [("both", Some("5")), ("half", None), ("none", None)] {
        let answer = post(&gateway, CHAT, &chat("gpt-a"), &[("x-fairflow-tenant", tenant)]).await;
        let told = answer.headers().get("x-ratelimit-limit-requests").map(|value| value.to_str().unwrap());
        assert_eq!(told, limit, "{tenant}");
    }
}

#[tokio::test]
async fn a_tenant_is_told_of_and_served_the_models_it_may_use() {
    let gateway =
        Gateway::start("", &format!("{SIM}[tiers.text]\nmodels = [\"gpt-*\"]\n[tenants.t]\ntier = \"text\"\n"));
    let tenant = [("x-fairflow-tenant", "t")];
    assert_eq!(post(&gateway, CHAT, &chat("gpt-a"), &tenant).await.status(), 200);
    let refused = post(&gateway, CHAT, &chat("img-b"), &tenant).await;
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["x-fairflow-reason"]),
        (403, &"model_forbidden".parse().unwrap())
    );
    assert!(!refused.headers().contains_key("retry-after"));
    let error = read(refused).await["error"].clone();
    assert_eq!(
        (&error["code"], &error["param"], &error["type"]),
        (&json!("model_forbidden"), &json!("model"), &json!("invalid_request_error"))
    );
    let mut stream = chat("img-b");
    stream["stream"] = true.into();
    assert_eq!(post(&gateway, CHAT, &stream, &tenant).await.status(), 403);
    let refused = post(&gateway, "/v1", &json!([image("img-b")]), &tenant).await;
    assert_eq!(refused.status(), 403);
    let error = read(refused).await["errors"][0].clone();
    assert_eq!(
        (&error["code"], &error["reason"], &error["taskUUID"]),
        (&json!("invalidModel"), &json!("model_forbidden"), &json!("U"))
    );

    let ids = |answer: &Value, list: &str, id: &str| -> Vec<String> {
        answer[list].as_array().unwrap().iter().map(|model| model[id].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&get(&gateway, "/v1/models", "t").await.1, "data", "id"), ["gpt-a"]);
    assert_eq!(ids(&get(&gateway, "/v1/models", "u").await.1, "data", "id"), ["gpt-a", "img-b"]);
    let (_, capacity) = get(&gateway, "/v1/capacity", "t").await;
    assert_eq!(ids(&capacity, "models", "model"), ["gpt-a"]);
    assert_eq!(capacity["models"][0]["you"]["tier"], "text");
    assert_eq!(get(&gateway, "/v1/capacity/img-b", "t").await.0, 403);
    let live = client().get(format!("{}/v1/capacity/img-b", gateway.public)).header("x-fairflow-tenant", "t");
    assert_eq!(live.header("accept", "text/event-stream").send().await.unwrap().status(), 403);
    let text = client().get(format!("{}/metrics", gateway.admin)).send().await.unwrap().text().await.unwrap();
    assert!(text.contains("fairflow_rejected_total{model=\"\",reason=\"model_forbidden\"} 5\n"), "{text}");

    let keyed =
        Gateway::start("auth = \"keys\"", &format!("{SIM}[tenants.t]\nmodels = [\"gpt-a\"]\napi_keys = [\"{ABC}\"]\n"));
    let (mut socket, _) = Client::open(&keyed, "abc", None).await;
    socket.send(&json!([image("img-b")])).await;
    let told = socket.next().await["errors"][0].clone();
    assert_eq!((&told["code"], &told["reason"]), (&json!("invalidModel"), &json!("model_forbidden")));
}

#[tokio::test]
async fn a_budget_is_told_refused_and_kept_over_a_restart() {
    let state = Beside::new("budget.json");
    let server = format!("state = {:?}", state.0.display().to_string());
    let rest = format!("{SIM}[tenants.t]\nbudget = {{ dollars_per_day = 0.002 }}\n");
    let mut gateway = Gateway::start(&server, &rest);
    let tenant = [("x-fairflow-tenant", "t")];
    for uuid in ["1", "2"] {
        let mut task = image("img-b");
        task["taskUUID"] = uuid.into();
        assert_eq!(post(&gateway, "/v1", &json!([task]), &tenant).await.status(), 200);
    }
    let refused = post(&gateway, CHAT, &chat("gpt-a"), &tenant).await;
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["x-fairflow-reason"]),
        (429, &"budget_exhausted".parse().unwrap())
    );
    let wait: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=86_400).contains(&wait), "{wait}");
    // Unless midnight is near, an SDK need not try again by itself.
    assert_eq!(refused.headers().get("x-should-retry").is_some(), wait > 60);
    assert_eq!(read(refused).await["error"]["code"], "insufficient_quota");
    let refused = post(&gateway, "/v1", &json!([image("img-b")]), &tenant).await;
    assert_eq!(refused.status(), 429);
    let error = read(refused).await["errors"][0].clone();
    assert_eq!((&error["code"], &error["reason"]), (&json!("insufficientQuota"), &json!("budget_exhausted")));
    let you = get(&gateway, "/v1/capacity/img-b", "t").await.1["models"][0]["you"]["budget"].clone();
    assert_eq!((&you["dollarsPerDay"], &you["spent"], &you["reserved"]), (&json!(0.002), &json!(0.002), &json!(0.0)));
    assert!(you["renewsInMs"].as_u64().unwrap() <= 86_400_000);
    let text = client().get(format!("{}/metrics", gateway.admin)).send().await.unwrap().text().await.unwrap();
    for sample in [
        "fairflow_rejected_total{model=\"img-b\",reason=\"budget_exhausted\"} 1\n",
        "fairflow_spent_dollars_total{model=\"img-b\"} 0.002\n",
    ] {
        assert!(text.contains(sample), "{sample} in {text}");
    }
    assert_eq!(post(&gateway, "/v1", &json!([image("img-b")]), &[]).await.status(), 200, "others are not concerned");
    gateway.terminate();
    assert!(gateway.ended().await, "it ends");
    let again = Gateway::start(&server, &rest);
    assert_eq!(post(&again, "/v1", &json!([image("img-b")]), &tenant).await.status(), 429, "still spent");
}

async fn status(gateway: &Gateway, key: &str) -> u16 {
    let bearer = format!("Bearer {key}");
    post(gateway, CHAT, &chat("gpt-a"), &[("authorization", &bearer)]).await.status().as_u16()
}

async fn becomes(gateway: &Gateway, key: &str, wanted: u16) {
    eventually(&format!("{key} is {wanted}"), async || status(gateway, key).await == wanted).await;
}

/// What a gateway logs of a file that it does not take over.
const REFUSED: &str = "the new configuration is refused and the old one stays";

#[tokio::test]
async fn keys_are_changed_under_load_by_the_tenants_file_alone() {
    let tenants = Beside::new("tenants.toml");
    let keys = |keys: &str| format!("[tenants.moving]\napi_keys = [{keys}]\n");
    tenants.write(&keys(&format!("\"{ABC}\"")));
    let server = format!("auth = \"keys\"\ntenants_file = {:?}", tenants.name());
    let log = Log::new();
    let gateway = Gateway::start_with(&server, SIM, |command| {
        command.stderr(log.open());
    });
    assert_eq!((status(&gateway, "abc").await, status(&gateway, "def").await), (200, 401));
    // Callers change their key when they are told that the new one is valid.
    let (tell, told) = tokio::sync::watch::channel("abc");
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let (told, url) = (told.clone(), format!("{}{CHAT}", gateway.public));
            tokio::spawn(async move {
                let (http, mut served) = (client(), 0_u32);
                loop {
                    let key = *told.borrow();
                    if key.is_empty() {
                        return served;
                    }
                    let request = http.post(&url).bearer_auth(key).body(chat("gpt-a").to_string());
                    assert_eq!(request.send().await.unwrap().status(), 200, "{key}");
                    served += 1;
                }
            })
        })
        .collect();
    // The rest of the configuration may be in pieces meanwhile.
    gateway.rewrite("[models.broken");
    tenants.write(&keys(&format!("\"{ABC}\", \"{DEF}\"")));
    becomes(&gateway, "def", 200).await;
    tell.send_replace("def");
    // A file that is wrong changes nothing.
    let refusals = log.read().matches(REFUSED).count();
    tenants.write("[tenants.moving]\napi_keys = [\"abc\"]\n");
    log.says(REFUSED, refusals + 1).await;
    assert_eq!((status(&gateway, "abc").await, status(&gateway, "def").await), (200, 200));
    tenants.write(&keys(&format!("\"{DEF}\"")));
    becomes(&gateway, "abc", 401).await;
    tell.send_replace("");
    for caller in callers {
        assert!(caller.await.expect("every request was served") > 10);
    }
}

#[tokio::test]
async fn a_key_that_a_reload_replaces_is_refused_and_the_new_one_is_taken() {
    let with = |key: &str| format!("auth = \"keys\"\n{SIM}[tenants.moving]\napi_keys = [\"{key}\"]\n");
    let gateway = Gateway::start("", &with(ABC));
    assert_eq!((status(&gateway, "abc").await, status(&gateway, "def").await), (200, 401));
    gateway.rewrite(&with(DEF));
    gateway.signal("HUP");
    becomes(&gateway, "def", 200).await;
    assert_eq!(status(&gateway, "abc").await, 401, "both at the same moment");
}
