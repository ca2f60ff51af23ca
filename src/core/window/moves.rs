//! The moves between states.

use super::contrast::Contrast;
use super::epoch::End;
use super::state::State;
use super::{Change, ChangeKind, Window};
use crate::core::time::Time;

impl Window {
    /// Returns the level that is believed right, whatever is being tried.
    pub(super) fn home(&self) -> u32 {
        self.state.home(self.limit())
    }

    /// Returns the most that may be in flight: the configured maximum, or what the latency target leaves of it.
    pub(super) fn most(&self) -> u32 {
        self.target.ceiling().map_or(self.config.max, |ceiling| ceiling.min(self.config.max))
    }

    /// Returns whether the limit is where the provider refuses.
    pub(super) fn bounded(&self) -> bool {
        self.refusals.reached(self.limit())
    }

    /// Ends a control period.
    pub(super) fn end_epoch(&mut self, by: End) {
        self.epoch.end(by);
    }

    /// Moves the limit; a change only if it moved.
    pub(super) fn set(&mut self, to: u32, kind: ChangeKind) -> Option<Change> {
        let to = self.config.clamp(to.min(self.most()));
        let from = self.load.set_limit(to);
        (to != from).then_some(Change { kind, from, to })
    }

    /// Holds `level`.
    pub(super) fn hold(&mut self, now: Time, level: u32, kind: ChangeKind) -> Option<Change> {
        self.knee.hold(|| self.ascent.base(self.shape.cv()));
        self.state = State::Hold { done: 0 };
        let change = self.set(level, kind);
        self.settle_meter(now);
        change
    }

    /// Looks for more from wherever the limit is put, as at a cold start.
    pub(super) fn search(&mut self, now: Time) {
        self.ascend(now, State::SlowStart { until: self.config.max });
    }

    /// Goes up carefully from wherever the limit is put, after so many successes of `grace`.
    pub(super) fn climb(&mut self, now: Time, until: u32, grace: u32) {
        self.ascend(now, State::Climb { until, done: 0, grace });
    }

    fn ascend(&mut self, now: Time, state: State) {
        self.ascent.restart(now);
        self.state = state;
        self.meter.begin(now, 0);
    }

    /// Begins a probe: one request above a capacity that was read.
    pub(super) fn probe(&mut self, now: Time) -> Option<Change> {
        let from = self.limit();
        self.state = State::Probe { from, sent: None, proven: 0 };
        self.meter.begin(now, 0);
        self.set(from + 1, ChangeKind::Probe)
    }

    /// Begins a contrast of the limit with `away`.
    pub(super) fn contrast(&mut self, now: Time, away: u32) {
        // Where the provider refuses, only whether it also queues is asked; where it does not, the base that comes of
        // it places the window.
        let precise = !self.bounded();
        self.state = State::Test(Contrast::new(self.limit(), away, self.shape.cv(), precise));
        // What was watched at this level would do for the first leg, but it is also what raised the suspicion: measure
        // again.
        self.meter.begin(now, 0);
    }

    /// Begins a stretch of measurement once the present level has settled: what is too much has drained and one window
    /// has passed.
    pub(super) fn settle_meter(&mut self, now: Time) {
        self.meter.begin(now, self.limit() + self.load.excess());
    }

    /// Lengthens the interval to the next probe.
    pub(super) fn probe_later(&mut self) {
        let (limit, mean) = (self.limit(), self.shape.mean());
        self.probing.lengthen(limit, self.sharing.climate(), self.config.refusals_free, mean);
    }
}
