//! Server-sent events, the part that model servers use: `data:` lines that end in a blank line.

use bytes::{Buf, BytesMut};

use super::Malformed;

/// Longest event held back while its end has not come, in bytes.
const MAX_EVENT: usize = 16 * 1024 * 1024;

/// Cuts a byte stream into the payloads of its events, wherever the chunks fall.
#[derive(Debug, Default)]
pub struct Events {
    buffer: BytesMut,
    data: String,
    scanned: usize,
}

impl Events {
    /// Takes the next chunk.
    ///
    /// # Errors
    ///
    /// When one event grows beyond 16 MiB without an end.
    pub fn push(&mut self, chunk: &[u8]) -> Result<(), Malformed> {
        if self.buffer.len() + self.data.len() + chunk.len() > MAX_EVENT {
            return Err(Malformed::new("data", "is an event of more than 16 MiB"));
        }
        self.buffer.extend_from_slice(chunk);
        Ok(())
    }

    /// Returns the payload of the next complete event; comments and other fields are passed over.
    pub fn next_event(&mut self) -> Option<String> {
        loop {
            let end = self.buffer[self.scanned..].iter().position(|&byte| byte == b'\n').map(|at| at + self.scanned);
            let Some(end) = end else {
                self.scanned = self.buffer.len();
                return None;
            };
            let line = String::from_utf8_lossy(&self.buffer[..end]).trim_end_matches('\r').to_owned();
            self.buffer.advance(end + 1);
            self.scanned = 0;
            if line.is_empty() {
                if !self.data.is_empty() {
                    return Some(std::mem::take(&mut self.data));
                }
            } else if let Some(data) = line.strip_prefix("data:") {
                if !self.data.is_empty() {
                    self.data.push('\n');
                }
                self.data.push_str(data.strip_prefix(' ').unwrap_or(data));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_survive_any_cut() {
        let stream = b": keep-alive\n\ndata: {\"a\":1}\r\n\r\nevent: x\ndata: two\ndata: lines\n\ndata: [DONE]\n\n";
        for cut in 1..stream.len() {
            let mut events = Events::default();
            let mut seen = Vec::new();
            for chunk in stream.chunks(cut) {
                events.push(chunk).expect("small");
                seen.extend(std::iter::from_fn(|| events.next_event()));
            }
            assert_eq!(seen, ["{\"a\":1}", "two\nlines", "[DONE]"], "cut at {cut}");
        }
    }

    #[test]
    fn an_endless_event_is_refused() {
        let mut events = Events::default();
        let chunk = vec![b'x'; 1024 * 1024];
        assert!((0..17).any(|_| events.push(&chunk).is_err()));
    }
}
