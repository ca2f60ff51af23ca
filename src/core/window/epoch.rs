//! The control period: evidence counts within the epoch of its dispatch.

use super::Stamp;

/// A control period of a window; a cut or a reading ends it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Epoch {
    number: u32,
    /// A request dispatched in this epoch succeeded.
    proven: bool,
    /// The epoch before ended with a reading, which its burst may refine.
    by_reading: bool,
}

/// The end of an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// A reading of the capacity.
    Reading,
    /// Anything else.
    Cut,
}

impl Epoch {
    /// Returns the number of the epoch; it wraps.
    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// Returns whether a request was dispatched in this epoch.
    pub(super) fn is_of(&self, stamp: Stamp) -> bool {
        stamp.epoch == self.number
    }

    /// Takes note of a success.
    pub(super) fn succeeded(&mut self, stamp: Stamp) {
        self.proven |= self.is_of(stamp);
    }

    /// Returns whether a request dispatched in this epoch succeeded.
    pub(super) fn is_proven(&self) -> bool {
        self.proven
    }

    /// Returns whether a request may refine the reading that ended the epoch before: it was dispatched in that epoch.
    pub(super) fn refines(&self, stamp: Stamp) -> bool {
        self.by_reading && stamp.epoch.wrapping_add(1) == self.number
    }

    /// Ends the epoch: requests in flight now are evidence no more.
    pub(super) fn end(&mut self, by: End) {
        *self = Self { number: self.number.wrapping_add(1), proven: false, by_reading: by == End::Reading };
    }
}
