//! Finds what a generation used in an event stream that passes by.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::task::Usage;

/// Longest string that is kept of a line whose end has not come; a longer one is text or an image, not usage.
const LONGEST_STRING: usize = 4 * 1024;
/// Most that is kept of such a line.
const LONGEST_LINE: usize = 64 * 1024;

/// Reads `usage` from the events of a stream, wherever the chunks fall. Only lines that hold one are parsed.
#[derive(Debug, Default)]
pub struct UsageFinder {
    /// The beginning of a line that is not complete.
    line: Line,
    /// Events that have passed and were not asked about yet.
    events: u64,
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
                self.is_long = true;
            }
            if ends || !self.is_long {
                self.kept.push(byte);
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

#[derive(Deserialize)]
struct WithUsage {
    usage: Option<Map<String, Value>>,
    /// Where the events of a response have it.
    response: Option<Box<WithUsage>>,
}

impl UsageFinder {
    /// Takes the next chunk and returns the usage it completes, the last where there are several.
    pub fn push(&mut self, chunk: &[u8]) -> Option<Usage> {
        let mut found = None;
        for piece in chunk.split_inclusive(|&byte| byte == b'\n') {
            let ends = piece.ends_with(b"\n");
            if ends && self.line.kept.is_empty() && !self.line.is_lost {
                found = read(piece, &mut self.events).or(found);
                continue;
            }
            self.line.push(piece);
            if ends {
                found = read(&self.line.kept, &mut self.events).or(found);
                self.line = Line::default();
            }
        }
        found
    }

    /// Returns how many events have passed since this was last asked.
    pub fn take_events(&mut self) -> u64 {
        std::mem::take(&mut self.events)
    }
}

/// Counts a `data:` line, and returns the usage where it holds an object of that name; most hold none, or null.
fn read(line: &[u8], events: &mut u64) -> Option<Usage> {
    *events += u64::from(line.starts_with(b"data:"));
    let data = std::str::from_utf8(line).ok()?.strip_prefix("data:")?;
    let (_, value) = data.split_once("\"usage\"")?;
    if !value.trim_start().strip_prefix(':')?.trim_start().starts_with('{') {
        return None;
    }
    let told: WithUsage = serde_json::from_str(data.trim()).ok()?;
    let usage = told.usage.or_else(|| told.response?.usage)?;
    Some(Usage::from_json(&usage))
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
            assert_eq!((finder.take_events(), finder.take_events()), (3, 0));
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
}
