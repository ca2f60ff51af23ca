//! What the provider can serve of one model at each moment, and how much of that was used: the oracle of the soak.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use crate::dice::Dice;
use crate::mischief::Mischief;

/// How a model fares for a while.
#[derive(Debug, Clone, Copy)]
pub struct Phase {
    /// When it ends, after the start.
    pub until: Duration,
    /// Requests served at once.
    pub cap: usize,
    pub sky: Sky,
}

/// What befalls every request, whoever sends it.
#[derive(Debug, Clone, Copy)]
pub enum Sky {
    Clear,
    /// So many of a request's attempts meet a 503 at once, and no more than that.
    Rain(f64),
    /// Nothing is served; every request meets the same.
    Gone(&'static Mischief),
}

impl Phase {
    fn cap(&self) -> usize {
        if matches!(self.sky, Sky::Gone(_)) { 0 } else { self.cap }
    }
}

/// The slots of one model at one account.
#[derive(Debug)]
pub struct Pool {
    pub name: &'static str,
    begun: Instant,
    phases: Vec<Phase>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    now: Duration,
    metered: bool,
    good: usize,
    poisoned: usize,
    seen: Meter,
}

/// Slot-seconds, and answers, since metering began.
#[derive(Debug, Default, Clone, Copy)]
pub struct Meter {
    /// What there was to have for the well-behaved: all slots but those that the others held.
    pub offered: f64,
    /// What they used of it.
    pub used: f64,
    pub held: f64,
    pub served: u64,
    pub full: u64,
}

/// What becomes of a request that comes in.
pub enum Entry {
    Slot(Slot),
    Full,
    Rain,
    Gone(&'static Mischief),
}

/// A slot, until it is dropped.
pub struct Slot {
    pool: Arc<Pool>,
    poisoned: bool,
}

impl Pool {
    pub fn new(name: &'static str, begun: Instant, phases: Vec<Phase>) -> Arc<Self> {
        Arc::new(Self { name, begun, phases, state: Mutex::default() })
    }

    fn phase(&self, at: Duration) -> Phase {
        let last = self.phases[self.phases.len() - 1];
        self.phases.iter().copied().find(|phase| at < phase.until).unwrap_or(last)
    }

    /// Brings the meter up to now, through every change of phase that lies between.
    fn advance<T>(&self, act: impl FnOnce(&mut State, Phase) -> T) -> T {
        let mut state = self.state.lock().unwrap();
        let now = self.begun.elapsed();
        while state.now < now {
            let phase = self.phase(state.now);
            let until = if phase.until > state.now { phase.until.min(now) } else { now };
            let span = (until - state.now).as_secs_f64();
            if state.metered {
                let (cap, held) = (phase.cap() as f64, state.poisoned.min(phase.cap()) as f64);
                state.seen.offered += (cap - held) * span;
                state.seen.held += held * span;
                state.seen.used += (state.good as f64).min(cap - held) * span;
            }
            state.now = until;
        }
        act(&mut state, self.phase(now))
    }

    pub fn enter(self: &Arc<Self>, poisoned: bool, dice: &mut Dice) -> Entry {
        self.advance(|state, phase| match phase.sky {
            Sky::Gone(mischief) => Entry::Gone(mischief),
            Sky::Rain(share) if dice.chance(share) => Entry::Rain,
            _ if state.good + state.poisoned >= phase.cap => {
                state.seen.full += 1;
                Entry::Full
            }
            _ => {
                *(if poisoned { &mut state.poisoned } else { &mut state.good }) += 1;
                Entry::Slot(Slot { pool: self.clone(), poisoned })
            }
        })
    }

    /// Begins to count: what was before was warming up.
    pub fn meter(&self) {
        self.advance(|state, _| (state.metered, state.seen) = (true, Meter::default()));
    }

    /// Ends counting.
    pub fn stop(&self) -> Meter {
        self.advance(|state, _| {
            state.metered = false;
            state.seen
        })
    }

    pub fn busy(&self) -> usize {
        self.advance(|state, _| state.good + state.poisoned)
    }

    /// Says whether the model was gone at any time of a span, or so shortly before that queues may not have drained.
    pub fn was_gone(&self, from: Instant, to: Instant, before: Duration) -> bool {
        let (from, to) = (from - self.begun, to - self.begun);
        let begins = std::iter::once(Duration::ZERO).chain(self.phases.iter().map(|phase| phase.until));
        let mut gone = begins.zip(&self.phases).filter(|(_, phase)| matches!(phase.sky, Sky::Gone(_)));
        gone.any(|(begin, phase)| begin <= to && from <= phase.until + before)
    }
}

impl Slot {
    /// Counts an answer as delivered in full.
    pub fn served(&self) {
        self.pool.advance(|state, _| state.seen.served += u64::from(!self.poisoned && state.metered));
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.pool.advance(|state, _| *(if self.poisoned { &mut state.poisoned } else { &mut state.good }) -= 1);
    }
}
