//! Gates of rivals and of the oracle: what stands behind the broker in place of fairflow's route.

use crate::core::report::Report;
use crate::core::time::Time;

/// The provider's inside, at which only the oracle may look.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Inside {
    /// How many more requests the provider would serve at once.
    pub(super) room: u32,
    /// This replica's part of the capacity.
    pub(super) share: u32,
}

/// A dispatch, as far as a rival has to know it again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub(super) at: Time,
    /// In flight then, itself included.
    pub(super) in_flight: u32,
}

/// All gates of one dispatcher.
pub(super) trait Gates {
    /// How many requests may be sent now.
    fn credits(&mut self, now: Time, inside: Inside) -> u32;
    fn dispatch(&mut self, now: Time) -> Sent;
    fn settle(&mut self, now: Time, sent: Sent, report: Report);
    /// The limit on requests in flight.
    fn limit(&self) -> u32;
    fn in_flight(&self) -> u32;
}

/// The gates that know what the provider could serve.
#[derive(Default)]
pub(super) struct Oracle {
    in_flight: u32,
    share: u32,
}

impl Gates for Oracle {
    fn credits(&mut self, _: Time, inside: Inside) -> u32 {
        self.share = inside.share;
        inside.room.min(inside.share.saturating_sub(self.in_flight))
    }

    fn dispatch(&mut self, at: Time) -> Sent {
        self.in_flight += 1;
        Sent { at, in_flight: self.in_flight }
    }

    fn settle(&mut self, _: Time, _: Sent, _: Report) {
        self.in_flight -= 1;
    }

    fn limit(&self) -> u32 {
        self.share
    }

    fn in_flight(&self) -> u32 {
        self.in_flight
    }
}
