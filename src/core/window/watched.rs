//! The latency signal while the window holds: rounds of observation, and the contrasts that they begin.
//!
//! - Down (a suspicion, or no base): if service time falls with the window, our load was the cause, and the window goes
//!   to the knee; if no base is known and the lower level may be queued too, to that level, and the search goes on
//!   below. If it does not fall, the provider became slower: a new base, and the window stays.
//! - Up (the end of an interval): the level is adopted if it serves more in proportion; steps grow while that pays, the
//!   interval doubles when not.

use super::contrast::{Conclusion, Contrast, Verdict};
use super::epoch::End;
use super::knee::{Level, with_headroom};
use super::octaves::Bend;
use super::sharing::Climate;
use super::state::State;
use super::{Change, ChangeKind, Window};
use crate::core::time::Time;

/// Windows that a round of observation lasts at least.
const ROUND_WINDOWS: u32 = 2;

/// Completions that a round of observation lasts at least.
const ROUND_SAMPLES: u32 = 16;

/// Windows to hold a capacity that was read before it is contrasted with half of it, where slow start left no evidence
/// either way (small windows). Most providers that refuse do so where they are full, and the contrast costs.
const SETTLED: u32 = 512;

/// Share of the window in flight below which the load is light.
const LIGHT: f64 = 0.7;

impl Window {
    /// Ends a round of observation if it is complete; may begin a contrast.
    pub(super) fn watched(&mut self, now: Time) {
        let limit = self.limit();
        if self.meter.done() < ROUND_WINDOWS.saturating_mul(limit).max(ROUND_SAMPLES) {
            return;
        }
        let Some(reading) = self.meter.reading() else { return };
        let slack = self.meter.slack();
        self.meter.begin(now, 0);
        let cv = self.shape.cv();
        if slack {
            if reading.level < LIGHT * f64::from(limit) {
                // Light load gives a base for nothing.
                self.knee.lighten(reading, cv);
            }
            return;
        }
        let watch = self.knee.round(reading);
        let bounded = self.bounded();
        if bounded && self.sharing.climate() != Climate::Quiet {
            // A capacity that moves is followed by probes; a contrast takes minutes in which nothing else may move.
            return;
        }
        let lowest = limit <= self.config.min;
        let settled = self.refusals.held() >= SETTLED.saturating_mul(limit);
        let level = Level { lowest, bounded, settled, at_ceiling: self.at_ceiling(), cv };
        if let Some(share) = self.knee.suspects(watch, level) {
            let away = (f64::from(limit) * share).ceil() as u32;
            self.contrast(now, self.config.clamp(away.min(limit.saturating_sub(1))));
        }
    }

    /// Ends slow start at an estimated knee.
    pub(super) fn latency_hold(&mut self, now: Time, bend: Bend) -> Option<Change> {
        let to = self.config.clamp(with_headroom(bend.level)).min(self.limit());
        self.probing.soon();
        self.end_epoch(End::Cut);
        // Which of the octaves were free of queueing is not known: a contrast must find a base.
        self.knee.queued(bend.all_queue);
        self.ascent.restart(now);
        self.hold(now, to, ChangeKind::LatencyHold)
    }

    /// Counts a success during a contrast.
    pub(super) fn tested(&mut self, now: Time, mut contrast: Contrast, full: bool) -> Option<Change> {
        if self.meter.slack() {
            return self.hold(now, contrast.home(), ChangeKind::ProbeDropped);
        }
        let limit = self.limit();
        if limit < contrast.limit() {
            // Upwards by one per success: a bound on the way costs one refusal.
            let change = full.then(|| self.set(limit + 1, ChangeKind::ProbeUp)).flatten();
            if self.limit() >= contrast.limit() {
                self.settle_meter(now);
            }
            return change;
        }
        if self.meter.done() < contrast.needed() {
            return None;
        }
        let reading = self.meter.reading()?;
        if let Some(conclusion) = contrast.record(reading, self.shape.cv()) {
            return self.concluded(now, contrast, conclusion);
        }
        self.state = State::Test(contrast);
        // Down at once, and back to where we were; only new ground is climbed.
        let change = match contrast.limit() {
            to if to < limit => self.set(to, ChangeKind::ProbeDown),
            to if to == contrast.home() => self.set(to, ChangeKind::ProbeUp),
            _ => None,
        };
        self.settle_meter(now);
        change
    }

    /// Acts on a contrast that has ended.
    fn concluded(&mut self, now: Time, contrast: Contrast, conclusion: Conclusion) -> Option<Change> {
        let (home, cv) = (contrast.home(), self.shape.cv());
        if conclusion.verdict == Verdict::Void {
            return self.hold(now, home, ChangeKind::ProbeDropped);
        }
        if contrast.downward() {
            let to = self.knee.placed_below(home, conclusion, cv);
            self.probing.not_at_once();
            return self.hold(now, to, ChangeKind::LatencyCut);
        }
        let Some(to) = self.knee.placed_above(home, conclusion, cv) else {
            self.probe_later();
            return self.hold(now, home, ChangeKind::ProbeDropped);
        };
        if self.knee.paid() {
            self.probing.at_once();
        } else {
            self.probe_later();
        }
        let kind = if to > home { ChangeKind::LatencyGrow } else { ChangeKind::LatencyCut };
        self.hold(now, to, kind)
    }
}
