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
    /// Share of the slots that is the odd tenants' by fairness.
    share: f64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    now: Duration,
    metered: bool,
    good: usize,
    poisoned: usize,
    /// Attempts of the odd tenants that the gateway had in flight when it was asked last.
    under_way: usize,
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
    /// Of what was offered, that which a fair scheduler can give to the well-behaved: it sees an attempt in flight and not
    /// whether that holds a slot, and may not take from the odd the slots of theirs before they exceed their share. Beyond
    /// it, what holds nothing here counts as offered, and so does a slot of theirs with nothing in flight.
    pub fair: f64,
    /// What they used of that; more at one moment makes up for less at no other.
    pub fairly_used: f64,
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
    pub fn new(name: &'static str, begun: Instant, phases: Vec<Phase>, share: f64) -> Arc<Self> {
        Arc::new(Self { name, begun, phases, share, state: Mutex::default() })
    }

    pub fn model(&self) -> &'static str {
        self.name.split_once('/').unwrap().1
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
                let theirs = (state.under_way as f64).min(self.share * cap).max(held);
                state.seen.fair += (cap - theirs) * span;
                state.seen.fairly_used += (state.good as f64).min(cap - theirs) * span;
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

    /// Takes what the gateway has in flight of the odd tenants.
    pub fn under_way(&self, attempts: usize) {
        self.advance(|state, _| state.under_way = attempts);
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

/// What the odd have in flight and not at the provider counts for them up to their share and no further, and slots that
/// the well-behaved had of it make up for none that they did not use.
#[tokio::test(start_paused = true)]
async fn a_share_is_left_to_the_odd_and_no_more() {
    let phase = Phase { until: Duration::from_secs(9), cap: 6, sky: Sky::Clear };
    let pool = Pool::new("lab/m", Instant::now(), vec![phase], 1.0 / 3.0);
    let mut dice = Dice::new(1);
    let mut enter = |poisoned| match pool.enter(poisoned, &mut dice) {
        Entry::Slot(slot) => slot,
        _ => panic!("there is room"),
    };
    pool.meter();
    let mut good = vec![enter(false), enter(false), enter(false)];
    let mut fair = 0.0;
    // In flight at the gateway, slots of theirs at the provider, and what is left to the well-behaved.
    for (under_way, held, left) in [(0, 0, 6.0), (1, 0, 5.0), (3, 0, 4.0), (0, 1, 5.0), (3, 3, 3.0)] {
        let odd: Vec<_> = (0..held).map(|_| enter(true)).collect();
        pool.under_way(under_way);
        tokio::time::sleep(Duration::from_secs(1)).await;
        drop(odd);
        pool.under_way(0);
        fair += left;
    }
    pool.under_way(2);
    good.extend([enter(false), enter(false)]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let meter = pool.stop();
    let near = |seen: f64, wanted: f64| assert!((seen - wanted).abs() < 0.01, "{seen}, not {wanted}: {meter:?}");
    near(meter.fair, fair + 4.0);
    near(meter.fairly_used, 5.0 * 3.0 + 4.0);
    near(meter.used, 5.0 * 3.0 + 5.0);
}
