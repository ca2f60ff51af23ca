//! The window: how many requests one route may have in flight.
//!
//! Nobody tells the scheduler how much a provider can do at once. This controller
//! finds out, keeps that many in flight, and notices when it changes. It is AIMD
//! in its skeleton (additive increase, multiplicative decrease: Chiu & Jain 1989)
//! with two sensors that plain AIMD lacks, because providers differ in kind:
//!
//! | provider | signal | what the window does |
//! |---|---|---|
//! | hard cap: one too many is a 429 | the refusal *is* a reading of capacity | hold it, probe +1 ever more rarely (`refused.rs`) |
//! | silent queue: latency grows | service time against in flight | hold 1.07 × the knee (`watched.rs`, `knee.rs`) |
//! | 503, 504, 529, timeouts | what succeeds beside them | nothing, unless less is admitted or served than sent (`failed.rs`, `overload.rs`) |
//! | anything that makes requests longer than wished | the median service time | give way, if an operator said so (`target.rs`) |
//! | others on the same account | a slot that is gone | × 0.8, and leave it to them (`sharing.rs`) |
//!
//! A provider may be several of these: with one slot, a queue of sixteen and a 429
//! beyond, the knee rules long before the refusal.
//!
//! # Phases
//!
//! ```text
//!              refusal, knee               interval over
//! slow start ───────────────▶ hold ─────────────────────▶ probe (+1, refusing provider)
//!  ▲                          ▲ │ ▲                          │ │
//!  │      climb ──────────────┘ │ └──────── refused ─────────┘ │ admitted
//!  │ (+1 per window)            │                              │
//!  │        ▲                   ├───────▶ contrast (other level, silent provider)
//!  │        └──── gives way ────┤            │                 │
//!  │                            └◀─ verdict ─┘                 │
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

mod adjust;
mod ascent;
mod change;
mod config;
mod contrast;
mod epoch;
mod explain;
mod failed;
mod idle;
mod knee;
mod load;
mod meter;
mod moves;
mod octaves;
mod overload;
mod probing;
mod refusals;
mod refused;
mod sends;
mod shape;
mod sharing;
mod stamp;
mod state;
mod succeeded;
mod target;
mod targeted;
#[cfg(test)]
mod tests;
mod watched;

pub use change::{Change, ChangeKind, Phase};
pub use config::WindowConfig;
pub use stamp::Stamp;

use crate::core::outcome::Outcome;
use crate::core::time::Time;
use ascent::Ascent;
use epoch::Epoch;
use idle::Idle;
use knee::Knee;
use load::Load;
use meter::Meter;
use overload::Overload;
use probing::Probing;
use refusals::Refusals;
use shape::Shape;
use sharing::Sharing;
use state::State;
use target::Target;

/// The AIMD window controller of one route.
///
/// Each part owns its fields and keeps to its subject; the window hears of dispatches and outcomes, asks its parts what
/// they make of them, and moves.
#[derive(Debug, Clone)]
pub struct Window {
    config: WindowConfig,
    load: Load,
    epoch: Epoch,
    state: State,
    refusals: Refusals,
    sharing: Sharing,
    probing: Probing,
    knee: Knee,
    overload: Overload,
    ascent: Ascent,
    target: Target,
    meter: Meter,
    shape: Shape,
    idle: Idle,
}

impl Window {
    /// Builds a cold window: it starts at `config.initial`, in slow start.
    pub fn new(config: WindowConfig) -> Self {
        Self {
            load: Load::new(config.clamp(config.initial)),
            epoch: Epoch::default(),
            state: State::SlowStart { until: config.clamp(config.max) },
            refusals: Refusals::new(),
            sharing: Sharing::default(),
            probing: Probing::new(),
            knee: Knee::new(),
            overload: Overload::default(),
            ascent: Ascent::default(),
            target: Target::default(),
            meter: Meter::new(),
            shape: Shape::default(),
            idle: Idle::default(),
            config,
        }
    }

    /// Builds a window that starts at a limit learned before a restart, clamped to the bounds of `config`, without slow
    /// start.
    pub fn remembered(config: WindowConfig, limit: u32) -> Self {
        let limit = config.clamp(limit);
        Self {
            load: Load::new(limit),
            state: State::Hold { done: 0 },
            refusals: Refusals::recalled(limit),
            ..Self::new(config)
        }
    }

    /// Returns how many requests may be in flight now, in `min..=max`.
    pub fn limit(&self) -> u32 {
        self.load.limit()
    }

    /// Returns how many requests are dispatched and not yet settled.
    pub fn in_flight(&self) -> u32 {
        self.load.in_flight()
    }

    /// Returns how many requests may be dispatched now: the limit less what is in flight.
    pub fn free(&self) -> u32 {
        self.load.free()
    }

    /// Counts a dispatch of predicted cost `size` (> 0, in any unit that is the same for all requests of the route).
    /// `demand`: more jobs wait behind it.
    ///
    /// The limit is advice: a dispatch above it is counted like any other.
    pub fn on_dispatch(&mut self, now: Time, size: f64, demand: bool) -> Stamp {
        // The change is visible in the limit; a caller that wants to report it calls `advance` itself.
        let _decay = self.advance(now);
        self.meter.tick(now, self.in_flight());
        let in_flight = self.load.dispatched(now, demand);
        self.idle.dispatched(now, in_flight);
        self.state.dispatched(now, in_flight);
        let size = if size.is_finite() && size > 0.0 { size as f32 } else { 1.0 };
        Stamp { at: now, size, epoch: self.epoch.number(), in_flight, serial: self.overload.dispatched(now) }
    }

    /// Ends the dispatch of `stamp`. `demand`: jobs wait now.
    pub fn on_settle(&mut self, now: Time, stamp: Stamp, outcome: Outcome, demand: bool) -> Option<Change> {
        self.meter.tick(now, self.in_flight());
        let before = self.load.settled(now, demand);
        let full = self.load.was_full_since(stamp.at);
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
}
