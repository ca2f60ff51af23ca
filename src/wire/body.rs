//! A body as a chain of slices, so that a few bytes of a large one are changed without copying the rest.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

/// Largest body, in bytes, that is copied into one piece. Up to here a copy costs less than sending pieces does, and the
/// HTTP client can send a body in one piece again by itself.
const COPIED: usize = 64 * 1024;

/// A body in pieces that share the memory of the body they were cut from.
///
/// # Examples
///
/// ```
/// use fairflow::wire::Body;
///
/// let body = Body::from(bytes::Bytes::from_static(b"{}"));
/// assert_eq!((body.len(), body.pieces().len()), (2, 1));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Body {
    pieces: Vec<Bytes>,
}

/// A text in the place of a part of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Edit {
    /// The part that goes; an empty one where the text is put between two bytes.
    pub(super) at: Range<usize>,
    /// The text that stands there instead.
    pub(super) text: String,
}

impl Edit {
    /// Puts a member first into an object that has others.
    pub(super) fn first_member(object: &[u8], name: &str, value: &str) -> Self {
        let at = object.iter().position(|byte| *byte == b'{').map_or(0, |brace| brace + 1);
        Self { at: at..at, text: format!("\"{name}\":{value},") }
    }
}

impl Body {
    /// Puts texts in the place of parts of a body, which do not overlap.
    pub(super) fn edited(body: &Bytes, mut edits: Vec<Edit>) -> Self {
        edits.sort_unstable_by_key(|edit| edit.at.start);
        let mut pieces = Vec::with_capacity(2 * edits.len() + 1);
        let mut from = 0;
        for Edit { at, text } in edits {
            pieces.push(body.slice(from..at.start));
            pieces.push(text.into());
            from = at.end;
        }
        pieces.push(body.slice(from..));
        pieces.retain(|piece| !piece.is_empty());
        let chain = Self { pieces };
        if chain.len() <= COPIED { chain.joined().into() } else { chain }
    }

    /// Returns the number of bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum()
    }

    /// Says whether the body has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pieces.iter().all(Bytes::is_empty)
    }

    /// Returns the pieces in their order.
    #[must_use]
    pub fn pieces(&self) -> &[Bytes] {
        &self.pieces
    }

    /// Returns the pieces in their order, for themselves.
    #[must_use]
    pub fn into_pieces(self) -> Vec<Bytes> {
        self.pieces
    }

    /// Returns the body in one piece: a copy where it has several.
    #[must_use]
    pub fn joined(&self) -> Bytes {
        if let [whole] = &self.pieces[..] {
            return whole.clone();
        }
        let mut all = BytesMut::with_capacity(self.len());
        self.pieces.iter().for_each(|piece| all.extend_from_slice(piece));
        all.freeze()
    }
}

impl From<Bytes> for Body {
    fn from(whole: Bytes) -> Self {
        Self { pieces: vec![whole] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(at: Range<usize>, text: &str) -> Edit {
        Edit { at, text: text.to_owned() }
    }

    #[test]
    fn texts_stand_where_the_parts_stood() {
        for length in [10, COPIED, 4 * COPIED] {
            let came = Bytes::from([b"0123456789".as_slice(), &vec![b'x'; length]].concat());
            let edits = vec![edit(8..10, "end"), edit(0..0, "<"), edit(2..4, ""), edit(4..5, "four")];
            let body = Body::edited(&came, edits);
            let expected = format!("<01four567end{}", "x".repeat(length));
            assert_eq!((body.len(), body.joined()), (expected.len(), Bytes::from(expected)));
        }
        assert_eq!(Body::edited(&Bytes::from_static(b"as it came"), Vec::new()).joined(), "as it came");
    }

    #[test]
    fn a_large_body_is_not_copied() {
        let came = Bytes::from(vec![b'x'; 4 * COPIED]);
        let body = Body::edited(&came, vec![edit(10..12, "y")]);
        let [before, _, behind] = body.pieces() else { panic!("three pieces: {}", body.pieces().len()) };
        assert_eq!((before.as_ptr(), behind.as_ptr()), (came.as_ptr(), came[12..].as_ptr()));
    }
}
