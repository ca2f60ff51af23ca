//! What one decision of the fair queue costs, beside three rivals in the same run.
//!
//! `cargo bench --bench fair_queue`. A million jobs wait (or one per tenant, where that is more); a lifecycle is
//! enqueue (with admission and forecast) + dispatch + complete. `FAIRFLOW_BENCH_MILLIS` sets the length of each row,
//! `FAIRFLOW_BENCH_BATCHES` its number of batches instead; a number as argument runs the fair queue alone at so many tenants.

#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fairflow::core::cost::Cost;
use fairflow::core::fair_queue::{Class, FairQueue, QueueLimits, Request, TenantLimits};
use fairflow::core::key::Key;
use fairflow::core::time::Time;

const QUEUED: usize = 1_000_000;
/// Jobs taken, completed and pushed in turn: as many as are in flight at once.
const BATCH: usize = 256;

/// xorshift64*: arrivals must not follow the order in memory.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }
}

/// A queue under test: `(tenant, cost)` goes in, a tenant comes out, and is told of its end.
trait Queue {
    /// Called outside of the measured time, for those about to be pushed: a request arrives with its name in hand.
    fn prepare(&mut self, _tenants: &[(usize, u32)]) {}
    fn push(&mut self, tenant: usize, cost: u32);
    fn pop(&mut self) -> Option<u64>;
    fn complete(&mut self, job: u64);
}

struct Fair {
    queue: FairQueue<u32>,
    names: Vec<Arc<str>>,
    arriving: Vec<Arc<str>>,
    now: Time,
}

impl Fair {
    fn new(tenants: usize) -> Self {
        let limits = QueueLimits { capacity: usize::MAX, ..QueueLimits::default() };
        let names = (0..tenants).map(|n| format!("tenant-{n}").into()).collect();
        Self { queue: FairQueue::new(limits), names, arriving: Vec::new(), now: Time::ZERO }
    }
}

impl Queue for Fair {
    fn prepare(&mut self, tenants: &[(usize, u32)]) {
        self.arriving = tenants.iter().rev().map(|(tenant, _)| self.names[*tenant].clone()).collect();
    }

    fn push(&mut self, tenant: usize, cost: u32) {
        self.now += Duration::from_nanos(300);
        let request = Request {
            tenant: self.arriving.pop().unwrap_or_else(|| self.names[tenant].clone()),
            limits: TenantLimits::default(),
            class: Class::Standard,
            cost: Cost::new(cost.into()),
            deadline: self.now + Duration::from_secs(3_600),
            payload: cost,
        };
        self.queue.push(self.now, request).expect("admitted");
    }

    fn pop(&mut self) -> Option<u64> {
        self.queue.pop(self.now, 0).map(|job| job.key.to_bits())
    }

    fn complete(&mut self, job: u64) {
        self.queue.complete(self.now, Key::from_bits(job), Some(Cost::new(500)));
    }
}

#[derive(Default)]
struct Fifo(VecDeque<(u32, u32)>);

impl Queue for Fifo {
    fn push(&mut self, tenant: usize, cost: u32) {
        self.0.push_back((tenant as u32, cost));
    }

    fn pop(&mut self) -> Option<u64> {
        self.0.pop_front().map(|(tenant, _)| tenant.into())
    }

    fn complete(&mut self, job: u64) {
        black_box(job);
    }
}

struct RoundRobin {
    tenants: Vec<VecDeque<u32>>,
    turns: VecDeque<u32>,
}

impl Queue for RoundRobin {
    fn push(&mut self, tenant: usize, cost: u32) {
        if self.tenants[tenant].is_empty() {
            self.turns.push_back(tenant as u32);
        }
        self.tenants[tenant].push_back(cost);
    }

    fn pop(&mut self) -> Option<u64> {
        let tenant = self.turns.pop_front()?;
        let jobs = &mut self.tenants[tenant as usize];
        jobs.pop_front();
        if !jobs.is_empty() {
            self.turns.push_back(tenant);
        }
        Some(tenant.into())
    }

    fn complete(&mut self, job: u64) {
        black_box(job);
    }
}

/// Weighted fair queueing by finish tag, all requests in one heap: no refunds, no caps, no cancel.
struct OneHeap {
    jobs: BinaryHeap<Reverse<(u64, u32)>>,
    finish: Vec<u64>,
    time: u64,
}

impl Queue for OneHeap {
    fn push(&mut self, tenant: usize, cost: u32) {
        let tag = self.finish[tenant].max(self.time);
        self.finish[tenant] = tag + u64::from(cost);
        self.jobs.push(Reverse((tag, tenant as u32)));
    }

    fn pop(&mut self) -> Option<u64> {
        let Reverse((tag, tenant)) = self.jobs.pop()?;
        self.time = tag;
        Some(tenant.into())
    }

    fn complete(&mut self, job: u64) {
        black_box(job);
    }
}

/// The three parts of a batch, each a function of its own: `callgrind --toggle-collect='*fair_queue*complete_batch*'`
/// counts one of them alone.
#[inline(never)]
fn pop_batch(queue: &mut dyn Queue, flying: &mut Vec<u64>) {
    flying.extend((0..BATCH).filter_map(|_| queue.pop()));
}

#[inline(never)]
fn complete_batch(queue: &mut dyn Queue, flying: &mut Vec<u64>) {
    flying.drain(..).for_each(|job| queue.complete(job));
}

#[inline(never)]
fn push_batch(queue: &mut dyn Queue, arrivals: &[(usize, u32)]) {
    arrivals.iter().for_each(|&(tenant, cost)| queue.push(tenant, cost));
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

fn measure(name: &str, tenants: usize, queue: &mut dyn Queue) {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let cost = |random: &mut Random| 100 + random.below(900) as u32;
    for n in 0..QUEUED.max(tenants) {
        // Everybody has some; who has how many is chance.
        let tenant = if n < tenants { n } else { random.below(tenants) };
        queue.push(tenant, cost(&mut random));
    }
    let batches = setting("FAIRFLOW_BENCH_BATCHES");
    let length = Duration::from_millis(setting("FAIRFLOW_BENCH_MILLIS").unwrap_or(1_000));
    let mut spent: [Vec<Duration>; 3] = Default::default();
    let mut flying = Vec::with_capacity(BATCH);
    let begin = Instant::now();
    let goes_on = |done: usize| batches.map_or_else(|| begin.elapsed() < length, |batches| (done as u64) < batches);
    while goes_on(spent[0].len()) {
        let arrivals: Vec<_> = (0..BATCH).map(|_| (random.below(tenants), cost(&mut random))).collect();
        queue.prepare(&arrivals);
        let start = Instant::now();
        pop_batch(queue, &mut flying);
        let popped = Instant::now();
        complete_batch(queue, &mut flying);
        let completed = Instant::now();
        push_batch(queue, &arrivals);
        spent[0].push(popped - start);
        spent[1].push(completed - popped);
        spent[2].push(completed.elapsed());
    }
    // The median batch: on a shared machine a mean measures the neighbours.
    let each = |mut spans: Vec<Duration>| {
        spans.sort();
        spans.get(spans.len() / 2).map_or(f64::NAN, |span| span.as_secs_f64() * 1e9 / BATCH as f64)
    };
    let [pop, complete, push] = spent.map(each);
    let rate = 1e3 / (pop + complete + push);
    println!("{tenants:>9} {name:<22} {pop:>9.0} {complete:>9.0} {push:>9.0} {rate:>12.2}");
}

fn main() {
    println!("{:>9} {:<22} {:>9} {:>9} {:>9} {:>12}", "tenants", "queue", "pop ns", "complete", "push", "M cycles/s");
    let only: Option<usize> = std::env::args().filter_map(|arg| arg.parse().ok()).next();
    for tenants in
        [10, 1_000, 100_000, 1_000_000].into_iter().filter(|tenants| only.is_none_or(|only| only == *tenants))
    {
        measure("fair queue", tenants, &mut Fair::new(tenants));
        if only.is_some() {
            continue;
        }
        measure("one FIFO", tenants, &mut Fifo::default());
        let lines = vec![VecDeque::new(); tenants];
        measure("round robin", tenants, &mut RoundRobin { tenants: lines, turns: VecDeque::new() });
        let heap = OneHeap { jobs: BinaryHeap::new(), finish: vec![0; tenants], time: 0 };
        measure("one heap of requests", tenants, &mut { heap });
    }
}
