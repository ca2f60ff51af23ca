//! Providers that answer in one piece, or refuse, though a stream was asked for: before and after the stream has begun.

use std::time::Duration;

use serde_json::{Value, json};

use crate::lab::{CHAT, post, streamed};
use crate::raw::{Raw, Talk, answer};
use crate::support::Gateway;

/// Answers as the name of the model says, those with `late` in it after the stream toward the caller has begun.
async fn script(mut talk: Talk) {
    while let Some(ask) = talk.request().await {
        let model = ask.body["model"].as_str().unwrap_or_default();
        if model.contains("late") {
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        let message = json!({"role": "assistant", "content": "Hello"});
        let chat = json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [{"index": 0, "message": message, "finish_reason": "length"}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}});
        let part = json!({"type": "output_text", "text": "Hello", "annotations": []});
        let response = json!({"id": "resp_1", "object": "response", "status": "completed", "model": "m", "error": null,
            "output": [{"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}],
            "usage": {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}});
        let bytes = match model.trim_start_matches("late-") {
            "bad" => answer(
                422,
                "content-type: application/json\r\n",
                json!({"error": {"message": "too long", "type": "t", "param": "messages", "code": "odd", "more": 1}})
                    .to_string(),
            ),
            _ if ask.path.ends_with("/responses") => {
                answer(200, "content-type: application/json\r\n", response.to_string())
            }
            _ => answer(200, "content-type: application/json\r\n", chat.to_string()),
        };
        talk.write(bytes).await;
    }
}

async fn start() -> (Raw, Gateway) {
    let raw = Raw::start(script).await;
    let mut config = format!("[providers.p]\nkind = \"openai\"\nbase_url = \"{}\"\n", raw.url);
    for model in ["m", "late-m", "bad", "late-bad"] {
        config += &format!("[models.{model}]\nroutes = [{{ provider = \"p\" }}]\n");
    }
    let gateway = Gateway::start("keep_alive = \"50ms\"", &config);
    (raw, gateway)
}

/// Returns the payloads of an event stream, and whether it began with a comment.
async fn told(response: reqwest::Response) -> (Vec<Value>, bool) {
    assert_eq!(
        (response.status().as_u16(), &response.headers()["content-type"]),
        (200, &"text/event-stream".parse().unwrap())
    );
    let text = response.text().await.unwrap();
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let payloads = data.map(|data| serde_json::from_str(data).unwrap_or_else(|_| data.into())).collect();
    (payloads, text.starts_with(": keep-alive"))
}

#[tokio::test]
async fn a_whole_answer_is_told_as_events() {
    let (_raw, gateway) = start().await;
    for (model, is_late) in [("m", false), ("late-m", true)] {
        let mut body = streamed(model);
        body["stream_options"] = json!({"include_usage": true});
        let (chunks, late) = told(post(&gateway, CHAT, &body, &[]).await).await;
        assert_eq!(late, is_late);
        let [said, end, usage, done] = &chunks[..] else { panic!("{chunks:?}") };
        assert_eq!(said["choices"][0]["delta"], json!({"role": "assistant", "content": "Hello"}));
        assert_eq!((&end["choices"][0]["finish_reason"], done), (&json!("length"), &json!("[DONE]")));
        assert_eq!((&usage["choices"], &usage["usage"]["completion_tokens"]), (&json!([]), &json!(4)));

        let body = json!({"model": model, "input": "hi", "stream": true});
        let (events, late) = told(post(&gateway, "/v1/responses", &body, &[]).await).await;
        assert_eq!((late, &events[0]["type"], events.len()), (is_late, &json!("response.created"), 9));
        assert_eq!((&events[4]["delta"], &events[8]["response"]["id"]), (&json!("Hello"), &json!("resp_1")));
        let kept =
            crate::support::client().get(format!("{}/v1/responses/resp_1", gateway.public)).send().await.unwrap();
        assert_eq!(kept.status(), 200, "it is kept like any other");

        let task = json!([{"taskType": "textInference", "taskUUID": "0b4b6cf0-5fb5-4c44-a83f-7c39d1a7a2a1", "model": model,
            "deliveryMethod": "stream", "messages": [{"role": "user", "content": "hi"}]}]);
        let (deltas, late) = told(post(&gateway, "/v1", &task, &[]).await).await;
        assert_eq!(
            (late, &deltas[0]["delta"]["text"], &deltas[0]["finishReason"]),
            (is_late, &json!("Hello"), &json!("length"))
        );
        gateway.at_rest(model).await;
    }
}

#[tokio::test]
async fn a_refusal_is_plain_before_the_stream_begins_and_an_event_after() {
    let (_raw, gateway) = start().await;
    let own = json!({"message": "too long", "type": "t", "param": "messages", "code": "odd", "more": 1});
    let plain = post(&gateway, CHAT, &streamed("bad"), &[]).await;
    assert_eq!(plain.status(), 422);
    assert_eq!(plain.json::<Value>().await.unwrap()["error"], own);
    let (events, late) = told(post(&gateway, CHAT, &streamed("late-bad"), &[]).await).await;
    assert!(late);
    assert_eq!(events, [json!({"error": own}), json!("[DONE]")]);
    let body = json!({"model": "late-bad", "input": "hi", "stream": true});
    let (events, _) = told(post(&gateway, "/v1/responses", &body, &[]).await).await;
    let expected =
        json!({"type": "error", "code": "odd", "message": "too long", "param": "messages", "sequence_number": 0});
    assert_eq!(events, [expected]);
    gateway.at_rest("late-bad").await;
}
