//! Bodies on their way to providers: forwarded whole whatever their size, translated where that can be, elsewhere if not.

use serde_json::{Value, json};

use crate::dialects::{before, task};
use crate::fake::{Fake, Reply};
use crate::lab::{CHAT, post};
use crate::raw::{Raw, Talk, answer};
use crate::support::{Gateway, json as read};

/// Answers the first request of each connection with what it was asked, and closes the connection on the second.
async fn fickle(mut talk: Talk) {
    let Some(ask) = talk.request().await else { return };
    let said = json!({"model": ask.body["model"], "bytes": ask.raw.len(), "options": ask.body["stream_options"],
        "prompt": ask.body["messages"][0]["content"].as_str().map(str::len)});
    let body = json!({"choices": [{"message": {"content": said.to_string()}, "finish_reason": "stop"}]});
    talk.write(answer(200, "content-type: application/json\r\n", body.to_string())).await;
    talk.request().await;
}

#[tokio::test]
async fn a_large_body_is_sent_whole_under_another_name_and_again_where_its_connection_was_closed() {
    const PROMPT: usize = 1 << 20;
    let raw = Raw::start(fickle).await;
    let gateway = Gateway::start(
        "",
        &format!(
            "[providers.p]\nkind = \"openai\"\nbase_url = \"{}\"\n[models.m]\nroutes = [{{ provider = \"p\", model = \
             \"there\" }}]\n",
            raw.url
        ),
    );
    for _ in 0..6 {
        let body = json!({"model": "m", "messages": [{"role": "user", "content": "x".repeat(PROMPT)}], "n": 1});
        let response = post(&gateway, CHAT, &body, &[]).await;
        assert_eq!(
            (response.status(), &response.headers()["x-fairflow-attempts"]),
            (reqwest::StatusCode::OK, &"1".parse().unwrap())
        );
        let said = read(response).await["choices"][0]["message"]["content"].take();
        let said: Value = serde_json::from_str(said.as_str().unwrap()).unwrap();
        let sent = body.to_string().len() - "m".len() + "there".len();
        assert_eq!(said, json!({"model": "there", "bytes": sent, "options": null, "prompt": PROMPT}));
    }
    assert!(raw.requests() > 6, "connections were used again, and closed: {} requests", raw.requests());
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "x".repeat(PROMPT)}], "stream": true});
    let told = post(&gateway, CHAT, &body, &[]).await.text().await.unwrap();
    assert!(told.contains(r#"\"include_usage\":true"#) && told.contains(r#"\"prompt\":1048576"#), "{told}");
}

#[tokio::test]
async fn a_request_that_one_dialect_cannot_express_goes_to_a_route_of_another() {
    let runware = Fake::start(|_, _, _| Reply::Json(400, json!({"errors": [{"code": "x", "message": "no"}]}))).await;
    let openai = Fake::start(|_, _, _| {
        Reply::Json(200, json!({"choices": [{"message": {"content": "called"}, "finish_reason": "stop"}]}))
    })
    .await;
    let account = |name: &str, kind: &str, fake: &Fake| {
        format!(
            "[providers.{name}]\nkind = \"{kind}\"\nbase_url = \"{}/v1\"\napi_key = {{ value = \"k\" }}\n",
            fake.url
        )
    };
    let accounts = account("r", "runware", &runware) + &account("o", "openai", &openai);
    let both =
        "[models.both]\nroutes = [{ provider = \"r\", model = \"a:1@1\" }, { provider = \"o\", model = \"up\" }]\n";
    let one = "[models.one]\nroutes = [{ provider = \"r\", model = \"a:1@1\" }]\n";
    let gateway = Gateway::start("", &(accounts + both + one));
    let chat = |model: &str| {
        json!({"model": model, "messages": [{"role": "user", "content": "x"}],
            "tools": [{"type": "function", "function": {"name": "f"}}]})
    };
    let body = chat("both");
    let all = futures_util::future::join_all((0..8).map(|_| post(&gateway, CHAT, &body, &[]))).await;
    let mut attempts = Vec::new();
    for response in all {
        attempts.push(response.headers()["x-fairflow-attempts"].to_str().unwrap().to_owned());
        let answer = read(response).await;
        assert_eq!(answer["choices"][0]["message"]["content"], "called", "{answer}");
    }
    assert!(attempts.iter().any(|count| count == "2"), "some were at the other route first: {attempts:?}");
    assert!(runware.asks().is_empty(), "nothing was sent there");
    let refused = post(&gateway, CHAT, &chat("one"), &[]).await;
    assert_eq!(refused.status().as_u16(), 400);
    assert_eq!(read(refused).await["error"]["param"], "tools");
}

#[tokio::test]
async fn runware_s_name_for_a_request_is_shown() {
    for (status, told) in [
        (200, json!({"imageUUID": "i", "imageURL": "https://x/y.png"})),
        (400, json!({"code": "invalidPrompt", "message": "no"})),
    ] {
        let fake = Fake::start(move |_, ask, _| {
            let mut told = told.clone();
            told["taskUUID"] = ask.body[0]["taskUUID"].clone();
            let list = if status == 200 { "data" } else { "errors" };
            Reply::With(status, ("x-request-id", "rw_42"), json!({list: [told]}))
        })
        .await;
        let response = post(&before(&fake, "runware", "a:1@1"), "/v1", &task(json!({})), &[]).await;
        let id = response.headers().get("x-fairflow-upstream-id").map(|id| id.to_str().unwrap().to_owned());
        assert_eq!((response.status().as_u16(), id.as_deref()), (status, Some("rw_42")));
    }
}

#[tokio::test]
async fn a_success_without_an_image_is_none() {
    let fake = Fake::start(|_, ask, _| {
        let uuid = &ask.body[0]["taskUUID"];
        Reply::Json(200, json!({"data": [{"taskUUID": uuid, "status": "success", "imageUUID": "i", "imageURL": ""}]}))
    })
    .await;
    let response = post(&before(&fake, "runware", "a:1@1"), "/v1", &task(json!({})), &[]).await;
    assert!(response.status().is_server_error(), "{}", response.status());
    let answer = read(response).await;
    assert!(answer["errors"][0]["message"].as_str().unwrap().contains("gives none"), "{answer}");
}
