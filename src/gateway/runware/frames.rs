//! Frames on their way to and from the WebSocket: refused where they are too large, inflated and deflated where a
//! connection has agreed to that.
//!
//! It stands between the connection and `actix-ws`, which waits for a frame to be whole before it looks at its size, and
//! knows no extensions.

use std::pin::Pin;

use actix_http::ws::{OpCode, Parser, ProtocolError};
use actix_web::body::{BodyStream, BoxBody, MessageBody};
use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::deflate::{Deflate, inflate};

/// Marks the first frame of a compressed message (RFC 7692 §6).
const RSV1: u8 = 0x40;
/// Sizes of messages that are compressed, in bytes: smaller ones hardly shrink, and larger ones are media, which is
/// compressed already.
const WORTH: std::ops::RangeInclusive<usize> = 1024..=64 * 1024;

/// Returns a client's frames, none larger than `limit` bytes, and without compression; what is too large is
/// [`PayloadError::Overflow`], what is no frame [`PayloadError::EncodingCorrupted`].
pub(super) fn received(payload: Payload, limit: usize, deflate: Option<Deflate>) -> Payload {
    let (buffer, is_marked, message) = (BytesMut::new(), false, None);
    let reader = Reader { payload, limit, is_deflated: deflate.is_some(), buffer, is_marked, message };
    let frames = stream::try_unfold(reader, async |mut reader: Reader| {
        Ok::<_, PayloadError>(reader.next().await?.map(|frames| (frames, reader)))
    });
    Payload::Stream { payload: Box::pin(frames) }
}

/// Returns the frames of `body` with those compressed that are worth it.
pub(super) fn sent(mut body: BoxBody, deflate: Deflate) -> BoxBody {
    let frames = stream::poll_fn(move |context| Pin::new(&mut body).poll_next(context));
    BodyStream::new(frames.map_ok(move |frames| compressed(frames, deflate))).boxed()
}

fn compressed(frames: Bytes, deflate: Deflate) -> Bytes {
    let (mut frames, mut sent) = (BytesMut::from(frames), BytesMut::new());
    while let Ok(Some((is_last, opcode, payload))) = Parser::parse(&mut frames, false, usize::MAX) {
        let payload = payload.unwrap_or_default();
        let is_worth_it = is_last && opcode == OpCode::Text && WORTH.contains(&payload.len());
        match is_worth_it.then(|| deflate.deflate(&payload)).flatten() {
            Some(deflated) => {
                let head = sent.len();
                Parser::write_message(&mut sent, deflated, opcode, is_last, false);
                sent[head] |= RSV1;
            }
            None => Parser::write_message(&mut sent, payload, opcode, is_last, false),
        }
    }
    sent.freeze()
}

struct Reader {
    payload: Payload,
    limit: usize,
    is_deflated: bool,
    buffer: BytesMut,
    /// Whether the frame at the head of the buffer is marked as compressed.
    is_marked: bool,
    /// The compressed message that is being read, and its kind.
    message: Option<(OpCode, BytesMut)>,
}

impl Reader {
    /// Returns frames as they come, nothing at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, PayloadError> {
        let mut frames = BytesMut::new();
        loop {
            while self.pass(&mut frames)? {}
            if !frames.is_empty() {
                return Ok(Some(frames.freeze()));
            }
            match self.payload.next().await {
                Some(bytes) => self.buffer.extend_from_slice(&bytes?),
                None => return Ok(None),
            }
        }
    }

    /// Takes a whole frame from the buffer, and adds to `frames` what it makes; says whether there was one.
    fn pass(&mut self, frames: &mut BytesMut) -> Result<bool, PayloadError> {
        if declared(&self.buffer).is_some_and(|length| length > self.limit as u64) {
            return Err(PayloadError::Overflow);
        }
        if self.is_deflated && self.buffer.first().is_some_and(|head| head & RSV1 != 0) {
            // The parser knows of no marks.
            self.buffer[0] &= !RSV1;
            self.is_marked = true;
        }
        let parsed = Parser::parse(&mut self.buffer, true, self.limit).map_err(|error| match error {
            ProtocolError::Overflow => PayloadError::Overflow,
            _ => PayloadError::EncodingCorrupted,
        });
        let Some((is_last, opcode, payload)) = parsed? else { return Ok(false) };
        let payload = payload.unwrap_or_default();
        match (opcode, std::mem::take(&mut self.is_marked), &mut self.message) {
            (OpCode::Text | OpCode::Binary, true, none @ None) => *none = Some((opcode, payload)),
            (OpCode::Continue, false, Some((_, message))) => {
                if message.len() + payload.len() > self.limit {
                    return Err(PayloadError::Overflow);
                }
                message.extend_from_slice(&payload);
            }
            (OpCode::Text | OpCode::Binary, false, None)
            | (OpCode::Continue, false, None)
            | (OpCode::Ping | OpCode::Pong | OpCode::Close, false, _) => {
                Parser::write_message(frames, payload, opcode, is_last, true);
                return Ok(true);
            }
            _ => return Err(PayloadError::EncodingCorrupted),
        }
        if let Some((opcode, message)) = self.message.take_if(|_| is_last) {
            Parser::write_message(frames, inflate(&message, self.limit)?, opcode, true, true);
        }
        Ok(true)
    }
}

/// Returns how long a frame says its payload is, as soon as its head is there (RFC 6455 §5.2).
fn declared(head: &[u8]) -> Option<u64> {
    match *head.get(1)? & 0x7f {
        126 => Some(u16::from_be_bytes(head.get(2..4)?.try_into().ok()?).into()),
        127 => Some(u64::from_be_bytes(head.get(2..10)?.try_into().ok()?)),
        short => Some(short.into()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMIT: usize = 1000;

    /// Bytes that look enough like frames to get past their heads.
    fn frames() -> impl Strategy<Value = Vec<u8>> {
        let head = prop::sample::select(vec![0x81, 0xc1, 0x41, 0x01, 0x00, 0x80, 0x89, 0x88, 0xc9, 0xa1]);
        let frame = (head, 0u8..=127, prop::collection::vec(any::<u8>(), 0..200))
            .prop_map(|(first, length, rest)| [&[first, 0x80 | length][..], &rest].concat());
        prop::collection::vec(frame, 1..6).prop_map(|frames| frames.concat())
    }

    proptest! {
        #[test]
        fn what_is_read_ends_in_bounded_frames_or_an_error(bytes in frames(), cut in 1usize..50, is_deflated: bool) {
            let pieces: Vec<_> = bytes.chunks(cut).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
            let payload = Payload::Stream { payload: stream::iter(pieces).boxed_local() };
            let deflate = is_deflated.then(|| Deflate::agree("permessage-deflate").expect("agreed"));
            let read = futures_util::FutureExt::now_or_never(received(payload, LIMIT, deflate).collect::<Vec<_>>());
            for frames in read.expect("nothing to wait for").into_iter().flatten() {
                let mut frames = BytesMut::from(frames);
                while let Some((_, _, payload)) = Parser::parse(&mut frames, true, LIMIT).expect("frames") {
                    prop_assert!(payload.unwrap_or_default().len() <= LIMIT);
                }
                prop_assert!(frames.is_empty());
            }
        }
    }
}
