//! Streams as providers send them: marked, cut, named and ended in every way, and some that are none.

use fairflow::provider::Outcome;
use fairflow::task::{TextDelta, TextInference};
use fairflow::{Error, Fairflow};
use futures_util::{StreamExt, TryStreamExt};
use serde_json::json;

use crate::fake::{Fake, Reply, engine};
use crate::raw::{EVENTS, Raw, Talk, chunk};

async fn text(fairflow: &Fairflow) -> Result<Vec<TextDelta>, Error> {
    fairflow.generate(TextInference::new("m", "hi")).stream().await?.try_collect().await
}

fn said(pieces: &[TextDelta]) -> String {
    pieces.iter().map(|piece| &*piece.text).collect()
}

#[tokio::test]
async fn text_is_read_from_streams_of_every_form() {
    const A: &str = r#"{"error":null,"choices":[{"delta":{"content":"Hel"}}]}"#;
    const B: &str = r#"{"choices":[{"delta":{"content":[{"type":"text","text":"lo"}]},"finish_reason":"stop"}]}"#;
    let stream = |mark: &str, end: &str, last: &str| {
        format!("{mark}: processing{end}{end}event: x{end}data: {A}{end}{end}data:{B}{end}{end}{last}")
    };
    let forms = [
        stream("", "\n", "data: [DONE]\n\n"),
        stream("\u{feff}", "\n", "data: [DONE]\n\n"),
        stream("", "\r", "data: [DONE]\r\r"),
        stream("", "\r\n", ""),
        stream("", "\n", "data: [DONE]"),
        format!("data: {A}\n\ndata: {B}"),
        format!("data: {A}\n\ndata: {{\"choices\":\ndata: [{{\"delta\":{{\"content\":\"lo\"}}}}]}}\n\n"),
    ];
    for kind in ["text/event-stream", "Text/Event-Stream; Charset=UTF-8", "application/json", ""] {
        for form in &forms {
            let (kind, form): (&'static str, &'static str) = (kind, String::leak(form.clone()));
            let fake = Fake::start(move |_, _, _| Reply::Text(kind, form)).await;
            let fairflow = engine("openai", &format!("{}/v1", fake.url), "", "").await;
            let pieces = text(&fairflow).await.unwrap_or_else(|error| panic!("{kind} {form:?}: {error}"));
            assert_eq!(said(&pieces), "Hello", "{kind} {form:?}");
        }
    }
    // A whole answer to a wish for a stream is one piece.
    let whole = json!({"choices": [{"index": 0, "message": {"content": [{"type": "text", "text": "Hello"}]}, "finish_reason": "length"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2}});
    for kind in ["application/json", "text/event-stream", ""] {
        let body: &'static str = String::leak(whole.to_string());
        let fake = Fake::start(move |_, _, _| Reply::Text(kind, body)).await;
        let pieces = text(&engine("openai", &format!("{}/v1", fake.url), "", "").await).await.unwrap();
        assert_eq!((pieces.len(), &*pieces[0].text, pieces[0].finish_reason.as_deref()), (1, "Hello", Some("length")));
        assert_eq!(pieces[0].usage.and_then(|usage| usage.output_tokens), Some(2));
    }
}

#[tokio::test]
async fn a_stream_that_begins_with_an_error_is_an_attempt_that_failed() {
    const GOOD: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata: [DONE]\n\n";
    for first in [
        "data: {\"error\":{\"message\":\"out of memory\",\"type\":\"server_error\"}}\n\n",
        ": wait\n\ndata: {\"error\":{\"message\":\"busy\",\"code\":503}}\n\n",
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}\n\n",
        "{\"error\":{\"message\":\"busy\",\"code\":\"502\"}}",
        "",
        "data: [DONE]\n\n",
        ": only\n\n: comments\n\n",
        "<html>nothing here</html>",
    ] {
        let fake =
            Fake::start(move |_, _, nth| Reply::Text("text/event-stream", if nth == 0 { first } else { GOOD })).await;
        let fairflow = engine("openai", &format!("{}/v1", fake.url), "", "").await;
        let pieces = text(&fairflow).await.unwrap_or_else(|error| panic!("{first:?}: {error}"));
        assert_eq!((said(&pieces).as_str(), fake.asks().len()), ("a", 2), "{first:?}");
    }
    // What is the request's fault is its caller's matter at once, in the provider's words.
    let fake = Fake::start(|_, _, _| {
        Reply::Text("text/event-stream", "data: {\"error\":{\"message\":\"bad prompt\",\"code\":400}}\n\n")
    })
    .await;
    let error = text(&engine("openai", &format!("{}/v1", fake.url), "", "").await).await.unwrap_err();
    let Error::Rejected(failure) = &error else { panic!("{error:?}") };
    assert_eq!((error.status(), fake.asks().len()), (400, 1));
    assert!(String::from_utf8_lossy(&failure.upstream.as_ref().unwrap().body).contains("bad prompt"));
}

#[tokio::test]
async fn an_error_in_the_middle_ends_the_stream_and_half_an_event_is_none() {
    for (rest, words) in [
        ("data: {\"error\":{\"message\":\"out of memory\"}}\n\n", "out of memory"),
        ("data: {\"choices\":[{\"delta\":{\"content\":\"b", "in the middle of an event"),
    ] {
        let stream: &'static str =
            String::leak(format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"a\"}}}}]}}\n\n{rest}"));
        let fake = Fake::start(move |_, _, _| Reply::Text("text/event-stream", stream)).await;
        let fairflow = engine("openai", &format!("{}/v1", fake.url), "", "").await;
        let pieces: Vec<_> = fairflow.generate(TextInference::new("m", "hi")).stream().await.unwrap().collect().await;
        let [Ok(first), Err(Error::Rejected(failure))] = &pieces[..] else { panic!("{pieces:?}") };
        assert_eq!((&*first.text, failure.outcome), ("a", Outcome::Failed));
        assert!(failure.message.contains(words), "{failure}");
    }
}

#[tokio::test]
async fn a_runware_text_streams_whatever_form_it_comes_in() {
    for (body, expected) in [
        (
            "\u{feff}data: {\"delta\":{\"text\":\"Hel\"},\"error\":null}\r\rdata: {\"delta\":{\"text\":\"lo\"}}\r\r",
            "Hello",
        ),
        ("{\"data\":[{\"taskType\":\"textInference\",\"taskUUID\":\"u\",\"text\":\"Hello\"}]}", "Hello"),
    ] {
        let fake = Fake::start(move |_, _, _| Reply::Text("application/json", body)).await;
        let pieces = text(&engine("runware", &fake.url, "", "").await).await.unwrap();
        assert_eq!(said(&pieces), expected, "{body}");
    }
    let refused = "{\"data\":[],\"errors\":[{\"code\":\"invalidPrompt\",\"message\":\"too rude\"}]}";
    let fake = Fake::start(move |_, _, _| Reply::Text("application/json", refused)).await;
    let error = text(&engine("runware", &fake.url, "", "").await).await.unwrap_err();
    assert!(error.to_string().contains("too rude") && fake.asks().len() == 1, "{error}");
}

#[tokio::test]
async fn streams_are_read_wherever_they_are_cut() {
    let raw = Raw::start(|mut talk: Talk| async move {
        while talk.request().await.is_some() {
            talk.write(EVENTS).await;
            let stream =
                "\u{feff}data: {\"choices\":[{\"delta\":{\"content\":\"Hello\"}}]}\r\n\r\ndata: [DONE]\r\n\r\n";
            for byte in stream.as_bytes() {
                talk.write(chunk([*byte])).await;
            }
            talk.write("0\r\n\r\n").await;
        }
    })
    .await;
    let fairflow = engine("openai", &raw.url, "", "").await;
    for _ in 0..3 {
        assert_eq!(said(&text(&fairflow).await.unwrap()), "Hello");
    }
}
