//! The order of dispatches: how many came later than another.

use super::Stamp;
use crate::core::time::Time;

/// Instants of dispatch that are remembered: dispatches of a burst share theirs.
const RECENT: usize = 8;

/// Dispatches up to an instant, with those of that instant.
#[derive(Debug, Clone, Copy, Default)]
struct Sent {
    at: Time,
    count: u32,
}

/// Counts dispatches, and remembers how many there were by the latest instants.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sends {
    count: u32,
    recent: [Sent; RECENT],
    newest: usize,
}

impl Sends {
    /// Takes note of a dispatch; returns how many there were until then, with itself.
    pub(super) fn note(&mut self, now: Time) -> u32 {
        self.count = self.count.wrapping_add(1);
        if self.recent[self.newest].at != now {
            self.newest = (self.newest + 1) % RECENT;
        }
        self.recent[self.newest] = Sent { at: now, count: self.count };
        self.count
    }

    /// Returns how many requests were dispatched later than that of `stamp`; requests of the same instant are not later,
    /// as long as it is remembered.
    pub(super) fn after(&self, stamp: Stamp) -> u32 {
        let same = self.recent.iter().find(|sent| sent.at == stamp.at);
        self.count.wrapping_sub(same.map_or(stamp.serial, |sent| sent.count))
    }
}
