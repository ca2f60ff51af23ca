//! A new configuration while the gateway runs: by SIGHUP, and by a change of the file.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fairflow::Config;
use serde_json::Value;

use crate::lab::{CHAT, Lab, chat, post};
use crate::support::{Gateway, Log, client, eventually, json as read};

fn with(models: &[&str]) -> String {
    let models: Vec<String> =
        models.iter().map(|name| format!("[models.{name}]\nroutes = [{{ provider = \"sim\" }}]\n")).collect();
    format!("[providers.sim]\nkind = \"sim\"\nsim = {{ service = \"20ms\" }}\n{}", models.concat())
}

async fn models(gateway: &Gateway) -> Vec<String> {
    let answer = read(client().get(format!("{}/v1/models", gateway.public)).send().await.unwrap()).await;
    let names = answer["data"].as_array().unwrap().iter();
    names.map(|model| model["id"].as_str().unwrap().to_owned()).collect()
}

async fn becomes(gateway: &Gateway, wanted: &[&str]) {
    eventually(&format!("the models are {wanted:?}"), async || models(gateway).await == wanted).await;
}

#[tokio::test]
async fn a_signal_and_a_changed_file_are_taken_over_and_what_is_wrong_is_not() {
    let log = Log::new();
    let gateway = Gateway::start_with("", &with(&["a"]), |command| {
        command.stderr(log.open());
    });
    gateway.rewrite(&with(&["a", "b"]));
    gateway.signal("HUP");
    becomes(&gateway, &["a", "b"]).await;
    gateway.rewrite("[models.c]\nroutes = []\n");
    gateway.signal("HUP");
    log.says("the new configuration is refused and the old one stays", 1).await;
    assert_eq!(models(&gateway).await, ["a", "b"], "a bad one changes nothing");
    gateway.rewrite(&with(&["b"]));
    becomes(&gateway, &["b"]).await;
}

/// A hundred times the models, the providers behind them and a tenant's weight change while requests wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_hundred_reloads_under_load_lose_no_request_and_reset_no_window() {
    let start = "[providers.sim]\nkind = \"sim\"\nsim = { service = \"20ms\", capacity = 64 }\n\
        [models.a]\nroutes = [{ provider = \"sim\" }]\nwindow = { initial = 12 }\n";
    let gateway = Gateway::start("", start);
    let done = Arc::new(AtomicBool::new(false));
    let calls: Vec<_> = (0..30)
        .map(|_| {
            let request = client().post(format!("{}{CHAT}", gateway.public)).body(chat("a").to_string());
            let done = done.clone();
            tokio::spawn(async move {
                let mut served = 0;
                while !done.load(Ordering::Relaxed) {
                    assert_eq!(request.try_clone().unwrap().send().await.unwrap().status(), 200);
                    served += 1;
                }
                served
            })
        })
        .collect();
    for round in 0..100 {
        // Another service time is another client of the provider, so that the route is rewired.
        let mut next = start.replace("20ms", &format!("2{}ms", round % 7));
        if round % 2 == 0 {
            next += "[providers.more]\nkind = \"sim\"\n[models.b]\nroutes = [{ provider = \"more\" }]\n";
        }
        if round % 3 == 0 {
            next += "[providers.second]\nkind = \"sim\"\nsim = { service = \"20ms\" }\n";
            next = next.replace("[{ provider = \"sim\" }]", "[{ provider = \"sim\" }, { provider = \"second\" }]");
        }
        if round % 10 == 9 {
            // In between one that is wrong, which must change nothing.
            next = "[providers.sim]\nkind = \"sim\"\n[models.a]\nroutes = []\n".to_owned();
        }
        next += &format!("[tiers.t]\nweight = {}\n[defaults]\ntier = \"t\"\n", 1 + round % 5);
        gateway.rewrite(&next);
        gateway.signal("HUP");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    gateway.rewrite(&format!("{start}[models.last]\nroutes = [{{ provider = \"sim\" }}]\n"));
    gateway.signal("HUP");
    becomes(&gateway, &["a", "last"]).await;
    let capacity: Value = read(client().get(format!("{}/v1/capacity/a", gateway.public)).send().await.unwrap()).await;
    done.store(true, Ordering::Relaxed);
    let mut served = 0;
    for call in calls {
        served += call.await.expect("no request is lost");
    }
    assert!(served > 100, "{served}");
    // What it began with: a window that was reset would stand there at most, a learned one has grown or held.
    let window = capacity["models"][0]["window"].as_u64().unwrap();
    assert!(window >= 12, "{capacity}");
    gateway.at_rest("a").await;
}

#[tokio::test]
async fn an_accounts_new_key_is_used_at_once_and_lifts_what_the_old_one_held() {
    let lab = Lab::start();
    let with = |key: &str| {
        format!(
            "[providers.lab]\nkind = \"openai\"\nbase_url = \"http://127.0.0.1:{}/v1\"\n\
             api_key = {{ value = {key:?} }}\n[models.keyed]\nroutes = [{{ provider = \"lab\" }}]\n\
             queue = {{ max_wait = \"2h\" }}\n[models.quick]\nroutes = [{{ provider = \"lab\" }}]\n",
            lab.port
        )
    };
    let gateway = Gateway::start("", &with("sk-first"));
    let ask =
        async |model: &str, wait: &str| post(&gateway, CHAT, &chat(model), &[("x-fairflow-max-wait", wait)]).await;
    // The provider refuses the key, and whoever comes for an hour: the account is held for all of its models.
    for model in ["keyed", "keyed", "quick"] {
        let refused = ask(model, "2000").await;
        let reason = &refused.headers()["x-fairflow-reason"];
        assert_eq!((refused.status().as_u16(), reason), (503, &"no_capacity".parse().unwrap()), "{model}");
    }
    assert_eq!(lab.seen.calls.load(Ordering::SeqCst), 1, "a refused key is not tried again");
    let waiting = ask("keyed", "7200000");
    let change = async {
        eventually("one waits", async || {
            let now = client().get(format!("{}/v1/capacity/keyed", gateway.public)).send().await.unwrap();
            read(now).await["models"][0]["queueDepth"] == 1
        })
        .await;
        gateway.rewrite(&with("sk-second"));
        gateway.signal("HUP");
    };
    let (waited, ()) = tokio::join!(waiting, change);
    assert_eq!(waited.status(), 200, "who waited is served with the new key");
    for model in ["keyed", "quick"] {
        assert_eq!(ask(model, "2000").await.status(), 200, "{model}");
    }
}

#[tokio::test]
async fn everything_that_is_wrong_is_said_at_once() {
    let config = Config::from_toml(
        "[models.a]\nroutes = [{ provider = \"no\" }]\nwindow = { min = 9, max = 2 }\n[tiers.t]\nmodels = [\"aa\"]\n\
         [tenants.x]\ntier = \"tt\"\nbudget = { dollars_per_day = -1 }\n",
    );
    let said = config.unwrap().validate().unwrap_err().to_string();
    for part in
        ["routes[0].provider", "window.min", "tiers.\"t\".models[0]", "tenants.\"x\".tier", "budget.dollars_per_day"]
    {
        assert!(said.contains(part), "{part} in {said}");
    }
}
