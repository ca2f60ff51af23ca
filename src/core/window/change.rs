//! Moves of a window's limit, and the phase that the window is in.

/// A move of a window's limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The reason of the move.
    pub kind: ChangeKind,
    /// The limit before, in requests in flight.
    pub from: u32,
    /// The limit now, in requests in flight; differs from `from`.
    pub to: u32,
}

/// The reason why a window's limit moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChangeKind {
    /// A success while the window was full, before the first congestion or on
    /// the way back to a level that is known: +1.
    SlowStart,
    /// A window's worth of successes while climbing after a cut: +1.
    Grow,
    /// The hold is over; the window asks for a step more than what is known.
    Probe,
    /// A probe was refused: back to what is known.
    ProbeFailed,
    /// The provider refused for concurrency: what it had admitted is its
    /// capacity.
    CapacityRead,
    /// A refusal well below the known capacity: a competitor uses it, or it fell. × 0.8.
    Competitor,
    /// 502, 503, 504 or 529 to all that is more than what is admitted: that is
    /// the capacity. Or an outage at a level that never worked: half.
    Overload,
    /// Something is admitted again after nothing was: the level before that.
    Resume,
    /// Service time rose with the window: slow start ends at the estimated knee.
    LatencyHold,
    /// A contrast of two levels passes to its lower level.
    ProbeDown,
    /// A contrast of two levels passes to its upper level, one request per success
    /// where that is new ground.
    ProbeUp,
    /// A contrast showed that the upper level only adds waiting.
    LatencyCut,
    /// A contrast showed that the upper level serves more.
    LatencyGrow,
    /// The median service time exceeds the latency target.
    TargetCut,
    /// The median service time is below the latency target again, which held the window back.
    TargetGrow,
    /// A contrast ended without a verdict (the demand went away, or the
    /// provider changed meanwhile): back to the level before.
    ProbeDropped,
    /// The route has been idle: half, down to what was used lately.
    IdleDecay,
    /// The configuration changed and its bounds moved the limit.
    Reconfigured,
}

impl ChangeKind {
    /// All kinds, in the order of [`index`](Self::index).
    pub const ALL: &'static [Self] = &[
        Self::SlowStart,
        Self::Grow,
        Self::Probe,
        Self::ProbeFailed,
        Self::CapacityRead,
        Self::Competitor,
        Self::Overload,
        Self::Resume,
        Self::LatencyHold,
        Self::ProbeDown,
        Self::ProbeUp,
        Self::LatencyCut,
        Self::LatencyGrow,
        Self::TargetCut,
        Self::TargetGrow,
        Self::ProbeDropped,
        Self::IdleDecay,
        Self::Reconfigured,
    ];

    /// Returns the position in [`ALL`](Self::ALL), for counters kept in arrays.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Returns the name as a metric label, in `snake_case`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SlowStart => "slow_start",
            Self::Grow => "grow",
            Self::Probe => "probe",
            Self::ProbeFailed => "probe_failed",
            Self::CapacityRead => "capacity_read",
            Self::Competitor => "competitor",
            Self::Overload => "overload",
            Self::Resume => "resume",
            Self::LatencyHold => "latency_hold",
            Self::ProbeDown => "probe_down",
            Self::ProbeUp => "probe_up",
            Self::LatencyCut => "latency_cut",
            Self::LatencyGrow => "latency_grow",
            Self::TargetCut => "target_cut",
            Self::TargetGrow => "target_grow",
            Self::ProbeDropped => "probe_dropped",
            Self::IdleDecay => "idle_decay",
            Self::Reconfigured => "reconfigured",
        }
    }
}

/// The phase that a window is in, for dashboards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// `min == max`: nothing to find.
    Pinned,
    /// +1 per success.
    SlowStart,
    /// +1 per window after a cut.
    Climbing,
    /// At a level that is believed right.
    Holding,
    /// A step above the known capacity, waiting for a refusal or its absence.
    Probing,
    /// Comparing two levels by the service times they give.
    Contrasting,
}

impl Phase {
    /// Every phase.
    pub const ALL: &'static [Self] =
        &[Self::Pinned, Self::SlowStart, Self::Climbing, Self::Holding, Self::Probing, Self::Contrasting];

    /// Returns the name as a metric label, in `snake_case`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pinned => "pinned",
            Self::SlowStart => "slow_start",
            Self::Climbing => "climbing",
            Self::Holding => "holding",
            Self::Probing => "probing",
            Self::Contrasting => "contrasting",
        }
    }
}
