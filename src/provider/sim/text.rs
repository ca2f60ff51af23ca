//! Texts that a simulated provider writes, and tasks that it refuses because it could not do them.

use serde_json::Value;

use super::super::{Failure, Outcome};
use crate::task::{TextInference, TextResult, Usage, Work};
use crate::wire::Malformed;

const WORDS: [&str; 12] =
    ["The", "simulated", "model", "answers", "in", "its", "own", "good", "time,", "whatever", "was", "asked."];
/// Most words of an answer.
const MOST_WORDS: u64 = 512;

/// Refuses a text that would have to be another than this provider writes: nothing that is asked for is passed over.
pub(super) fn check(work: &Work) -> Result<(), Failure> {
    let Work::Text(task) = work else { return Ok(()) };
    match trouble(task) {
        None => Ok(()),
        Some(malformed) => Err(Failure::new(Outcome::Rejected, malformed.to_string()).caused_by(malformed)),
    }
}

fn trouble(task: &TextInference) -> Option<Malformed> {
    let asked = |name: &str| task.extra.get(name).filter(|value| !value.is_null());
    let is_plain = |format: &Value| format.get("type").is_none_or(|kind| kind == "text");
    let called = asked("tool_choice").or(asked("function_call")).is_none_or(|choice| choice != "none");
    for name in ["tools", "functions"] {
        if called && asked(name).is_some_and(|tools| tools.as_array().is_none_or(|tools| !tools.is_empty())) {
            return Some(Malformed::new(name, "must be left out: a simulated model calls none"));
        }
    }
    for name in ["n", "numberResults"] {
        if asked(name).is_some_and(|count| count != 1) {
            return Some(Malformed::new(name, "must be 1: a simulated model writes one answer"));
        }
    }
    let formats = [
        ("response_format", asked("response_format")),
        ("text.format", asked("text").and_then(|text| text.get("format"))),
    ];
    let other = formats.into_iter().find(|(_, format)| format.is_some_and(|format| !is_plain(format)));
    other.map(|(name, _)| Malformed::new(name, "must be text: a simulated model writes no JSON"))
}

/// Writes as many words as may be, or those of one sentence.
pub(super) fn write(task: &TextInference) -> TextResult {
    let length = task.max_tokens.unwrap_or(WORDS.len() as u64).clamp(1, MOST_WORDS);
    let words: Vec<&str> = WORDS.iter().copied().cycle().take(usize::try_from(length).unwrap_or(1)).collect();
    let input = task.messages.iter().map(|message| message.content.to_string().len() as u64 / 4).sum();
    let usage = Usage { input_tokens: Some(input), output_tokens: Some(length), dollars: None };
    let is_full = task.max_tokens.is_some_and(|most| most <= length);
    let reason = if is_full { "length" } else { "stop" };
    TextResult { text: words.join(" "), finish_reason: Some(reason.into()), usage }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_ends_for_the_reason_it_says() {
        let text = || TextInference::new("m", "x");
        let reason = |task| write(&task).finish_reason.expect("one");
        let reasons = [text(), text().max_tokens(5), text().max_tokens(100), text().max_tokens(1_000)].map(reason);
        assert_eq!(reasons, ["stop", "length", "length", "stop"]);
        assert_eq!(write(&text().max_tokens(5)).usage.output_tokens, Some(5));
    }

    #[test]
    fn what_cannot_be_done_is_refused_by_name() {
        let ask = |name: &str, value: Value| trouble(&TextInference::new("m", "x").set(name, value));
        for (name, value, field) in [
            ("tools", json!([{"type": "function"}]), "tools"),
            ("functions", json!([{}]), "functions"),
            ("n", json!(2), "n"),
            ("numberResults", json!(3), "numberResults"),
            ("response_format", json!({"type": "json_schema"}), "response_format"),
            ("text", json!({"format": {"type": "json_object"}}), "text.format"),
        ] {
            assert_eq!(ask(name, value).expect(name).field, field);
        }
        for (name, value) in [
            ("tools", json!([])),
            ("tools", Value::Null),
            ("n", json!(1)),
            ("response_format", json!({"type": "text"})),
            ("text", json!({"verbosity": "low"})),
            ("temperature", json!(0)),
        ] {
            assert_eq!(ask(name, value), None, "{name}");
        }
        let unused = TextInference::new("m", "x").set("tools", json!([{}])).set("tool_choice", "none");
        assert_eq!(trouble(&unused), None);
    }
}
