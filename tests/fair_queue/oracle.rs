//! The queue against fluid weighted sharing (generalised processor sharing), computed by brute force.
//!
//! A failure prints the seed. `cargo test --test fair_queue oracle -- --nocapture` prints the lags.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use fairflow::core::cost::{Cost, Weight};
use fairflow::core::fair_queue::{Class, FairQueue, QueueLimits, Request, TenantLimits};
use fairflow::core::key::Key;
use fairflow::core::predict::{ModelCosts, Ratio};
use fairflow::core::time::Time;

use crate::random::Random;

/// Fluid sharing: whatever work is done is divided by weight among those that have any left.
struct Fluid {
    weights: Vec<f64>,
    left: Vec<f64>,
    served: Vec<f64>,
}

impl Fluid {
    fn serve(&mut self, mut work: f64) {
        while work > 1e-9 {
            let sum: f64 = (0..self.left.len()).filter(|i| self.left[*i] > 0.0).map(|i| self.weights[i]).sum();
            if sum == 0.0 {
                return;
            }
            // Until the first runs dry, or the work is done.
            let per_weight = |i: usize| if self.left[i] > 0.0 { self.left[i] / self.weights[i] } else { f64::MAX };
            let step = (0..self.left.len()).map(per_weight).fold(work / sum, f64::min);
            for i in (0..self.left.len()).filter(|i| self.left[*i] > 0.0).collect::<Vec<_>>() {
                let part = step * self.weights[i];
                self.served[i] += part;
                self.left[i] = if self.left[i] - part < 1e-9 { 0.0 } else { self.left[i] - part };
            }
            work -= step * sum;
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Prediction {
    Exact,
    /// Off by up to this share either way, each time.
    Error(f64),
    /// Off by a factor of its own for each tenant, and by chance; learned online.
    Learned,
}

struct Load {
    weights: Vec<u32>,
    uniform: bool,
    /// Chance, at each step, that a tenant goes silent or comes back.
    churn: f64,
    slots: usize,
    prediction: Prediction,
    steps: usize,
}

/// Returns the largest lag of any tenant behind or ahead of the fluid, in largest costs.
fn lag(seed: u64, load: &Load) -> f64 {
    let mut random = Random(seed);
    let n = load.weights.len();
    let mut queue = FairQueue::new(QueueLimits { capacity: 100_000, ..QueueLimits::default() });
    let weights: Vec<f64> = load.weights.iter().map(|w| f64::from(*w)).collect();
    let mut fluid = Fluid { weights, left: vec![0.0; n], served: vec![0.0; n] };
    let mut served = vec![0.0; n];
    let names: Vec<Arc<str>> = (0..n).map(|i| format!("t{i}").into()).collect();
    let bias: Vec<f64> = (0..n).map(|_| (random.unit() * 4.0 - 2.0).exp2()).collect();
    let mut model = ModelCosts::default();
    let mut ratios = vec![Ratio::default(); n];
    let mut busy = vec![true; n];
    let mut waiting = vec![0; n];
    let mut flying: VecDeque<(Key, usize, Cost, Cost)> = VecDeque::new();
    let (largest, mut worst, now) = (100.0, 0.0f64, Time::ZERO);
    // With learned costs the first requests of a tenant pay for what is learned; they are counted after that.
    let counted_from = if load.prediction == Prediction::Learned { load.steps / 4 } else { 0 };
    let mut base = vec![0.0; n];
    for step in 0..load.steps {
        for i in 0..n {
            if random.chance(load.churn) {
                busy[i] = !busy[i];
            }
            while waiting[i] < if busy[i] { 3 } else { 0 } {
                let actual = if load.uniform { 100 } else { 1 + random.below(100) };
                let expected = match load.prediction {
                    Prediction::Exact => actual,
                    Prediction::Error(share) => (actual as f64 * (1.0 + share * (2.0 * random.unit() - 1.0))) as u64,
                    Prediction::Learned => (actual as f64 * bias[i] * (1.0 + 0.3 * (2.0 * random.unit() - 1.0))) as u64,
                };
                let expected = Cost::new(expected);
                let cost = match load.prediction {
                    Prediction::Learned => model.predict(&ratios[i], expected),
                    _ => expected,
                };
                let limits = TenantLimits { weight: Weight::new(fluid.weights[i]).unwrap(), ..TenantLimits::default() };
                let payload = (i, Cost::new(actual), expected);
                let request = Request {
                    tenant: names[i].clone(),
                    limits,
                    class: Class::Standard,
                    cost,
                    deadline: Time::FAR,
                    payload,
                };
                queue.push(now, request).map_err(|(refusal, _)| refusal).unwrap();
                fluid.left[i] += actual as f64;
                waiting[i] += 1;
            }
        }
        let Some(job) = queue.pop(now, 0) else { continue };
        let (i, actual, expected) = job.payload;
        waiting[i] -= 1;
        served[i] += f64::from(actual.units());
        fluid.serve(f64::from(actual.units()));
        flying.push_back((job.key, i, actual, expected));
        if flying.len() >= load.slots {
            let at = random.below(flying.len() as u64) as usize;
            let (key, i, actual, expected) = flying.swap_remove_back(at).unwrap();
            queue.complete(now, key, Some(actual));
            model.record(&mut ratios[i], expected, actual);
        }
        if step == counted_from {
            base = (0..n).map(|i| served[i] - fluid.served[i]).collect();
        } else if step > counted_from {
            let off = (0..n).map(|i| (served[i] - fluid.served[i] - base[i]).abs() / largest);
            worst = off.fold(worst, f64::max);
        }
    }
    worst
}

fn worst(name: &str, seeds: u64, load: impl Fn(&mut Random) -> Load, most: f64) -> f64 {
    let lags: Vec<(f64, u64)> = (1..=seeds).map(|seed| (lag(seed, &load(&mut Random(seed ^ 0xF00))), seed)).collect();
    let (worst, seed) = lags.iter().copied().max_by(|a, b| a.0.total_cmp(&b.0)).unwrap();
    let mean = lags.iter().map(|(lag, _)| lag).sum::<f64>() / lags.len() as f64;
    println!("{name:<46} worst lag {worst:>6.2} (seed {seed}), mean of worsts {mean:>5.2}, wanted ≤ {most}");
    worst
}

fn load(n: usize, slots: usize, prediction: Prediction) -> Load {
    Load { weights: vec![1; n], uniform: false, churn: 0.01, slots, prediction, steps: 3_000 }
}

#[test]
fn lag_behind_the_fluid() {
    let seeds = std::env::var("FAIRFLOW_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(12);
    let any = |random: &mut Random| (2 + random.below(15) as usize, 1 + random.below(32) as usize);
    let mut exact = Vec::new();
    for (churn, uniform, most) in [(0.0, true, 1.0), (0.0, false, 2.0), (0.01, true, 2.0), (0.01, false, 2.0)] {
        let cost = if uniform { "uniform" } else { "mixed" };
        let name = format!("exact, equal weights, {cost} cost, churn {churn}");
        let load = |r: &mut Random| {
            let (n, slots) = any(r);
            Load { uniform, churn, ..load(n, slots, Prediction::Exact) }
        };
        exact.push((worst(&name, seeds, load, most), most));
    }
    let weighted = worst(
        "exact, weights 1–8, mixed cost",
        seeds,
        |r| {
            let (n, slots) = any(r);
            Load { weights: (0..n).map(|_| 1 + r.below(8) as u32).collect(), ..load(n, slots, Prediction::Exact) }
        },
        2.5,
    );
    let mut by_slots = Vec::new();
    for slots in [1, 8, 32, 128] {
        let name = format!("±50 %, 8 tenants, {slots} in flight");
        by_slots.push(worst(&name, seeds, |_| load(8, slots, Prediction::Error(0.5)), 2.0));
    }
    let mut learned = Vec::new();
    for slots in [1, 8, 32, 128] {
        let name = format!("learned (bias 1/4 to 4, ±30 %), {slots} in flight");
        learned.push(worst(&name, seeds, |_| load(8, slots, Prediction::Learned), 3.0));
    }
    assert!(exact.iter().all(|(lag, most)| lag <= most), "{exact:?}");
    assert!(weighted <= 2.5, "{weighted}");
    assert!(by_slots[0] <= 2.0 && by_slots[1] <= 2.0, "{by_slots:?}");
    assert!(learned[..3].iter().all(|lag| *lag <= 3.0), "{learned:?}");
}

/// One tenant of the pairs: what it was served, and since when it could have been served without a pause.
#[derive(Clone, Default)]
struct Side {
    served: f64,
    waiting: usize,
    flying: u32,
    cap: u32,
}

/// Whatever happens to slots, caps and arrivals: two tenants that both could run throughout an interval are served, by
/// weight, within one largest cost each (Goyal et al., theorem 1).
fn pairs(seed: u64, steps: usize) {
    let mut random = Random(seed);
    let n = 2 + random.below(6) as usize;
    let most = 1 + random.below(200);
    let weights: Vec<f64> = (0..n).map(|_| 0.5 + random.below(8) as f64).collect();
    let names: Vec<Arc<str>> = (0..n).map(|i| format!("t{i}").into()).collect();
    let mut queue = FairQueue::new(QueueLimits { capacity: 100_000, ..QueueLimits::default() });
    let caps = |random: &mut Random| if random.chance(0.4) { 1 + random.below(5) as u32 } else { u32::MAX };
    let mut sides = vec![Side { cap: u32::MAX, ..Side::default() }; n];
    sides.iter_mut().for_each(|side| side.cap = caps(&mut random));
    let mut spans = vec![vec![None::<(f64, f64)>; n]; n];
    let mut waiting: Vec<(Key, usize)> = Vec::new();
    let mut flying: Vec<(Key, usize, Cost)> = Vec::new();
    let (mut slots, mut now) = (1 + random.below(20) as usize, Time::ZERO);
    for _ in 0..steps {
        match random.below(16) {
            0..6 => {
                let i = random.below(n as u64) as usize;
                let limits = TenantLimits {
                    weight: Weight::new(weights[i]).unwrap(),
                    max_in_flight: sides[i].cap,
                    ..TenantLimits::default()
                };
                let request = Request {
                    tenant: names[i].clone(),
                    limits,
                    class: Class::Standard,
                    cost: Cost::new(1 + random.below(most)),
                    deadline: Time::FAR,
                    payload: i,
                };
                let key = queue.push(now, request).map_err(|(refusal, _)| refusal).unwrap();
                waiting.push((key, i));
                sides[i].waiting += 1;
            }
            6..11 if flying.len() < slots => {
                let Some(job) = queue.pop(now, 0) else { continue };
                let i = job.payload;
                waiting.retain(|(key, _)| *key != job.key);
                sides[i].waiting -= 1;
                sides[i].flying += 1;
                sides[i].served += f64::from(job.cost.units()) / weights[i];
                flying.push((job.key, i, job.cost));
            }
            11..14 if !flying.is_empty() => {
                let (key, i, cost) = flying.swap_remove(random.below(flying.len() as u64) as usize);
                queue.complete(now, key, Some(cost));
                sides[i].flying -= 1;
            }
            14 if !waiting.is_empty() => {
                let (key, i) = waiting.swap_remove(random.below(waiting.len() as u64) as usize);
                queue.cancel(now, key).unwrap();
                sides[i].waiting -= 1;
            }
            15 => {
                slots = 1 + random.below(20) as usize;
                now += Duration::from_millis(random.below(50));
            }
            _ => {}
        }
        let runs: Vec<bool> = sides.iter().map(|side| side.waiting > 0 && side.flying < side.cap).collect();
        for a in 0..n {
            for b in 0..a {
                if !(runs[a] && runs[b]) {
                    spans[a][b] = None;
                    continue;
                }
                let off = sides[a].served - sides[b].served;
                let (least, greatest) = spans[a][b].get_or_insert((off, off));
                *least = least.min(off);
                *greatest = greatest.max(off);
                let bound = most as f64 / weights[a] + most as f64 / weights[b];
                assert!(
                    *greatest - *least <= bound + 0.01,
                    "seed {seed}: {a} and {b} differ by {} of {bound}",
                    *greatest - *least
                );
            }
        }
    }
}

#[test]
fn two_that_could_run_are_served_by_weight() {
    for seed in 1..=40 {
        pairs(seed, 5_000);
    }
}
