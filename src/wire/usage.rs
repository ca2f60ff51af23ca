//! Finds what a generation used, in an answer and in an event stream that passes by.

use super::told::{Found, Text};
use crate::task::BYTES_PER_TOKEN;
use crate::task::Usage;

/// Longest string that is kept of a line whose end has not come; a longer one is text or an image, not usage.
const LONGEST_STRING: usize = 4 * 1024;
/// Bytes up to which a piece of text counts as one token.
const LONGEST_TOKEN: u64 = 16;
/// Most that is kept of such a line.
const LONGEST_LINE: usize = 64 * 1024;

/// Reads `usage` from the events of a stream, wherever the chunks fall, and estimates the tokens of the text that passes. Of
/// most lines only the text is parsed.
#[derive(Debug, Default)]
pub struct UsageFinder {
    /// The beginning of a line that is not complete.
    line: Line,
    /// Tokens of text that has passed and was not asked about yet.
    tokens: u64,
}

/// The beginning of a line of JSON without its long strings, so that what stands behind megabytes of text is found.
#[derive(Debug, Default)]
struct Line {
    kept: Vec<u8>,
    /// Where the string under way begins in what is kept.
    string: Option<usize>,
    /// That string is left out.
    is_long: bool,
    /// It goes on with an escaped character.
    is_escaped: bool,
    /// Bytes of strings that are left out.
    dropped: u64,
    /// Too much is kept: the line is passed over to its end.
    is_lost: bool,
}

impl Line {
    fn push(&mut self, piece: &[u8]) {
        for &byte in piece {
            let Some(begin) = self.string else {
                self.kept.push(byte);
                self.string = (byte == b'"').then_some(self.kept.len());
                continue;
            };
            let ends = byte == b'"' && !self.is_escaped;
            self.is_escaped = byte == b'\\' && !self.is_escaped;
            if !self.is_long && self.kept.len() - begin == LONGEST_STRING {
                self.kept.truncate(begin);
                self.dropped += LONGEST_STRING as u64;
                self.is_long = true;
            }
            if ends || !self.is_long {
                self.kept.push(byte);
            } else {
                self.dropped += 1;
            }
            if ends {
                (self.string, self.is_long) = (None, false);
            }
        }
        if self.kept.len() > LONGEST_LINE {
            self.is_lost = true;
        }
        if self.is_lost {
            self.kept.clear();
            self.string = None;
        }
    }
}

/// Reads the `usage` of an answer.
#[must_use]
pub fn usage_of(answer: &[u8]) -> Option<Usage> {
    serde_json::from_slice::<Found>(answer).ok()?.0
}

impl UsageFinder {
    /// Takes the next chunk and returns the usage it completes, the last where there are several.
    pub fn push(&mut self, chunk: &[u8]) -> Option<Usage> {
        let mut found = None;
        for piece in chunk.split_inclusive(|&byte| byte == b'\n') {
            let ends = piece.ends_with(b"\n");
            if ends && self.line.kept.is_empty() && !self.line.is_lost {
                found = self.read(piece, 0).or(found);
                continue;
            }
            self.line.push(piece);
            if ends {
                let line = std::mem::take(&mut self.line);
                found = self.read(&line.kept, line.dropped).or(found);
            }
        }
        found
    }

    /// Returns about how many tokens have passed since this was last asked.
    pub fn take_tokens(&mut self) -> u64 {
        std::mem::take(&mut self.tokens)
    }

    /// Counts the text of a `data:` line, of which so many bytes were left out, and returns the usage where it holds an
    /// object of that name; most hold none, or null.
    fn read(&mut self, line: &[u8], dropped: u64) -> Option<Usage> {
        let data = std::str::from_utf8(line).ok()?.strip_prefix("data:")?.trim();
        let mut deltas = values(data, "\"delta\"").peekable();
        let dropped = if deltas.peek().is_some() { dropped } else { 0 };
        self.tokens += deltas.map(tokens).sum::<u64>() + dropped / BYTES_PER_TOKEN;
        if !values(data, "\"usage\"").any(|value| value.starts_with('{')) {
            return None;
        }
        usage_of(data.as_bytes())
    }
}

/// Returns what stands behind each `name` in quotes that may be a key, from the value on.
fn values<'a>(data: &'a str, name: &'static str) -> impl Iterator<Item = &'a str> {
    let behind = data.match_indices(name).map(move |(at, _)| data[at + name.len()..].trim_start());
    behind.filter_map(|rest| Some(rest.strip_prefix(':')?.trim_start()))
}

/// Estimates the tokens of the text in a delta, the value at the beginning of `rest`. Providers send one for each token, or
/// for a few; some send all at once.
fn tokens(rest: &str) -> u64 {
    let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Text>();
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
    fn usage_is_found_wherever_the_chunks_fall() {
        let stream = b"data: {\"choices\":[{\"delta\":{\"content\":\"say \\\"usage\\\"\"}}],\"usage\":null}\n\n\
            : \"usage\":{\"prompt_tokens\":9}\n\n\
            data: {\"choices\":[],\"usage\" : {\"prompt_tokens\":3,\"completion_tokens\":5}}\r\n\r\ndata: [DONE]\n\n";
        for cut in 1..=stream.len() {
            let mut finder = UsageFinder::default();
            let found: Vec<Usage> = stream.chunks(cut).filter_map(|chunk| finder.push(chunk)).collect();
            let tokens: Vec<_> = found.iter().map(|usage| (usage.input_tokens, usage.output_tokens)).collect();
            assert_eq!(tokens, [(Some(3), Some(5))], "cut at {cut}");
            assert_eq!((finder.take_tokens(), finder.take_tokens()), (1, 0));
        }
    }

    #[test]
    fn an_endless_line_is_not_kept() {
        let mut finder = UsageFinder::default();
        for _ in 0..100 {
            assert_eq!(finder.push(&[b'x'; 4_096]), None);
            assert!(finder.line.kept.len() <= LONGEST_LINE);
        }
        assert_eq!(finder.push(b"\n"), None);
        let usage = finder.push(b"data: {\"usage\":{\"prompt_tokens\":1}}\n").expect("found");
        assert_eq!(usage.input_tokens, Some(1));
    }

    #[test]
    fn usage_is_found_behind_megabytes_of_text() {
        let text = r#"all of \"it\" \\"#.repeat(100_000);
        let event = format!("data: {{\"text\":\"{text}\",\"usage\":{{\"prompt_tokens\":3}},\"more\":\"{text}\"}}\n");
        for cut in [1, 7, 4_096, 1 << 20] {
            let mut finder = UsageFinder::default();
            let found: Vec<Usage> = event.as_bytes().chunks(cut).filter_map(|chunk| finder.push(chunk)).collect();
            assert_eq!(found.iter().map(|usage| usage.input_tokens).collect::<Vec<_>>(), [Some(3)], "cut at {cut}");
        }
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
                let found = UsageFinder::default().push(format!("data: {answer}\n").as_bytes());
                assert_eq!(found.map(read), Some((Some(3), Some(5))), "{answer}");
            }
            assert_eq!(usage_of(format!("{{{other}}}").as_bytes()), None, "{other}");
        }
        assert_eq!(usage_of(b"[1]"), None);
    }

    #[test]
    fn a_piece_is_an_event_with_text_that_a_model_wrote() {
        let count = |events: &[&str]| {
            let mut finder = UsageFinder::default();
            events.iter().for_each(|event| assert_eq!(finder.push(format!("data: {event}\n\n").as_bytes()), None));
            finder.take_tokens()
        };
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
        // All at once: four bytes a token, however the chunks fall.
        let whole = format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{}\"}}}}]}}\n", "word".repeat(2_000));
        for cut in [whole.len(), 1_000] {
            let mut finder = UsageFinder::default();
            whole.as_bytes().chunks(cut).for_each(|chunk| assert_eq!(finder.push(chunk), None));
            assert_eq!(finder.take_tokens(), 2_000, "cut at {cut}");
        }
    }
}
