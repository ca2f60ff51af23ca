//! Server-sent events: cuts a byte stream into whole events, wherever its chunks fall.
//!
//! As the HTML standard has it: lines end in LF, CR or CRLF, a blank one ends an event, `data` may take several lines, a
//! byte order mark may come first. An event whose end never comes is none.

use std::borrow::Cow;
use std::ops::Range;

use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr2;
use serde::de::IgnoredAny;

use super::malformed::Malformed;

/// Longest event that is held back while its end has not come, in bytes: as much as a whole answer may be by default.
const MAX_EVENT: usize = 64 * 1024 * 1024;
const MARK: &[u8] = b"\xef\xbb\xbf";

/// Whether bytes are the beginning of an event stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begins {
    /// They are: a comment or a field.
    Yes,
    /// They are something else: JSON, a page.
    No,
    /// Too few have come.
    Unknown,
}

/// Says by its first bytes whether a body is an event stream, since its content type may be missing or wrong.
#[must_use]
pub fn begins(body: &[u8]) -> Begins {
    const FIELDS: [&[u8]; 5] = [b"data", b"event", b"id", b"retry", b":"];
    if body.len() < MARK.len() && MARK.starts_with(body) {
        return Begins::Unknown;
    }
    let body = leading(body);
    if body.is_empty() {
        return Begins::Unknown;
    }
    for field in FIELDS {
        match body.strip_prefix(field) {
            Some([]) if field != b":" => return Begins::Unknown,
            Some([b':' | b'\n' | b'\r', ..]) => return Begins::Yes,
            Some(_) if field == b":" => return Begins::Yes,
            None if field.starts_with(body) => return Begins::Unknown,
            _ => {}
        }
    }
    Begins::No
}

/// Returns a body without what may stand before its beginning and says nothing: a byte order mark, blanks. What
/// [`begins`] cannot tell yet is a few bytes of it, however much has come.
#[must_use]
pub(crate) fn leading(body: &[u8]) -> &[u8] {
    body.strip_prefix(MARK).unwrap_or(body).trim_ascii_start()
}

/// An event of a stream, or comments alone: the bytes up to and with a blank line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    raw: Bytes,
    payload: Payload,
}

/// Where the payload of an event is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Payload {
    None,
    /// In one line, which is the rule.
    Line(Range<usize>),
    Lines,
}

impl Event {
    /// Returns the bytes as they came, with the blank line.
    #[must_use]
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// Returns the bytes as they came, for themselves.
    #[must_use]
    pub fn into_raw(self) -> Bytes {
        self.raw
    }

    /// Returns the payload, its lines joined; `None` where there is none, so that nothing was said.
    #[must_use]
    pub fn payload(&self) -> Option<Cow<'_, [u8]>> {
        match &self.payload {
            Payload::None => None,
            Payload::Line(line) => Some(Cow::Borrowed(&self.raw[line.clone()])),
            Payload::Lines => {
                let lines: Vec<_> = fields(&self.raw, b"data").map(|line| &self.raw[line]).collect();
                Some(Cow::Owned(lines.join(&b'\n')))
            }
        }
    }

    /// Returns the payload as text. It is looked at as a whole for that, which [`payload`](Self::payload) spares.
    #[must_use]
    pub fn data(&self) -> Option<Cow<'_, str>> {
        self.payload().map(|payload| match payload {
            Cow::Borrowed(line) => text(line),
            Cow::Owned(lines) => Cow::Owned(text(&lines).into_owned()),
        })
    }

    /// Returns the event's name, where it has one.
    #[must_use]
    pub fn name(&self) -> Option<Cow<'_, str>> {
        fields(&self.raw, b"event").last().map(|name| text(&self.raw[name]))
    }
}

impl From<Bytes> for Event {
    /// Takes the bytes of one event.
    fn from(raw: Bytes) -> Self {
        let mut lines = fields(&raw, b"data");
        let payload = match (lines.next(), lines.next()) {
            (None, _) => Payload::None,
            (Some(line), None) => Payload::Line(line),
            (Some(_), Some(_)) => Payload::Lines,
        };
        drop(lines);
        Self { raw, payload }
    }
}

/// Says whether the payload of an event whose end never came is whole all the same.
#[must_use]
pub fn is_whole(data: impl AsRef<[u8]>) -> bool {
    let data = data.as_ref();
    data.trim_ascii() == b"[DONE]" || serde_json::from_slice::<IgnoredAny>(data).is_ok()
}

/// Reads text. What is not UTF-8 is rare, and replacing it slow.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

/// Returns where the values of the lines are that bear a name.
fn fields(event: &[u8], name: &'static [u8]) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    let lines = std::iter::from_fn(move || {
        let begin = at;
        let rest = event.get(begin..).filter(|rest| !rest.is_empty())?;
        let end = begin + memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        at = end + 1;
        Some(begin..end)
    });
    lines.filter_map(move |line| match event[line.clone()].strip_prefix(name)? {
        [] => Some(line.end..line.end),
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(line.end - value.len()..line.end),
        _ => None,
    })
}

/// Cuts a byte stream into its events. Chunks of whole events are not copied.
#[derive(Debug, Default)]
pub struct Events {
    /// The chunk under way, where nothing is held from those before.
    chunk: Bytes,
    /// The beginning of an event, with all that came since.
    held: BytesMut,
    /// Beginning of the line under way, and the place up to which its end was looked for.
    line: usize,
    scanned: usize,
    /// The mark at the beginning was looked for.
    is_begun: bool,
}

impl Events {
    /// Takes the next chunk.
    ///
    /// # Errors
    ///
    /// When one event grows beyond 64 MiB without an end.
    pub fn push(&mut self, chunk: impl Into<Bytes>) -> Result<(), Malformed> {
        let chunk = chunk.into();
        if !self.chunk.is_empty() {
            self.held.extend_from_slice(&std::mem::take(&mut self.chunk));
        }
        if self.held.len() + chunk.len() > MAX_EVENT {
            return Err(Malformed::new("data", format!("is an event of more than {} MiB", MAX_EVENT >> 20)));
        }
        if self.held.is_empty() {
            self.chunk = chunk;
        } else {
            self.held.extend_from_slice(&chunk);
        }
        Ok(())
    }

    /// Returns the next event that has come whole.
    pub fn next_event(&mut self) -> Option<Event> {
        self.skip_mark();
        let end = self.end()?;
        let event = if self.held.is_empty() { self.chunk.split_to(end) } else { self.held.split_to(end).freeze() };
        (self.line, self.scanned) = (0, 0);
        Some(event.into())
    }

    /// Returns what came of an event whose end did not, when the stream has ended in order: some servers leave out the
    /// last blank line. Whether it is whole, only its payload can say.
    pub fn rest(&mut self) -> Option<Event> {
        let rest = if self.held.is_empty() { std::mem::take(&mut self.chunk) } else { self.held.split().freeze() };
        (self.line, self.scanned) = (0, 0);
        (!rest.is_empty()).then(|| rest.into())
    }

    fn bytes(&self) -> &[u8] {
        if self.held.is_empty() { &self.chunk } else { &self.held }
    }

    /// Passes over the mark at the beginning.
    fn skip_mark(&mut self) {
        let bytes = self.bytes();
        if self.is_begun || bytes.len() < MARK.len() && MARK.starts_with(bytes) {
            return;
        }
        if bytes.starts_with(MARK) {
            if self.held.is_empty() { self.chunk.advance(MARK.len()) } else { self.held.advance(MARK.len()) }
        }
        self.is_begun = true;
    }

    /// Looks for the end of the event under way: behind its blank line.
    fn end(&mut self) -> Option<usize> {
        if !self.is_begun {
            return None;
        }
        let (mut line, mut scanned) = (self.line, self.scanned);
        let bytes = if self.held.is_empty() { &self.chunk[..] } else { &self.held[..] };
        let end = loop {
            let Some(at) = memchr2(b'\n', b'\r', &bytes[scanned..]).map(|at| at + scanned) else {
                scanned = bytes.len();
                break None;
            };
            let is_blank = at == line;
            let next = match (bytes[at], bytes.get(at + 1)) {
                (b'\r', Some(b'\n')) => at + 2,
                // Its LF may come yet, unless bare CRs end lines here: then waiting would be a step behind for ever.
                (b'\r', None) if !(is_blank && at > 0 && bytes[at - 1] == b'\r') => {
                    scanned = at;
                    break None;
                }
                _ => at + 1,
            };
            if is_blank {
                break Some(next);
            }
            (line, scanned) = (next, next);
        };
        (self.line, self.scanned) = (line, scanned);
        end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(stream: &[u8], cut: usize) -> Vec<Event> {
        let mut events = Events::default();
        let mut seen = Vec::new();
        for chunk in stream.chunks(cut) {
            events.push(chunk.to_vec()).expect("small");
            seen.extend(std::iter::from_fn(|| events.next_event()));
        }
        seen
    }

    fn payloads(events: &[Event]) -> Vec<String> {
        events.iter().filter_map(|event| Some(event.data()?.into_owned())).collect()
    }

    #[test]
    fn events_survive_any_cut_and_every_line_end() {
        const LINES: [&str; 12] = [
            ": keep-alive",
            "",
            "data: {\"a\":1}",
            "",
            "event: x",
            "data: two",
            "data:lines",
            "id: 7",
            "",
            "data",
            "",
            "datum: no\n\ndata: [DONE]\n\n",
        ];
        for end in ["\n", "\r", "\r\n"] {
            for mark in [&b""[..], MARK] {
                let stream = [mark, LINES.join(end).as_bytes()].concat();
                for cut in 1..=stream.len() {
                    let events = read(&stream, cut);
                    let expected = ["{\"a\":1}", "two\nlines", "", "[DONE]"];
                    assert_eq!(payloads(&events), expected, "{end:?}, cut at {cut}");
                    let named: Vec<_> = events.iter().filter_map(Event::name).collect();
                    assert_eq!(named, ["x"]);
                }
            }
        }
    }

    #[test]
    fn what_passes_is_what_came_and_half_an_event_is_none() {
        let stream = b"data: one\r\n\r\n: c\n\ndata: two\n\ndata: thr";
        for cut in 1..=stream.len() {
            let whole: Vec<u8> = read(stream, cut).iter().flat_map(|event| event.raw().to_vec()).collect();
            assert_eq!(whole, &stream[..stream.len() - 9], "cut at {cut}");
        }
        let mut events = Events::default();
        events.push(&stream[..]).expect("small");
        assert_eq!(std::iter::from_fn(|| events.next_event()).count(), 3);
        let rest = events.rest().expect("half an event");
        assert_eq!((rest.data().as_deref(), events.rest()), (Some("thr"), None));
    }

    #[test]
    fn a_chunk_of_whole_events_is_not_copied() {
        let chunk = Bytes::from_static(b"data: a\n\ndata: b\n\n");
        let mut events = Events::default();
        events.push(chunk.clone()).expect("small");
        let first = events.next_event().expect("whole");
        assert_eq!(first.raw().as_ptr(), chunk.as_ptr());
    }

    #[test]
    fn an_endless_event_is_refused() {
        let mut events = Events::default();
        let chunk = Bytes::from(vec![b'x'; 1024 * 1024]);
        assert!((0..65).any(|_| events.push(chunk.clone()).is_err()));
        assert!(events.next_event().is_none());
    }

    #[test]
    fn a_stream_is_known_by_its_first_bytes() {
        for (body, expected) in [
            (&b""[..], Begins::Unknown),
            (b"\xef\xbb", Begins::Unknown),
            (b"\r\n", Begins::Unknown),
            (b"dat", Begins::Unknown),
            (b"data", Begins::Unknown),
            (b"data:", Begins::Yes),
            (b"\xef\xbb\xbfdata: x", Begins::Yes),
            (b"\n\nevent: x", Begins::Yes),
            (b": processing", Begins::Yes),
            (b":", Begins::Yes),
            (b"id: 1", Begins::Yes),
            (b"retry: 1", Begins::Yes),
            (b" {\"a\":1}", Begins::No),
            (b"[]", Begins::No),
            (b"<html>", Begins::No),
            (b"dataset", Begins::No),
            (b"idle", Begins::No),
        ] {
            assert_eq!(begins(body), expected, "{body:?}");
        }
    }

    #[test]
    fn what_is_kept_of_an_unknown_beginning_is_a_few_bytes() {
        for rest in ["", "d", "even", "retry"] {
            for mark in [&b""[..], MARK] {
                let body = [mark, &[b'\n'; 100_000], rest.as_bytes()].concat();
                assert_eq!((begins(&body), leading(&body)), (Begins::Unknown, rest.as_bytes()));
            }
        }
    }
}
