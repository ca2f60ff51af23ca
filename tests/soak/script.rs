//! What a provider puts on the wire, byte by byte, and how it is written.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::Instant;

/// Longest that anything which never ends is kept up.
const FOR_EVER: Duration = Duration::from_secs(30);

#[derive(Debug, Clone)]
pub enum Step {
    Send(Vec<u8>),
    Wait(Duration),
    /// The same again and again, each after a wait.
    Endless(Vec<u8>, Duration),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Keep,
    Close,
    Reset,
}

#[derive(Debug, Clone)]
pub struct Script {
    pub steps: Vec<Step>,
    pub end: End,
}

impl Script {
    pub fn new(end: End) -> Self {
        Self { steps: Vec::new(), end }
    }

    /// A whole answer on a connection that is kept.
    pub fn answer(status: u16, headers: &str, kind: &str, body: impl AsRef<[u8]>) -> Self {
        Self::new(End::Keep).send(head(status, headers, kind, body.as_ref().len())).send(body)
    }

    /// An answer in pieces, on a connection that is kept.
    pub fn chunked(headers: &str, kind: &str) -> Self {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n{headers}transfer-encoding: chunked\r\n\r\n");
        Self::new(End::Keep).send(head)
    }

    pub fn send(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.steps.push(Step::Send(bytes.as_ref().to_vec()));
        self
    }

    /// One chunk; an empty one is the last.
    pub fn chunk(self, bytes: impl AsRef<[u8]>) -> Self {
        self.send(chunk(bytes))
    }

    pub fn wait(mut self, span: Duration) -> Self {
        self.steps.push(Step::Wait(span));
        self
    }

    pub fn stall(self) -> Self {
        self.wait(FOR_EVER)
    }

    pub fn endless(mut self, bytes: impl AsRef<[u8]>, every: Duration) -> Self {
        self.steps.push(Step::Endless(bytes.as_ref().to_vec(), every));
        self
    }

    pub fn then(mut self, end: End) -> Self {
        self.end = end;
        self
    }

    /// Delays everything.
    pub fn after(mut self, span: Duration) -> Self {
        self.steps.insert(0, Step::Wait(span));
        self
    }

    /// Writes it; `None` when the other side left before the end.
    pub async fn play(self, reader: &mut BufReader<OwnedReadHalf>, writer: &mut OwnedWriteHalf) -> Option<End> {
        for step in self.steps {
            match step {
                Step::Send(bytes) => writer.write_all(&bytes).await.ok()?,
                Step::Wait(span) => pause(reader, span).await?,
                Step::Endless(bytes, every) => {
                    let end = Instant::now() + FOR_EVER;
                    while Instant::now() < end {
                        // Who does not read, and does not leave, is not written to for ever.
                        let written = tokio::time::timeout(FOR_EVER, writer.write_all(&bytes));
                        written.await.ok()?.ok()?;
                        pause(reader, every).await?;
                    }
                }
            }
        }
        Some(self.end)
    }
}

/// Waits; `None` as soon as the other side leaves. It has nothing to say in the meantime.
async fn pause(reader: &mut BufReader<OwnedReadHalf>, span: Duration) -> Option<()> {
    tokio::time::timeout(span, reader.fill_buf()).await.is_err().then_some(())
}

pub fn head(status: u16, headers: &str, kind: &str, length: usize) -> String {
    format!("HTTP/1.1 {status} Whatever\r\ncontent-type: {kind}\r\n{headers}content-length: {length}\r\n\r\n")
}

/// One chunk of a chunked body.
pub fn chunk(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}
