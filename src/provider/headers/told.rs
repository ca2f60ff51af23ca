//! How long a refusal says to stay away, wherever it says so: in headers, in the fields of its error object, in the words
//! of its message. The longest counts, since coming back earlier is refused by whichever limit that was.
//!
//! | where | what |
//! |---|---|
//! | any | `retry-after` (seconds, a duration, an HTTP date; several times or joined), `retry-after-ms`, `x-ms-retry-after-ms` |
//! | limits of which nothing is left | their reset (see [`hints_at`]) |
//! | Anthropic's subscriptions | `anthropic-ratelimit-unified-…-reset` where the `-status` beside it is `rejected` |
//! | Gemini, Vertex | `details[]` with `retryDelay`, the error perhaps in an array |
//! | OpenRouter | `error.metadata.headers`, and the upstream's own answer in `error.metadata.raw` |
//! | Hugging Face | `estimated_time` |
//! | Runware, Cloudflare and others | `retryAfter`, `retry_after`, `resets_in_seconds`, `resets_at`, … |
//!
//! Only the error object is read, never an echo of the request beside it.

use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value};

use super::limits::hints_at;
use super::read::{text, texts};
use super::span::{bounded, instant, millis, wait};
use super::words::wait_in;
use crate::core::pacer::RateHint;

/// Deepest object that is looked into.
const DEPTH: u32 = 8;
/// Most members of a list that are.
const MEMBERS: usize = 8;
/// Longest text without structure that is read for words, in bytes.
const LONGEST_TEXT: usize = 4_096;
/// Fields that hold the error, or more about it.
const INSIDE: [&str; 7] = ["error", "errors", "details", "detail", "metadata", "innererror", "cause"];
/// Fields that hold the provider's sentence.
const SENTENCES: [&str; 6] = ["message", "error", "detail", "msg", "error_description", "title"];

/// Returns how long a refusal says to stay away, at most a month; `None` where it does not say.
pub(crate) fn stated_wait(headers: &HeaderMap, body: &[u8]) -> Option<Duration> {
    stated_wait_at(headers, body, SystemTime::now())
}

pub(super) fn stated_wait_at(headers: &HeaderMap, body: &[u8], now: SystemTime) -> Option<Duration> {
    in_headers(headers, now).max(in_body(body, now, DEPTH))
}

fn in_headers(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let spent = hints_at(headers, now).used_up().filter_map(|hint| RateHint::next_unit(&hint)).max();
    retry_after_at(headers, now).max(unified(headers, now)).max(spent)
}

/// Reads `retry-after` and its forms in milliseconds. Where the former is the latter rounded up, the latter counts.
pub(super) fn retry_after_at(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let names = ["retry-after-ms", "x-ms-retry-after-ms"];
    let joined = names.into_iter().flat_map(|name| texts(headers, name));
    let fine = joined.flat_map(|text| text.split(',')).filter_map(|text| millis(text.trim())).max();
    let coarse = texts(headers, "retry-after").filter_map(|text| joined_waits(text, now)).max();
    match (fine, coarse) {
        (Some(fine), Some(coarse)) if coarse.saturating_sub(fine) < Duration::from_secs(1) => Some(fine),
        _ => fine.max(coarse),
    }
}

/// Reads a wait, or several with commas between; a date has a comma itself.
fn joined_waits(text: &str, now: SystemTime) -> Option<Duration> {
    wait(text, now).or_else(|| {
        let parts: Vec<&str> = text.split(',').map(str::trim).collect();
        let single = parts.iter().filter_map(|part| wait(part, now));
        let dates = parts.windows(2).filter_map(|pair| instant(&format!("{}, {}", pair[0], pair[1]), now));
        single.chain(dates).max()
    })
}

/// Reads the limits of Anthropic's subscriptions: of all together, of five hours, of seven days.
fn unified(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let limits = headers.iter().filter_map(|(name, status)| {
        let limit = name.as_str().strip_suffix("-status")?;
        let rejected = limit.starts_with("anthropic-ratelimit-unified") && status == "rejected";
        rejected.then(|| text(headers, &format!("{limit}-reset"))).flatten()
    });
    limits.filter_map(|reset| wait(reset, now)).max()
}

fn in_body(body: &[u8], now: SystemTime, depth: u32) -> Option<Duration> {
    match serde_json::from_slice::<Value>(body) {
        Ok(Value::String(words)) => in_words(&words, now),
        Ok(answer) => in_value(&answer, now, depth),
        Err(_) => {
            let text = String::from_utf8_lossy(&body[..body.len().min(LONGEST_TEXT)]);
            // A page is for people, and what it says is seldom about this request.
            if text.trim_start().starts_with('<') { None } else { in_words(&text, now) }
        }
    }
}

fn in_words(words: &str, now: SystemTime) -> Option<Duration> {
    let end = (0..=words.len().min(LONGEST_TEXT)).rev().find(|end| words.is_char_boundary(*end));
    wait_in(&words[..end.unwrap_or(0)].to_lowercase(), now)
}

fn in_value(value: &Value, now: SystemTime, depth: u32) -> Option<Duration> {
    let depth = depth.checked_sub(1)?;
    match value {
        Value::Array(members) => members.iter().take(MEMBERS).filter_map(|member| in_value(member, now, depth)).max(),
        Value::Object(object) => in_object(object, now, depth),
        _ => None,
    }
}

fn in_object(object: &Map<String, Value>, now: SystemTime, depth: u32) -> Option<Duration> {
    let fields = object.iter().filter_map(|(name, value)| field(name, value, now)).max();
    let sentences = SENTENCES.iter().filter_map(|name| in_words(object.get(*name)?.as_str()?, now)).max();
    let inside = INSIDE.iter().filter_map(|name| in_value(object.get(*name)?, now, depth)).max();
    let headers = object.get("headers").and_then(Value::as_object).and_then(|told| in_headers(&as_headers(told), now));
    let raw = object.get("raw").and_then(Value::as_str).filter(|_| depth > 0);
    let raw = raw.and_then(|raw| in_body(raw.as_bytes(), now, depth - 1));
    fields.max(sentences).max(inside).max(headers).max(raw)
}

/// Reads a field whose name says that it is a wait.
fn field(name: &str, value: &Value, now: SystemTime) -> Option<Duration> {
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    match name.as_str() {
        "retryafterms" | "retryaftermillis" | "retryaftermilliseconds" | "resetsinms" => match value {
            Value::Number(number) => bounded(number.as_f64()? / 1e3),
            Value::String(text) => millis(text.trim()),
            _ => None,
        },
        "retryafter" | "retryafterseconds" | "retryaftersecs" | "retryaftersec" | "retrydelay" | "retryin"
        | "retryinseconds" | "estimatedtime" | "resetin" | "resetinseconds" | "resetsin" | "resetsinseconds"
        | "resetafter" | "resetafterseconds" | "waitseconds" | "waittime" | "retryat" | "resetat" | "resetsat"
        | "resettime" => match value {
            // A large one is a Unix time.
            Value::Number(number) => wait(&number.to_string(), now),
            Value::String(text) => joined_waits(text.trim(), now),
            Value::Object(parts) => {
                let number = |name: &str| parts.get(name).and_then(Value::as_f64);
                bounded(number("seconds")? + number("nanos").unwrap_or(0.0) / 1e9)
            }
            _ => None,
        },
        _ => None,
    }
}

/// Headers that stand in an object; what cannot be one is left out.
fn as_headers(told: &Map<String, Value>) -> HeaderMap {
    let pairs = told.iter().filter_map(|(name, value)| {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => return None,
        };
        Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(text).ok()?))
    });
    pairs.take(64).collect()
}

#[cfg(test)]
mod tests;
