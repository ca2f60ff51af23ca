//! Finds what a provider says in an answer that refuses: its codes and its message, in whatever shape they come.
//!
//! Rules compare every code of an answer, so all are collected; `wire::said` picks the words that a caller is told.

use serde_json::{Map, Value};

use crate::contract::words::Words;

/// Most of a body that is looked at.
const MOST: usize = 256 * 1024;
/// Longest message that is kept, in characters.
const LONGEST: usize = 1_000;
/// Most codes, and the longest of one.
const CODES: usize = 16;
const LONGEST_CODE: usize = 128;
/// Where error objects keep what a program may compare.
const CODE_FIELDS: [&str; 8] = ["code", "type", "status", "reason", "error_type", "errorCode", "error_code", "name"];
/// Where they keep what people may read, the most telling first.
const MESSAGE_FIELDS: [&str; 8] =
    ["message", "detail", "msg", "error_description", "errorMessage", "error_msg", "title", "description"];

/// Reads the words of an answer. Pages of HTML have none but their title.
pub(in crate::provider) fn read(status: u16, content_type: &str, body: &[u8]) -> Words {
    let mut said = Words::new(status, Vec::new(), "");
    let body = body.trim_ascii();
    if body.is_empty() || body.len() > MOST {
        return said;
    }
    match serde_json::from_slice::<Value>(body) {
        Ok(answer) => object(&mut said, &answer),
        Err(_) => {
            let text = String::from_utf8_lossy(body);
            said.message = if is_page(content_type, body) { title(&text) } else { cut(&text) };
        }
    }
    said
}

/// Says whether a body is a page for people.
pub(in crate::provider) fn is_page(content_type: &str, body: &[u8]) -> bool {
    content_type.trim_start().to_ascii_lowercase().starts_with("text/html") || body.trim_ascii_start().starts_with(b"<")
}

fn title(page: &str) -> String {
    let lower = page.to_ascii_lowercase();
    let inside = lower.find("<title").and_then(|at| {
        let begin = at + lower[at..].find('>')? + 1;
        let end = begin + lower[begin..].find('<')?;
        page.get(begin..end)
    });
    cut(inside.unwrap_or_default())
}

/// Shortens a text and leaves out what is no text.
fn cut(text: &str) -> String {
    let clean = text.trim().chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c });
    clean.collect::<String>().trim().to_owned()
}

/// Reads an answer's error: in a list, under `error` or `errors`, or the answer itself.
fn object(said: &mut Words, answer: &Value) {
    match answer {
        Value::Array(list) => {
            if let Some(first) = list.first() {
                object(said, first);
            }
        }
        Value::String(text) => said.message = cut(text),
        Value::Object(fields) => {
            match fields.get("error").or_else(|| fields.get("errors")) {
                Some(Value::String(text)) => plain(said, text),
                Some(Value::Array(list)) => match list.first() {
                    Some(Value::Object(error)) => put(said, error),
                    Some(Value::String(text)) => plain(said, text),
                    _ => {}
                },
                Some(Value::Object(error)) => put(said, error),
                _ => {}
            }
            put(said, fields);
        }
        _ => {}
    }
}

/// An error that is a mere text may be a code or a message.
fn plain(said: &mut Words, text: &str) {
    if text.contains(' ') || !text.is_ascii() {
        said.message = cut(text);
    } else {
        code(said, text);
    }
}

fn put(said: &mut Words, fields: &Map<String, Value>) {
    for name in CODE_FIELDS {
        match fields.get(name) {
            Some(Value::String(text)) => code(said, text),
            Some(Value::Number(number)) => code(said, &number.to_string()),
            _ => {}
        }
    }
    // Google's details name the reason and the quota; OpenAI's Azure has an inner error.
    for detail in fields.get("details").and_then(Value::as_array).into_iter().flatten().take(CODES) {
        let violations = detail.get("violations").and_then(Value::as_array).into_iter().flatten();
        let quotas = violations.take(CODES).filter_map(|violation| violation.get("quotaId"));
        for text in detail.get("reason").into_iter().chain(quotas).filter_map(Value::as_str) {
            code(said, text);
        }
    }
    for inner in ["innererror", "inner_error", "metadata"] {
        if let Some(text) = fields.get(inner).and_then(|inner| inner.get("code")).and_then(Value::as_str) {
            code(said, text);
        }
    }
    if !said.message.is_empty() {
        return;
    }
    for name in MESSAGE_FIELDS {
        match fields.get(name) {
            Some(Value::String(text)) if !text.trim().is_empty() => said.message = cut(text),
            Some(Value::Array(list)) => validation(said, list),
            Some(Value::Object(inner)) => put(said, inner),
            _ => {}
        }
        if !said.message.is_empty() {
            return;
        }
    }
}

/// Reads FastAPI's list of what is wrong with a request.
fn validation(said: &mut Words, list: &[Value]) {
    let Some(first) = list.first() else { return };
    if let Some(kind) = first.get("type").and_then(Value::as_str) {
        code(said, kind);
    }
    let message = first.get("msg").or_else(|| first.get("message")).and_then(Value::as_str);
    said.message = cut(message.or_else(|| first.as_str()).unwrap_or_default());
}

fn code(said: &mut Words, text: &str) {
    let text = text.trim().to_lowercase();
    let fits = !text.is_empty() && text.len() <= LONGEST_CODE && said.codes.len() < CODES;
    if fits && !said.codes.contains(&text) {
        said.codes.push(text);
    }
}

/// Writes a message as rules compare it: in lower case, without what it quotes, which may be a caller's words.
pub(super) fn comparable(message: &str) -> String {
    let mut plain = String::with_capacity(message.len());
    let mut chars = message.chars().peekable();
    let mut before = ' ';
    while let Some(c) = chars.next() {
        // An apostrophe inside a word quotes nothing.
        let opens = matches!(c, '"' | '`' | '“') || (c == '\'' && !before.is_alphanumeric());
        if !opens {
            plain.extend(c.to_lowercase());
            before = c;
            continue;
        }
        let closes = if c == '“' { '”' } else { c };
        let rest: Vec<char> = chars.clone().collect();
        let ends = |at: &usize| {
            rest[*at] == closes && (c != '\'' || rest.get(at + 1).is_none_or(|next| !next.is_alphanumeric()))
        };
        // What is never closed goes on to the end: it may be cut off inside a caller's text.
        let skip = (0..rest.len()).find(ends).map_or(rest.len(), |at| at + 1);
        chars.by_ref().take(skip).for_each(drop);
        plain.push(c);
        before = c;
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_in_every_shape() {
        for (body, code, message) in [
            (r#"{"error":{"message":"Bad","type":"t","code":"c"}}"#, "c", "Bad"),
            (r#"[{"error":{"message":"Bad","status":"RESOURCE_EXHAUSTED","code":429}}]"#, "resource_exhausted", "Bad"),
            (r#"{"error":"It is bad"}"#, "", "It is bad"),
            (r#"{"error":"bad_thing","message":"Bad"}"#, "bad_thing", "Bad"),
            (r#"{"detail":"Bad"}"#, "", "Bad"),
            (r#"{"detail":[{"type":"missing","msg":"Bad","loc":["body"]}]}"#, "missing", "Bad"),
            (r#"{"detail":{"message":"Bad","code":"c"}}"#, "c", "Bad"),
            (r#"{"errors":[{"code":"invalidApiKey","message":"Bad"}]}"#, "invalidapikey", "Bad"),
            (r#"{"title":"Insufficient credit","detail":"Bad","status":402}"#, "402", "Bad"),
            (r#"{"type":"error","error":{"type":"overloaded_error","message":"Bad"}}"#, "overloaded_error", "Bad"),
            (r#""Bad""#, "", "Bad"),
            ("Bad", "", "Bad"),
            ("<html><head><title>502 Bad Gateway</title></head></html>", "", "502 Bad Gateway"),
            ("", "", ""),
            ("[]", "", ""),
            ("7", "", ""),
            (r#"{"error":null,"errors":[]}"#, "", ""),
        ] {
            let said = read(400, "application/json", body.as_bytes());
            assert!(code.is_empty() || said.codes.contains(&code.to_owned()), "{body}: {said:?}");
            assert_eq!(said.message, message, "{body}");
        }
        let google = r#"{"error":{"message":"x","details":[{"violations":[{"quotaId":"PerDay"}]},{"reason":"R"}]}}"#;
        assert_eq!(read(429, "", google.as_bytes()).codes, ["perday", "r"]);
    }

    #[test]
    fn what_is_quoted_does_not_count() {
        for (message, plain) in [
            ("Bad value 'insufficient_quota' here", "bad value ' here"),
            ("You've used it, and it isn't `yours`.", "you've used it, and it isn't `."),
            ("Invalid: \"your credit balance", "invalid: \""),
            ("it's 'don't' so", "it's ' so"),
        ] {
            assert_eq!(comparable(message), plain);
        }
    }

    #[test]
    fn whatever_comes_is_bounded() {
        let long = format!(r#"{{"error":{{"message":"{}","code":"{}"}}}}"#, "é".repeat(5_000), "c".repeat(500));
        let said = read(400, "", long.as_bytes());
        assert_eq!((said.message.chars().count(), said.codes.len()), (LONGEST, 0));
        assert_eq!(read(400, "", &vec![b'x'; MOST + 1]).message, "");
    }
}
