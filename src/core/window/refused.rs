//! A refusal for concurrency: a reading of the capacity, or a reason to give way.
//!
//! Plain AIMD would halve here and average (1 + β) ÷ 2 of the capacity; the window takes the reading, holds it, and asks
//! again ever more rarely. Three cases are told apart:
//!
//! - above what is known: a failed probe, or the first reading;
//! - at what is known: a provider that frees its slot a little after it answers, a capacity that begins to fall, or a
//!   competitor that took a slot. It costs one slot, until the next probe. If it came out of the blue, that probe
//!   follows at once, and a second refusal tells that the slot is gone; another before a quarter of a window tells that
//!   the capacity fell;
//! - gone, or clearly below: × 0.8 per drain until requests are admitted again, then +1 per window until it can be read
//!   again. A capacity that only sinks is followed by steps of one, two, four slots up to that: most falls are small,
//!   and what is given away beyond them is missed until it is climbed again.

use super::epoch::End;
use super::refusals::{News, RARE, Sight};
use super::sharing::Climate;
use super::state::State;
use super::{Change, ChangeKind, Stamp, Window};
use crate::core::time::Time;
use std::time::Duration;

/// Share of the window that a refusal clearly below the known capacity leaves.
const COMPETITOR: f64 = 0.8;

/// A step down of the limit, and the climb that follows it.
#[derive(Debug, Clone, Copy)]
struct Retreat {
    /// The level to go down from.
    level: u32,
    /// Slots that may be given away at most.
    most: u32,
    /// The level up to which the window climbs again.
    until: u32,
}

impl Window {
    /// Takes note of how long a refusal for concurrency asks to pause; zero where it does not say.
    pub fn paused(&mut self, pause: Duration) {
        self.probing.paused(pause);
    }

    /// Voids the capacity read from recent refusals, which were not for concurrency. The window grows on from where it
    /// is, carefully, since there may be a cap as well.
    pub fn reopen(&mut self, now: Time) {
        if self.config.pinned() {
            return;
        }
        self.refusals.suppose(Some(self.home()));
        self.sharing.alone();
        self.probing.soon();
        self.search(now);
    }

    /// A request was refused because too many were in flight; `before`: so many were until now, with itself.
    pub(super) fn refused(&mut self, now: Time, stamp: Stamp, before: u32) -> Option<Change> {
        if !self.epoch.is_of(stamp) {
            return self.refine(stamp, before);
        }
        self.refusals.begin_burst(now, stamp);
        let seen = stamp.in_flight.max(before);
        let admitted = self.config.clamp(self.refusals.admitted(stamp, before));
        match self.state {
            State::SlowStart { .. } => self.read(now, admitted, ChangeKind::CapacityRead),
            State::Climb { .. } if self.epoch.is_proven() => self.read(now, admitted, ChangeKind::CapacityRead),
            State::Climb { .. } => {
                self.sharing.alone();
                self.give_way(now, admitted)
            }
            State::Probe { .. } if self.refusals.is_suspect() => {
                self.sharing.lost_slot();
                self.give_way(now, admitted)
            }
            State::Probe { from, .. } if seen > from => self.probe_failed(now, from),
            State::Probe { .. } | State::Test(_) | State::Hold { .. } => self.refused_at(now, seen, admitted),
        }
    }

    /// Returns from a probe that was one request too many.
    pub(super) fn probe_failed(&mut self, now: Time, from: u32) -> Option<Change> {
        self.probe_later();
        self.sharing.probe_failed();
        self.end_epoch(End::Reading);
        self.hold(now, from, ChangeKind::ProbeFailed)
    }

    /// Answers a refusal while a level was believed right.
    fn refused_at(&mut self, now: Time, seen: u32, admitted: u32) -> Option<Change> {
        let home = self.home();
        match self.refusals.place(now, seen, home) {
            Sight::Above => self.read(now, admitted.min(home), ChangeKind::CapacityRead),
            Sight::At { sudden } => {
                self.remember_level();
                if sudden {
                    self.probing.at_once();
                } else {
                    self.probing.shorten(RARE);
                }
                self.take(now, admitted, ChangeKind::CapacityRead)
            }
            sight => {
                self.sharing.fell(sight == Sight::Below);
                self.give_way(now, admitted)
            }
        }
    }

    /// Takes a reading; the first, or a better one, is soon probed.
    pub(super) fn read(&mut self, now: Time, admitted: u32, kind: ChangeKind) -> Option<Change> {
        let news = self.refusals.compare(admitted);
        if news == News::Leap {
            // Competitors leave a slot or two; more at once is capacity that rose, and may go on rising.
            self.sharing.alone();
        }
        if news == News::NoMore || self.sharing.climate() == Climate::Shared {
            // Where competitors take what is found, finding more says little.
            self.probe_later();
        } else {
            self.probing.soon();
        }
        self.take(now, admitted, kind)
    }

    /// Holds a reading.
    fn take(&mut self, now: Time, admitted: u32, kind: ChangeKind) -> Option<Change> {
        self.refusals.read(admitted);
        self.sharing.read();
        self.end_epoch(End::Reading);
        self.hold(now, admitted.min(self.limit()), kind)
    }

    /// Gives way: a competitor needs the capacity, or it fell.
    fn give_way(&mut self, now: Time, admitted: u32) -> Option<Change> {
        self.remember_level();
        self.refusals.suppose(None);
        self.end_epoch(End::Cut);
        self.probing.soon();
        self.sharing.gives_way();
        let level = admitted.min(self.limit());
        self.retreat(now, Retreat { level, most: self.sharing.most_to_give(), until: self.config.max })
    }

    /// Leaves a part to competitors, which are there but have not asked for it just now.
    pub(super) fn give_some(&mut self, now: Time) -> Option<Change> {
        self.end_epoch(End::Cut);
        self.sharing.yielded();
        // Back to here and no further: if nobody took it, that costs no refusal.
        let level = self.limit();
        self.retreat(now, Retreat { level, most: u32::MAX, until: level })
    }

    /// Goes down by a fifth, and climbs from there.
    fn retreat(&mut self, now: Time, Retreat { level, most, until }: Retreat) -> Option<Change> {
        let fifth = (f64::from(level) * COMPETITOR).floor() as u32;
        let to = self.config.clamp(fifth.max(level.saturating_sub(most)));
        self.climb(now, until, self.sharing.grace(to));
        self.set(to, ChangeKind::Competitor)
    }

    /// Lowers the last reading by another refusal of its burst: no further event.
    fn refine(&mut self, stamp: Stamp, before: u32) -> Option<Change> {
        if !self.epoch.refines(stamp) || !matches!(self.state, State::Hold { .. }) {
            return None;
        }
        self.refusals.go_on();
        let admitted = self.config.clamp(self.refusals.admitted(stamp, before));
        if admitted >= self.limit() {
            return None;
        }
        self.refusals.refine(admitted);
        self.set(admitted, ChangeKind::CapacityRead)
    }
}
