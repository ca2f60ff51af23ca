//! Competitors for the same capacity, and a capacity that moves.
//!
//! Readings are held, so shares that came about unfairly would stay. A window that has noticed competitors therefore
//! probes at intervals in proportion to its share (a small one asks often), leaves to them for a while what it gave
//! way, and every second time gives way instead of probing, which costs no refusal. (Multiplicative decrease and
//! additive increase draw shares level: Chiu & Jain 1989.)

/// Failed probes for which the interval stays short after the capacity has moved: it is likely to move again.
const ALERT_PROBES: u32 = 24;

/// Falls of several slots at once after which a single slot that is gone is a fall as well: competitors take slots one
/// by one.
const SINKING: u32 = 2;

/// Probes among competitors of which one gives way instead.
const PROBES_PER_YIELD: u32 = 2;

/// Slots up to which a window gives nothing to competitors.
const LEAST_YIELDING: u32 = 2;

/// Windows for which what was given to competitors is left to them.
const GRACE: u32 = 4;

/// Whether a window is alone with its capacity, and the capacity still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Climate {
    /// Neither competitors nor a capacity that moves were seen lately.
    Quiet,
    /// The capacity has moved lately.
    Moving,
    /// A competitor was seen lately.
    Shared,
}

/// Competitors that were noticed, and falls of the capacity.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sharing {
    /// Failed probes to go until the interval may grow as in quiet times.
    alert: u32,
    /// The alert is because of a competitor, not because the capacity fell.
    shared: bool,
    /// Slots given away at the last of several falls of the capacity in a row.
    last_fall: u32,
    /// Falls of several slots at once since a competitor was last seen to take one.
    falls: u32,
}

impl Sharing {
    /// Returns what disturbs the window lately.
    pub(super) fn climate(&self) -> Climate {
        match (self.alert > 0, self.shared) {
            (true, true) => Climate::Shared,
            (true, false) => Climate::Moving,
            (false, _) => Climate::Quiet,
        }
    }

    /// Returns whether it is time to leave some of a shared capacity to competitors.
    pub(super) fn yields(&self, limit: u32) -> bool {
        self.climate() == Climate::Shared && self.alert.is_multiple_of(PROBES_PER_YIELD) && limit > LEAST_YIELDING
    }

    /// Returns the successes for which a window that gives way to `limit` leaves the rest to competitors.
    pub(super) fn grace(&self, limit: u32) -> u32 {
        if self.shared { GRACE.saturating_mul(limit) } else { 0 }
    }

    /// Returns how many slots a window that gives way may lose at most.
    pub(super) fn most_to_give(&self) -> u32 {
        if self.shared { u32::MAX } else { self.last_fall }
    }

    /// No competitor explains what was seen.
    pub(super) fn alone(&mut self) {
        self.shared = false;
    }

    /// The capacity fell by several slots, or by so many that it is `clearly` below.
    pub(super) fn fell(&mut self, clearly: bool) {
        self.shared = false;
        self.falls = self.falls.saturating_add(1);
        if clearly {
            self.last_fall = u32::MAX;
        }
    }

    /// A slot is gone and stays so: a competitor has it, unless the capacity is known to sink.
    pub(super) fn lost_slot(&mut self) {
        self.shared = self.falls < SINKING || self.alert == 0;
        if self.shared {
            self.falls = 0;
        }
    }

    /// The window gives way; the steps down double while the capacity only sinks.
    pub(super) fn gives_way(&mut self) {
        self.alert();
        self.last_fall = self.last_fall.saturating_mul(2).max(1);
    }

    /// The window gave some of a shared capacity away in place of a probe.
    pub(super) fn yielded(&mut self) {
        self.alert -= 1;
    }

    /// A reading was taken: a fall has ended.
    pub(super) fn read(&mut self) {
        self.last_fall = 0;
    }

    /// A probe was refused.
    pub(super) fn probe_failed(&mut self) {
        self.alert = self.alert.saturating_sub(1);
    }

    /// A probe was admitted: capacity that grows out of the blue was left by a competitor.
    pub(super) fn probe_admitted(&mut self) {
        self.shared |= self.alert == 0;
        self.alert();
    }

    /// The capacity has moved, and may soon move again.
    pub(super) fn alert(&mut self) {
        self.alert = ALERT_PROBES - 1;
    }

    /// The capacity is back as it was: the alert is over.
    pub(super) fn calm(&mut self) {
        (self.alert, self.shared) = (0, false);
    }
}
