//! Usage of a generation, as an answer or the events of a stream that passes by tell it.

use memchr::memmem;

use super::told::{Found, Text};
use crate::task::{BYTES_PER_TOKEN, Usage};

/// Bytes up to which a piece of text counts as one token.
const LONGEST_TOKEN: u64 = 16;

/// Reads the `usage` of an answer.
#[must_use]
pub fn usage_of(answer: &[u8]) -> Option<Usage> {
    serde_json::from_slice::<Found>(answer).ok()?.0
}

/// Reads the usage that the payload of an event tells. Most tell none, or null, and are not parsed.
#[must_use]
pub fn usage_in(data: impl AsRef<[u8]>) -> Option<Usage> {
    let data = data.as_ref();
    if !values(data, "\"usage\"").any(|value| value.starts_with(b"{")) {
        return None;
    }
    usage_of(data)
}

/// Estimates the tokens of the text in the payload of an event. Of most events only the text is parsed.
#[must_use]
pub fn tokens_in(data: impl AsRef<[u8]>) -> u64 {
    values(data.as_ref(), "\"delta\"").map(tokens).sum()
}

/// Returns what stands behind each `name` in quotes that may be a key, from the value on.
fn values<'a>(data: &'a [u8], name: &'static str) -> impl Iterator<Item = &'a [u8]> {
    let behind = memmem::find_iter(data, name).map(move |at| data[at + name.len()..].trim_ascii_start());
    behind.filter_map(|rest| Some(rest.strip_prefix(b":")?.trim_ascii_start()))
}

/// Estimates the tokens of the text in a delta, the value at the beginning of `rest`. Providers send one for each token, or
/// for a few; some send all at once.
fn tokens(rest: &[u8]) -> u64 {
    let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<Text>();
    match values.next() {
        Some(Ok(Text(bytes))) if bytes > LONGEST_TOKEN => bytes / BYTES_PER_TOKEN,
        Some(Ok(Text(bytes))) => bytes.min(1),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_found_behind_megabytes_of_text() {
        let text = r#"all of \"it\" \\"#.repeat(100_000);
        let event = format!("{{\"text\":\"{text}\",\"usage\" : {{\"prompt_tokens\":3}},\"more\":\"{text}\"}}");
        assert_eq!(usage_in(&event).map(|usage| usage.input_tokens), Some(Some(3)));
        assert_eq!(usage_in(r#"{"choices":[{"delta":{"content":"say \"usage\""}}],"usage":null}"#), None);
    }

    #[test]
    fn what_has_the_name_and_is_no_usage_hides_none() {
        let real = r#""usage":{"prompt_tokens":3,"completion_tokens":5}"#;
        for more in ["null", "[]", "[{\"prompt_tokens\":9}]", "\"none\"", "7", "true", "{}", "{\"note\":1}"] {
            let other = format!("\"usage\":{more}");
            for answer in [
                format!("{{{other},{real}}}"),
                format!("{{{real},{other}}}"),
                format!("{{\"choices\":[{{{other}}}],{real}}}"),
                format!("{{\"choices\":[{{{other}}}],\"response\":{{{real}}},{other}}}"),
            ] {
                let read = |usage: Usage| (usage.input_tokens, usage.output_tokens);
                assert_eq!(usage_of(answer.as_bytes()).map(read), Some((Some(3), Some(5))), "{answer}");
                let found = usage_in(&answer);
                assert_eq!(found.map(read), Some((Some(3), Some(5))), "{answer}");
            }
            assert_eq!(usage_of(format!("{{{other}}}").as_bytes()), None, "{other}");
        }
        assert_eq!(usage_of(b"[1]"), None);
    }

    #[test]
    fn a_piece_is_an_event_with_text_that_a_model_wrote() {
        let count = |events: &[&str]| events.iter().map(tokens_in).sum::<u64>();
        let pieces = [
            r#"{"choices":[{"delta":{"role":"assistant","content":"a"}}]}"#,
            r#"{"choices":[{"delta" : {"content":null,"reasoning_content":"hm"}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"delta\":"}}]}}]}"#,
            r#"{"type":"response.output_text.delta","delta":"b"}"#,
            r#"{"choices":[{"text":"\"delta\"","delta":{"content":"\"delta\":{}"}}]}"#,
        ];
        let others = [
            "[DONE]",
            r#"{"choices":[{"delta":{"role":"assistant","content":""}}]}"#,
            r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#,
            r#"{"type":"response.created","response":{"id":"r"}}"#,
            r#"{"type":"response.output_text.delta","delta":""}"#,
            r#"{"delta"#,
        ];
        assert_eq!((count(&pieces), count(&others)), (pieces.len() as u64, 0));
        assert_eq!(count(&[r#"{"choices":[{"delta":{"content":"a"}},{"delta":{"content":"b"}}]}"#]), 2);
        // All at once: four bytes a token.
        let whole = format!("{{\"choices\":[{{\"delta\":{{\"content\":\"{}\"}}}}]}}", "word".repeat(2_000));
        assert_eq!(tokens_in(&whole), 2_000);
    }
}
