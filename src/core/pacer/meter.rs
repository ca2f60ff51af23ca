//! The rate at which requests were admitted lately.

use crate::core::time::Time;

/// Slots of the meter.
const SLOTS: usize = 8;
/// Nanoseconds of a slot: half a second, so that the meter remembers four.
const SLOT: u64 = 500_000_000;
/// Seconds over which a rate is measured at least: the first burst is not a rate.
const LEAST_SECONDS: f64 = 1.0;

/// Counts sends, less those refused, over the last seconds.
#[derive(Debug, Clone, Default)]
pub(super) struct Meter {
    counts: [u32; SLOTS],
    /// The newest slot, counted from the beginning of time.
    newest: u64,
    first: Option<Time>,
}

impl Meter {
    fn forward(&mut self, now: Time) {
        let slot = now.as_nanos() / SLOT;
        if slot.saturating_sub(self.newest) >= SLOTS as u64 {
            (self.counts, self.newest) = ([0; SLOTS], slot);
        }
        while self.newest < slot {
            self.newest += 1;
            self.counts[index(self.newest)] = 0;
        }
    }

    pub(super) fn sent(&mut self, now: Time) {
        self.forward(now);
        self.first.get_or_insert(now);
        self.counts[index(self.newest)] += 1;
    }

    pub(super) fn refused(&mut self, now: Time, sent: Time) {
        self.forward(now);
        let slot = sent.as_nanos() / SLOT;
        if slot <= self.newest && self.newest - slot < SLOTS as u64 {
            let count = &mut self.counts[index(slot)];
            *count = count.saturating_sub(1);
        }
    }

    /// Returns what was admitted per second.
    pub(super) fn rate(&mut self, now: Time) -> f64 {
        self.forward(now);
        let Some(first) = self.first else { return 0.0 };
        let into = (now.as_nanos() % SLOT) as f64 / 1e9;
        let remembered = (SLOTS - 1) as f64 * SLOT as f64 / 1e9 + into;
        let seconds = now.seconds_since(first).min(remembered).max(LEAST_SECONDS);
        f64::from(self.counts.iter().sum::<u32>()) / seconds
    }
}

fn index(slot: u64) -> usize {
    usize::try_from(slot % SLOTS as u64).unwrap_or(0)
}
