//! The packing of a trace's file: its first bytes tell it, whatever its name, and the file is read as a stream.

use std::io::{self, BufReader, Cursor, Read};

use flate2::read::MultiGzDecoder;
use lzma_rust2::XzReader;

use super::error::{Packing, TraceError};

/// Bytes that tell what something is: a tar's header, or the first line of a table.
pub(super) const HEAD: u64 = 4096;
/// Most packings within each other: more is no trace.
const MOST_LAYERS: usize = 4;

/// Tells a packing by the first bytes.
fn packing(head: &[u8]) -> Option<Packing> {
    if head.starts_with(b"\xFD7zXZ\0") {
        Some(Packing::Xz)
    } else if head.starts_with(b"\x1F\x8B") {
        Some(Packing::Gzip)
    } else {
        is_tar(head).then_some(Packing::Tar)
    }
}

/// Names a packing that is known but not understood.
fn foreign(head: &[u8]) -> Option<&'static str> {
    let magic: [(&[u8], _); 4] =
        [(b"PK\x03\x04", "zip"), (b"\x28\xB5\x2F\xFD", "zstd"), (b"BZh", "bzip2"), (b"PAR1", "Parquet")];
    magic.into_iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, name)| name)
}

/// Says whether this begins with the header of a tar's member: its sum is right, with the sum itself as eight blanks.
fn is_tar(head: &[u8]) -> bool {
    let Some(header) = head.get(..512) else { return false };
    let told = std::str::from_utf8(&header[148..156]).unwrap_or_default();
    let told = u64::from_str_radix(told.trim_matches(['\0', ' ']), 8);
    let sum: u64 = header[..148].iter().chain(&header[156..]).map(|byte| u64::from(*byte)).sum();
    told == Ok(sum + 8 * u64::from(b' '))
}

/// A file without its packing.
pub(super) struct Unpacked {
    /// How it begins.
    pub(super) head: Vec<u8>,
    /// All of it, from the beginning.
    pub(super) whole: Box<dyn Read>,
    /// The innermost packing that was taken off, or an archive that is to be read.
    pub(super) packing: Option<Packing>,
}

/// Takes the packing off, but for an archive.
///
/// # Errors
///
/// [`TraceError::Read`] where it cannot be read, [`TraceError::Damaged`] or [`TraceError::Packed`] where it cannot be
/// unpacked.
pub(super) fn unpack(file: impl Read + 'static, source: &str) -> Result<Unpacked, TraceError> {
    let mut whole: Box<dyn Read> = Box::new(BufReader::new(file));
    let mut outer = None;
    for _ in 0..MOST_LAYERS {
        let head = peek(&mut whole).map_err(|error| told(error, source, outer))?;
        if let Some(what) = foreign(&head) {
            return Err(TraceError::Packed { path: source.to_owned(), what });
        }
        let found = packing(&head);
        let again = Cursor::new(head.clone()).chain(whole);
        whole = match found {
            Some(Packing::Gzip) => Box::new(BufReader::new(MultiGzDecoder::new(again))),
            Some(Packing::Xz) => Box::new(BufReader::new(XzReader::new(again, true))),
            Some(Packing::Tar) | None => {
                return Ok(Unpacked { head, whole: Box::new(again), packing: found.or(outer) });
            }
        };
        outer = found;
    }
    Err(TraceError::Packed { path: source.to_owned(), what: "packing within packing" })
}

/// Reads how something begins.
pub(super) fn peek(reader: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    reader.take(HEAD).read_to_end(&mut head)?;
    Ok(head)
}

/// Words an error of reading: what comes out of a packing is its damage, not the disk's.
pub(super) fn told(error: io::Error, source: &str, packing: Option<Packing>) -> TraceError {
    let path = source.to_owned();
    match packing {
        Some(packing) => TraceError::Damaged { path, packing, source: error },
        None => TraceError::Read { path, source: error },
    }
}

/// A file of an archive, which has the length that the archive says.
pub(super) struct Member<R> {
    inner: R,
    left: u64,
}

impl<R> Member<R> {
    pub(super) fn new(left: u64, inner: R) -> Self {
        Self { inner, left }
    }
}

impl<R: Read> Read for Member<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        if read == 0 && self.left > 0 && !buffer.is_empty() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the archive ends in the middle of a file"));
        }
        self.left = self.left.saturating_sub(read as u64);
        Ok(read)
    }
}
