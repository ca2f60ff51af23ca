//! Envoy's adaptive concurrency filter: the gradient controller.

use std::time::Duration;

use super::{Rule, Seen};
use crate::core::time::Time;
use crate::sim::rng::Rng;

/// `min_concurrency`, and the limit while the minimum round trip is measured.
const FEWEST: u32 = 3;
/// `max_concurrency_limit`.
const MOST: f64 = 1000.0;
/// `min_rtt_calc_params.request_count`.
const ENOUGH: usize = 50;
/// `min_rtt_calc_params.interval`, and its `jitter`.
const INTERVAL: f64 = 60.0;
const JITTER: f64 = 0.15;
/// `concurrency_update_interval`.
const UPDATE: Duration = Duration::from_millis(100);
/// `min_rtt_calc_params.buffer`.
const BUFFER: f64 = 1.25;
/// So many updates in a row at the fewest measure the minimum anew.
const STUCK: u32 = 5;

#[derive(Debug)]
pub(in crate::sim) struct Envoy {
    limit: u32,
    /// The limit to return to after the measurement under way.
    measuring: Option<u32>,
    unloaded: f64,
    samples: Vec<f64>,
    measure_at: Time,
    update_at: Time,
    stuck: u32,
    rng: Rng,
}

impl Envoy {
    pub(in crate::sim) fn new(seed: u64) -> Self {
        Self {
            limit: FEWEST,
            measuring: Some(FEWEST),
            unloaded: 0.0,
            samples: Vec::new(),
            measure_at: Time::FAR,
            update_at: Time::ZERO,
            stuck: 0,
            rng: Rng::new(seed, u64::from(b'e')),
        }
    }

    fn median(&mut self) -> f64 {
        self.samples.sort_by(f64::total_cmp);
        let median = self.samples.get(self.samples.len() / 2).copied().unwrap_or(0.0);
        self.samples.clear();
        median
    }

    fn measure(&mut self) {
        self.measuring = Some(self.limit);
        self.limit = FEWEST;
        self.samples.clear();
        self.stuck = 0;
    }
}

impl Rule for Envoy {
    fn limit(&self) -> u32 {
        self.limit
    }

    fn seen(&mut self, Seen { now, rtt, dropped, .. }: Seen) {
        if dropped {
            return;
        }
        self.samples.push(rtt);
        if let Some(before) = self.measuring {
            if self.samples.len() >= ENOUGH {
                self.unloaded = self.median();
                self.measuring = None;
                self.limit = before;
                let wait = INTERVAL * (1.0 + JITTER * self.rng.unit());
                self.measure_at = now + Duration::from_secs_f64(wait);
                self.update_at = now + UPDATE;
            }
            return;
        }
        if now >= self.measure_at {
            return self.measure();
        }
        if now < self.update_at {
            return;
        }
        self.update_at = now + UPDATE;
        let gradient = (self.unloaded * BUFFER / self.median()).clamp(0.5, 2.0);
        let limit = f64::from(self.limit) * gradient;
        self.limit = ((limit + limit.sqrt()).clamp(f64::from(FEWEST), MOST)) as u32;
        self.stuck = if self.limit == FEWEST { self.stuck + 1 } else { 0 };
        if self.stuck >= STUCK {
            self.measure();
        }
    }
}
