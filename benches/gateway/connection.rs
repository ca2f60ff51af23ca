//! One connection of the load generator: HTTP/1.1 as plain as can be, the same for all rivals.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection; what was read and not yet used stays in `buffer`.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// How a body ends.
enum Length {
    Known(usize),
    Chunked,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::new() })
    }

    pub async fn send(&mut self, request: &[u8]) -> Result<()> {
        self.stream.write_all(request).await
    }

    /// Sends a request and reads its answer; `body` is shown the body piece by piece. Returns its length.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ConnectionReset`] where the other side closed before it answered anything.
    ///
    /// # Panics
    ///
    /// Panics where the status is not 200.
    pub async fn ask(&mut self, request: &[u8], mut body: impl FnMut(&[u8])) -> Result<usize> {
        self.send(request).await.map_err(|_| Error::from(ErrorKind::ConnectionReset))?;
        let mut total = 0;
        match self.head().await? {
            Length::Known(length) => self.pass(length, &mut total, &mut body).await?,
            Length::Chunked => loop {
                let line = self.line().await?;
                let size = usize::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16);
                let size = size.map_err(|_| Error::other(format!("{line:?} is no size of a chunk")))?;
                self.pass(size, &mut total, &mut body).await?;
                self.line().await?;
                if size == 0 {
                    break;
                }
            },
        }
        Ok(total)
    }

    async fn head(&mut self) -> Result<Length> {
        let end = loop {
            if let Some(end) = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break end + 4;
            }
            let fresh = self.buffer.is_empty();
            self.fill().await.map_err(|error| if fresh { ErrorKind::ConnectionReset.into() } else { error })?;
        };
        let head = String::from_utf8_lossy(&self.buffer[..end]).to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 200"), "{}", String::from_utf8_lossy(&self.buffer));
        self.buffer.drain(..end);
        let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        match field("content-length:") {
            Some(length) => Ok(Length::Known(length.parse().map_err(Error::other)?)),
            None if field("transfer-encoding:") == Some("chunked") => Ok(Length::Chunked),
            None => Err(Error::other(format!("no length in {head}"))),
        }
    }

    /// Shows `body` the next `length` bytes.
    async fn pass(&mut self, mut length: usize, total: &mut usize, body: &mut impl FnMut(&[u8])) -> Result<()> {
        *total += length;
        while length > 0 {
            if self.buffer.is_empty() {
                self.fill().await?;
            }
            let here = length.min(self.buffer.len());
            body(&self.buffer[..here]);
            self.buffer.drain(..here);
            length -= here;
        }
        Ok(())
    }

    async fn line(&mut self) -> Result<String> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> Result<()> {
        self.buffer.reserve(16 * 1_024);
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}
