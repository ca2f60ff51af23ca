//! Request bodies, read no further than they may be long, and unpacked no further either.

use std::io::{self, Read};

use actix_web::web::{self, Payload};
use actix_web::{HttpRequest, http::header};
use bytes::{Bytes, BytesMut};
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use futures_util::StreamExt;

use super::refusal::Refusal;
use crate::wire::Malformed;

/// The packing of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packed {
    Gzip,
    /// In zlib's frame as it should be, or bare as some send it.
    Deflate,
}

/// Reads a body of at most `limit` bytes, packed and unpacked.
///
/// # Errors
///
/// A refusal, before anything is read where `content-length` already says too much or its encoding is not understood.
pub(in crate::gateway) async fn read(request: &HttpRequest, payload: Payload, limit: usize) -> Result<Bytes, Refusal> {
    let packed = packed(request)?;
    let length =
        request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| usize::try_from(length).map_or(true, |length| length > limit)) {
        return Err(Refusal::body_too_large(limit));
    }
    let body = whole(payload, limit).await?;
    let Some(packed) = packed.filter(|_| !body.is_empty()) else { return Ok(body) };
    let unpacked = web::block(move || unpack(packed, &body, limit)).await;
    match unpacked.map_err(|error| Refusal::internal(error.to_string()))? {
        Ok(body) if body.len() > limit => Err(Refusal::body_too_large(limit)),
        Ok(body) => Ok(body.into()),
        Err(error) => Err(Malformed::new("body", format!("is not what `content-encoding` says: {error}")).into()),
    }
}

/// Returns the media type that a body is said to be of; empty where nothing says.
pub(in crate::gateway) fn content_type(request: &HttpRequest) -> &str {
    request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Reads `content-encoding`.
fn packed(request: &HttpRequest) -> Result<Option<Packed>, Refusal> {
    let named =
        request.headers().get_all(header::CONTENT_ENCODING).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let named = named.collect::<Vec<_>>().join(",").to_ascii_lowercase();
    let mut steps = named.split(',').map(str::trim).filter(|step| !matches!(*step, "" | "identity"));
    let packed = match steps.next() {
        None => return Ok(None),
        Some("gzip" | "x-gzip") => Packed::Gzip,
        Some("deflate") => Packed::Deflate,
        Some(_) => return Err(Refusal::unknown_encoding(&named)),
    };
    if steps.next().is_some() { Err(Refusal::unknown_encoding(&named)) } else { Ok(Some(packed)) }
}

/// Unpacks at most one byte more than `limit`.
fn unpack(packed: Packed, body: &[u8], limit: usize) -> io::Result<Vec<u8>> {
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let read = |from: &mut dyn Read| {
        let mut unpacked = Vec::new();
        from.take(most).read_to_end(&mut unpacked).map(|_| unpacked)
    };
    match packed {
        Packed::Gzip => read(&mut MultiGzDecoder::new(body)),
        Packed::Deflate => read(&mut ZlibDecoder::new(body)).or_else(|_| read(&mut DeflateDecoder::new(body))),
    }
}

async fn whole(mut payload: Payload, limit: usize) -> Result<Bytes, Refusal> {
    let broken = |error| Refusal::from(Malformed::new("body", format!("broke off: {error}")));
    // Most bodies arrive in one piece, which is then passed on as it is.
    let Some(first) = payload.next().await else { return Ok(Bytes::new()) };
    let first = first.map_err(broken)?;
    if first.len() > limit {
        return Err(Refusal::body_too_large(limit));
    }
    let Some(second) = payload.next().await else { return Ok(first) };
    let mut body = BytesMut::from(first);
    let mut next = Some(second);
    while let Some(chunk) = next {
        let chunk = chunk.map_err(broken)?;
        if body.len() + chunk.len() > limit {
            return Err(Refusal::body_too_large(limit));
        }
        body.extend_from_slice(&chunk);
        next = payload.next().await;
    }
    Ok(body.freeze())
}
