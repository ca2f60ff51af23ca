//! The window: how many requests one route may have in flight.
//!
//! Nobody tells the scheduler how much a provider can do at once. This controller
//! finds out, keeps that many in flight, and notices when it changes. It is AIMD
//! in its skeleton (additive increase, multiplicative decrease: Chiu & Jain 1989)
//! with two sensors that plain AIMD lacks, because providers differ in kind:
//!
//! | provider | what tells | what the window does |
//! |---|---|---|
//! | hard cap: one too many is a 429 | the refusal *is* a reading of capacity | hold it, probe +1 ever more rarely (`refusal.rs`) |
//! | silent queue: latency grows | service time against in flight | hold 1.07 × the knee (`watch.rs`, `knee.rs`) |
//! | 503, 504, 529, timeouts | what succeeds beside them | nothing, unless less is admitted or served than sent (`overload.rs`) |
//! | anything that makes requests longer than wished | the median service time | give way, if an operator said so (`target.rs`) |
//! | others on the same account | a slot that is gone | × 0.8, and leave it to them (`refusal.rs`) |
//!
//! A provider may be several of these: with one slot, a queue of sixteen and a 429
//! beyond, the knee rules long before the refusal.
//!
//! # Phases
//!
//! ```text
//!              refusal, knee                interval over
//! slow start ───────────────▶ hold ──────────────────────▶ probe (+1, refusing provider)
//!  ▲  ▲   │                   ▲ │ ▲                          │ │
//!  │  │   │ until             │ │ └──────── refused ─────────┘ │ admitted
//!  │  │   ▼                   │ └─────────────────────────▶ contrast (other level, silent)
//!  │  └─ climb ◀── competitor, └──────── verdict ────────────┘ │
//!  │      (+1 per window)                                      │
//!  └────────────── resume, idle, probe admitted ───────────────┘
//! ```
//!
//! - **Slow start** (after RFC 5681): +2 per success (`ramp`), so the window triples
//!   per round trip, until the first refusal or significant growth of service time
//!   (`octaves.rs`, after HyStart, RFC 9406). Growth needs a full window and demand.
//! - **Hold**: a capacity that was read or a knee that was found is held, not
//!   sawtoothed about: AIMD alone averages (1 + β) ÷ 2 of the capacity.
//! - **Probe**: +1 above a capacity that was read. Failure doubles the interval, 1
//!   to 32 windows; success (or no refusal in eight times what refusals take)
//!   re-opens slow start, +1 per success from there. (A doubling step would send a
//!   burst of refusals at its end; slow start ends in one.)
//! - **Contrast**: home – away – home, measured by Little's law (`meter.rs`) with as
//!   many samples as their scatter demands (`contrast.rs`). It replaces gate
//!   thresholds such as 3 · log₁₀ of the window by significance, since generation
//!   times scatter a hundred times more than the round trips Vegas was made for.
//!   Levels are compared within minutes, so a provider that slows down for
//!   everybody does not collapse the window.
//!
//! # Rules that hold always
//!
//! - The limit is within `min..=max`; `min == max` pins it.
//! - One decrease per epoch, only on evidence dispatched in that epoch. A thousand
//!   simultaneous refusals or failures are one event. (Refusals of one burst may
//!   refine the reading of that event downward: the first one dispatched counts.)
//! - Growth, too, needs evidence dispatched in the current epoch.
//! - `RateLimited`, `Failed`, `Rejected` and `Cancelled` free the slot and say nothing; one `Overloaded` says nothing
//!   either.
//! - Pure and deterministic: no clock, no randomness. Each call is O(1) and
//!   allocates nothing.
//!
//! # Examples
//!
//! ```
//! # use fairflow::core::{outcome::Outcome, time::Time, window::{Window, WindowConfig}};
//! let mut window = Window::new(WindowConfig { initial: 4, min: 1, max: 64, ..WindowConfig::default() });
//! let stamp = window.on_dispatch(Time::ZERO, 1.0, true);
//! assert_eq!((window.limit(), window.in_flight(), window.free()), (4, 1, 3));
//!
//! let later = Time::from_nanos(400_000_000);
//! window.on_settle(later, stamp, Outcome::RateLimited, true);
//! assert_eq!((window.limit(), window.in_flight()), (4, 0));
//! ```

mod change;
mod config;
mod contrast;
mod explain;
mod growth;
mod idle;
mod knee;
mod meter;
mod octaves;
mod overload;
mod refusal;
mod shape;
mod stamp;
mod state;
mod target;
#[cfg(test)]
mod tests;
mod watch;

pub use change::{Change, ChangeKind, Phase};
pub use config::WindowConfig;
pub use stamp::Stamp;

use crate::core::outcome::Outcome;
use crate::core::time::Time;
use idle::Idle;
use meter::{Meter, Reading};
use octaves::Octaves;
use overload::{Failures, Sends};
use shape::Shape;
use state::State;
use target::Target;

/// Growth needs this share of the window in flight: a limit that is not reached
/// is not tested by success (RFC 7661).
const FULL: f64 = 0.9;

/// The AIMD window controller of one route.
#[derive(Debug, Clone)]
pub struct Window {
    config: WindowConfig,
    limit: u32,
    in_flight: u32,
    epoch: u32,
    state: State,
    /// Capacity read from refusals.
    bound: Option<u32>,
    /// Service time at a level free of queueing.
    base: Option<Reading>,
    /// The base is from slow start, where short requests finish first: it is too low.
    rough: bool,
    /// How long refusals take lately, in seconds; 0 before the first.
    refusal: f64,
    /// How long the last refusal asked to pause, in seconds.
    pause: f64,
    /// When the request that probes was sent.
    probe_at: Option<Time>,
    /// Service time at the held level, over recent rounds.
    watch: Option<Reading>,
    /// Successes while holding since the limit was last found.
    held: u32,
    /// Failed probes to go until the interval may grow as in quiet times.
    alert: u32,
    /// The alert is because somebody else took a slot, not because the capacity fell.
    shared: bool,
    /// A refusal at the known capacity made a slot suspect; the next probe tells whether it is gone.
    suspect: bool,
    /// When it did.
    suspect_at: Time,
    /// Successes to wait before a climb begins.
    grace: u32,
    /// Windows to hold until the next probe.
    interval: u32,
    /// The level, and the capacity that was read, from which the capacity that was there began to go.
    former: Option<(u32, Option<u32>)>,
    /// The limit when it last doubled in slow start.
    doubled: u32,
    sends: Sends,
    failures: Failures,
    /// Something dispatched in this epoch succeeded.
    proven: bool,
    /// The last epoch ended with a reading that its burst may refine.
    reading_open: bool,
    /// Refusals of that burst.
    burst: u32,
    /// Successes while holding since the last refusal at the known capacity.
    since_refusal: u32,
    /// Slots given away at the last of several falls of the capacity in a row.
    last_fall: u32,
    /// Falls of several slots at once since somebody else was last seen to take one.
    falls: u32,
    /// The capacity is from before a restart and was not confirmed yet.
    recalled: bool,
    /// The last up-contrast paid.
    paid: bool,
    /// The next down-contrast goes to half.
    deep: bool,
    /// When the window was last full while jobs waited.
    full_at: Option<Time>,
    meter: Meter,
    octaves: Octaves,
    shape: Shape,
    idle: Idle,
    latency: Target,
}

impl Window {
    /// A cold window: starts at `config.initial`, in slow start.
    pub fn new(config: WindowConfig) -> Self {
        let max = config.clamp(config.max);
        Self {
            limit: config.clamp(config.initial),
            config,
            in_flight: 0,
            epoch: 0,
            state: State::SlowStart { until: max, then: max },
            bound: None,
            base: None,
            rough: false,
            refusal: 0.0,
            pause: 0.0,
            probe_at: None,
            watch: None,
            held: 0,
            alert: 0,
            shared: false,
            suspect: false,
            suspect_at: Time::ZERO,
            grace: 0,
            interval: 1,
            former: None,
            doubled: 0,
            sends: Sends::default(),
            failures: Failures::default(),
            proven: false,
            reading_open: false,
            burst: 0,
            since_refusal: u32::MAX,
            last_fall: 0,
            falls: 0,
            recalled: false,
            paid: false,
            deep: true,
            full_at: None,
            meter: Meter::new(),
            octaves: Octaves::default(),
            shape: Shape::default(),
            idle: Idle::default(),
            latency: Target::default(),
        }
    }

    /// A window that starts at a limit learned before a restart, clamped to the
    /// bounds of `config`, without slow start.
    pub fn remembered(config: WindowConfig, limit: u32) -> Self {
        let mut window = Self::new(config);
        window.limit = config.clamp(limit);
        window.state = State::Hold { done: 0 };
        // Taken for a reading until one request more was tried: where the provider
        // refuses, that confirms it at the price of one refusal.
        window.bound = Some(window.limit);
        window.recalled = true;
        window
    }

    /// Requests that may be in flight now, in `min..=max`.
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// Requests dispatched and not yet settled.
    pub fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Requests that may be dispatched now: the limit less what is in flight.
    pub fn free(&self) -> u32 {
        self.limit.saturating_sub(self.in_flight)
    }

    /// Counts a dispatch of predicted cost `size` (> 0, in any unit that is the
    /// same for all requests of the route). `demand`: more jobs wait behind it.
    ///
    /// The limit is advice: a dispatch above it is counted like any other.
    pub fn on_dispatch(&mut self, now: Time, size: f64, demand: bool) -> Stamp {
        // The change is visible in the limit; a caller who wants to report it
        // calls `advance` himself.
        let _decay = self.advance(now);
        self.meter.tick(now, self.in_flight);
        self.in_flight = self.in_flight.saturating_add(1);
        self.idle.dispatched(now, self.in_flight);
        let size = if size.is_finite() && size > 0.0 { size as f32 } else { 1.0 };
        self.note_full(now, demand);
        if let State::Probe { from, .. } = self.state
            && self.in_flight > from
        {
            self.probe_at.get_or_insert(now);
        }
        let serial = self.sends.note(now);
        Stamp { at: now, size, epoch: self.epoch, in_flight: self.in_flight, serial }
    }

    /// Ends the dispatch of `stamp`. `demand`: jobs wait now.
    pub fn on_settle(&mut self, now: Time, stamp: Stamp, outcome: Outcome, demand: bool) -> Option<Change> {
        self.meter.tick(now, self.in_flight);
        let before = self.in_flight;
        self.note_full(now, demand);
        let full = self.full_at.is_some_and(|at| at >= stamp.at);
        self.in_flight = self.in_flight.saturating_sub(1);
        self.idle.busy(now);
        // What failed had its slot for that long, whatever came of it.
        if !matches!(outcome, Outcome::Success | Outcome::Overloaded) {
            self.meter.forget(stamp.at);
        }
        match outcome {
            Outcome::Success => self.succeeded(now, stamp, full),
            Outcome::Throttled if !self.config.pinned() => self.refused(now, stamp, before),
            Outcome::Overloaded if !self.config.pinned() => self.failed(now, stamp, before),
            _ => None,
        }
    }

    /// Notes whether the window is full while jobs wait. A success counts for
    /// growth if it was so at any time of its life: outcomes come in batches, and
    /// the window is refilled only after a batch.
    fn note_full(&mut self, now: Time, demand: bool) {
        if demand && f64::from(self.in_flight) >= FULL * f64::from(self.limit) {
            self.full_at = Some(now);
        }
    }
}
