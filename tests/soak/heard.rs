//! What a caller was told, and whether that can be true.

use serde_json::Value;

/// How a request ended, as its caller sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// The right answer.
    Served,
    /// An error in the caller's shape: its status (200 for one inside a stream), its reason, its words.
    Refused { status: u16, reason: String, words: String },
}

/// Reads an answer of the chat door.
///
/// # Errors
///
/// What no caller should ever hear: a success that is none, an error that says nothing, another dialect.
pub fn chat(status: u16, reason: &str, kind: &str, body: &[u8], stream: bool, right: &str) -> Result<Heard, String> {
    if (200..300).contains(&status) {
        if status == 200 && stream && kind.starts_with("text/event-stream") {
            return events(&String::from_utf8_lossy(body), reason, right);
        }
        let answer: Value =
            serde_json::from_slice(body).map_err(|_| format!("{status} without JSON: {}", shown(body)))?;
        let said = &answer["choices"][0]["message"]["content"];
        return if said == right && !stream {
            Ok(Heard::Served)
        } else {
            Err(format!("a {status} that is none: {}", shown(body)))
        };
    }
    refusal(status, reason, body)
}

/// Reads an answer that holds something made, in either dialect.
///
/// # Errors
///
/// As of [`chat`].
pub fn made(status: u16, reason: &str, body: &[u8], is_right: impl Fn(&Value) -> bool) -> Result<Heard, String> {
    let answer: Value = serde_json::from_slice(body).map_err(|_| format!("{status} without JSON: {}", shown(body)))?;
    match status {
        200 if answer["errors"].is_array() => refusal(status, reason, body),
        200 if is_right(&answer) => Ok(Heard::Served),
        200..=299 => Err(format!("a {status} that is none: {}", shown(body))),
        _ => refusal(status, reason, body),
    }
}

/// Reads an error of OpenAI's shape or Runware's.
fn refusal(status: u16, reason: &str, body: &[u8]) -> Result<Heard, String> {
    if status != 200 && !(400..600).contains(&status) {
        return Err(format!("status {status}: {}", shown(body)));
    }
    let answer: Value = serde_json::from_slice(body).map_err(|_| format!("{status} without JSON: {}", shown(body)))?;
    let error = answer.get("error").unwrap_or(&answer["errors"][0]);
    match error["message"].as_str().unwrap_or_default() {
        "" => Err(format!("{status} without a message: {}", shown(body))),
        words if words.contains("internal error") => Err(format!("{status}: {words}")),
        words => Ok(Heard::Refused { status, reason: reason.to_owned(), words: words.to_owned() }),
    }
}

fn shown(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned()
}

/// Reads an event stream to its end.
fn events(body: &str, reason: &str, right: &str) -> Result<Heard, String> {
    let (mut text, mut error, mut done) = (String::new(), None, false);
    for line in body.lines() {
        let Some(data) = line.strip_prefix("data:").map(str::trim) else {
            if !line.is_empty() && !line.starts_with(':') && !line.contains(':') {
                return Err(format!("no line of an event: {line:?}"));
            }
            continue;
        };
        if data == "[DONE]" {
            done = true;
            continue;
        }
        let event: Value = serde_json::from_str(data).map_err(|_| format!("an event that is no JSON: {data:.200}"))?;
        if let Some(told) = event.get("error").filter(|told| !told.is_null()) {
            let words = told["message"].as_str().unwrap_or_default().to_owned();
            if words.is_empty() || words.contains("internal error") {
                return Err(format!("an error event without a reason: {data:.200}"));
            }
            error = Some(words);
        }
        text += event["choices"][0]["delta"]["content"].as_str().unwrap_or_default();
    }
    match error {
        Some(words) => Ok(Heard::Refused { status: 200, reason: reason.to_owned(), words }),
        None if done && text == right => Ok(Heard::Served),
        None => Err(format!("a stream that ends (done: {done}) with {:?} and no error", &text[..text.len().min(100)])),
    }
}

#[test]
fn a_success_that_is_none_is_seen() {
    let judge = |status, kind, body: &str, stream| chat(status, "", kind, body.as_bytes(), stream, "x");
    let right = r#"{"choices":[{"message":{"content":"x"}}]}"#;
    let event = "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n";
    let events = "text/event-stream";
    assert_eq!(judge(200, "application/json", right, false), Ok(Heard::Served));
    assert_eq!(judge(200, events, &format!("{event}data: [DONE]\n\n"), true), Ok(Heard::Served));
    for (status, kind, body, stream) in [
        (200, "application/json", right, true),
        (200, "application/json", "{}", false),
        (200, events, event, true),
        (200, events, "data: [DONE]\n\n", true),
        (502, "text/html", "<html>", false),
        (307, "text/html", "{}", false),
        (500, "application/json", r#"{"error":{"message":"internal error"}}"#, false),
    ] {
        assert!(judge(status, kind, body, stream).is_err(), "{status} {body}");
    }
}
