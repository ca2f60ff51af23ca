//! permessage-deflate (RFC 7692), without context takeover: between messages no connection holds a compressor.

use actix_web::error::PayloadError;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// The bytes that end a compressed message and are not sent (RFC 7692 §7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// The terms that a connection has agreed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Deflate {
    /// Log2 of the window that the client sets aside for what it is sent, in bytes.
    window_bits: u8,
}

impl Deflate {
    /// Agrees to the first offer of a `sec-websocket-extensions` header that can be kept.
    pub(super) fn agree(header: &str) -> Option<Self> {
        header.split(',').find_map(Self::keep)
    }

    fn keep(offer: &str) -> Option<Self> {
        let mut parameters = offer.split(';').map(str::trim);
        if parameters.next() != Some("permessage-deflate") {
            return None;
        }
        let mut agreed = Self { window_bits: 15 };
        for parameter in parameters {
            let (name, value) = match parameter.split_once('=') {
                Some((name, value)) => (name.trim(), Some(value.trim().trim_matches('"').parse::<u8>().ok()?)),
                None => (parameter, None),
            };
            match (name, value) {
                ("server_no_context_takeover" | "client_no_context_takeover" | "client_max_window_bits", None) => {}
                ("client_max_window_bits", Some(8..=15)) => {}
                // Raw deflate knows no window of 256 bytes.
                ("server_max_window_bits", Some(bits @ 9..=15)) => agreed.window_bits = bits,
                _ => return None,
            }
        }
        Some(agreed)
    }

    /// Returns the header that tells the client.
    pub(super) fn header(self) -> String {
        let agreed = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
        match self.window_bits {
            15 => agreed.to_owned(),
            bits => format!("{agreed}; server_max_window_bits={bits}"),
        }
    }

    /// Compresses a message; nothing if it does not get smaller.
    pub(super) fn deflate(self, message: &[u8]) -> Option<Vec<u8>> {
        // The fastest level that fits its codes to the message: one object of a task's results shrinks by a fifth, not a
        // twentieth, in about the same time.
        let level = Compression::new(2);
        let mut deflater = Compress::new_with_window_bits(level, false, self.window_bits);
        let mut deflated = Vec::with_capacity(message.len());
        deflater.compress_vec(message, &mut deflated, FlushCompress::Sync).ok()?;
        // Room is left only where all has been written.
        let is_whole = deflated.len() < deflated.capacity() && deflated.ends_with(&TAIL);
        is_whole.then(|| {
            deflated.truncate(deflated.len() - TAIL.len());
            deflated
        })
    }
}

/// Inflates a message, which may come to `limit` bytes.
pub(super) fn inflate(message: &[u8], limit: usize) -> Result<Vec<u8>, PayloadError> {
    let mut inflater = Decompress::new(false);
    let mut inflated = Vec::with_capacity(message.len().saturating_mul(2).min(limit));
    for part in [message, &TAIL] {
        let mut rest = part;
        loop {
            inflated.reserve(4096);
            let before = inflater.total_in();
            let status = inflater.decompress_vec(rest, &mut inflated, FlushDecompress::Sync);
            let status = status.map_err(|_| PayloadError::EncodingCorrupted)?;
            if inflated.len() > limit {
                return Err(PayloadError::Overflow);
            }
            let read = usize::try_from(inflater.total_in() - before).map_err(|_| PayloadError::EncodingCorrupted)?;
            rest = &rest[read..];
            match status {
                Status::StreamEnd => return Ok(inflated),
                // Room is left: all that was there is read and written.
                _ if inflated.len() < inflated.capacity() && rest.is_empty() => break,
                Status::BufError if inflated.len() < inflated.capacity() => {
                    return Err(PayloadError::EncodingCorrupted);
                }
                _ => {}
            }
        }
    }
    Ok(inflated)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn agreed(header: &str) -> Option<String> {
        Deflate::agree(header).map(Deflate::header)
    }

    #[test]
    fn the_first_offer_that_can_be_kept_is_agreed_to() {
        let plain = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
        for offer in [
            "permessage-deflate",
            "permessage-deflate; client_max_window_bits",
            "x-webkit-deflate-frame, permessage-deflate; client_max_window_bits=\"10\"; server_no_context_takeover",
            "permessage-deflate; server_max_window_bits=8, permessage-deflate",
            "permessage-deflate; mystery, permessage-deflate;server_max_window_bits = 15",
        ] {
            assert_eq!(agreed(offer).as_deref(), Some(plain), "{offer}");
        }
        let small = agreed("permessage-deflate; server_max_window_bits=10").expect("agreed");
        assert_eq!(small, format!("{plain}; server_max_window_bits=10"));
        for offer in [
            "",
            "permessage-bzip2",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; client_max_window_bits=7",
            "permessage-deflate; server_no_context_takeover=1",
        ] {
            assert_eq!(agreed(offer), None, "{offer}");
        }
    }

    #[test]
    fn a_small_message_that_inflates_beyond_the_limit_is_refused_early() {
        let zeros = Deflate { window_bits: 15 }.deflate(&vec![0; 8 << 20]).expect("smaller");
        assert!(zeros.len() < 128 << 10, "{}", zeros.len());
        assert!(matches!(inflate(&zeros, 1 << 20), Err(PayloadError::Overflow)));
        assert_eq!(inflate(&zeros, 8 << 20).expect("within the limit").len(), 8 << 20);
    }

    proptest! {
        #[test]
        fn what_is_deflated_inflates_again(words in prop::collection::vec(any::<u16>(), 0..2000), window_bits in 9u8..=15) {
            // Hexadecimal digits always shrink where there are enough of them.
            let message = words.iter().map(|word| format!("{word:04x}")).collect::<String>();
            match (Deflate { window_bits }).deflate(message.as_bytes()) {
                Some(deflated) => {
                    prop_assert!(deflated.len() < message.len());
                    prop_assert_eq!(inflate(&deflated, message.len()).expect("inflates"), message.as_bytes());
                }
                None => prop_assert!(message.len() < 1024, "{} bytes do not shrink", message.len()),
            }
        }

        #[test]
        fn what_is_no_message_is_an_error_or_bounded(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(inflated) = inflate(&bytes, 1000) {
                prop_assert!(inflated.len() <= 1000);
            }
        }
    }
}
