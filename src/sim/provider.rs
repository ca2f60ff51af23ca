//! Simulated providers: what they admit, and when they are done.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use serde::Deserialize;

use super::bucket::{Bucket, RateSpec, Reception};
use super::read::Bad;
use super::rng::Rng;
use super::steps::Steps;
use crate::core::pacer::RateHint;

/// "No limit", as a number that still takes arithmetic.
const UNLIMITED: f64 = 1e9;

/// How admitted requests share the servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Discipline {
    /// A queue, silently: one request per server, the others wait.
    #[default]
    Fifo,
    /// Processor sharing: beyond the servers all become slower together.
    Sharing,
    /// A batch: n at once take 1 + n ÷ servers times as long each.
    Batch,
}

/// A provider treats a request beyond its cap in one of these ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Beyond {
    /// A 429 of concurrency, soon.
    #[default]
    Refused,
    /// A 429 of concurrency, after as long as an answer would have taken.
    RefusedLate,
    /// A 503, soon.
    Failed,
    /// Nothing: it is never answered.
    Dropped,
}

/// A simulated provider as a scenario describes it. Times are in seconds.
// fields: one for each key of a scenario's `[provider]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProviderSpec {
    /// Requests admitted at once; more are refused with a 429 of concurrency. Default no limit.
    pub cap: Steps,
    /// The treatment of requests beyond the cap. Default a refusal, soon.
    pub beyond: Beyond,
    /// Requests served at once. Default no limit.
    pub servers: Steps,
    /// The treatment of admitted requests beyond the servers.
    pub discipline: Discipline,
    /// Service takes this many times as long, for everybody. Default 1.
    pub slow: Steps,
    /// Stretches in which all fails with a 503, what is in flight at their start included.
    pub outages: Vec<(f64, f64)>,
    /// Instants at which everything in flight fails with a 503.
    pub crashes: Vec<f64>,
    /// Stretches in which requests are taken and never answered.
    pub hangs: Vec<(f64, f64)>,
    /// Share of the requests of such a stretch that this happens to. Default 1: all.
    pub hang_share: f64,
    /// How long a slot stays taken, counted from its arrival, when its caller has given up. Default 0: it is free at once.
    pub abandoned: f64,
    /// Share of requests that fail with a 503 soon, whatever else is going on. Default 0.
    pub failures: Steps,
    /// How long a refusal or failure takes. Default 0.02.
    pub refusal: f64,
    /// The retry-after that refusals of concurrency and failures state, if any.
    pub retry_after: Option<f64>,
    /// Whether its 429s name no reason, so that those of the cap and those of the rate look alike. Default no.
    pub wordless: bool,
    /// Round trip of the network, during which a slot stands empty. Default 0.
    pub latency: f64,
    /// Each way takes up to this much longer (uniform), so that requests and answers overtake each other. Default 0.
    pub jitter: f64,
    /// A slot is free up to this long after the answer (uniform). Default 0.
    pub lag: f64,
    /// Nothing is served before this second: scale from zero. Default 0.
    pub warmup: f64,
    /// A rate bucket before everything else.
    pub rate: Option<RateSpec>,
    /// Other users of the same account.
    pub competitors: Option<Competitors>,
}

impl Default for ProviderSpec {
    fn default() -> Self {
        Self {
            cap: Steps::always(UNLIMITED),
            beyond: Beyond::default(),
            servers: Steps::always(UNLIMITED),
            discipline: Discipline::default(),
            slow: Steps::always(1.0),
            outages: Vec::new(),
            crashes: Vec::new(),
            hangs: Vec::new(),
            hang_share: 1.0,
            abandoned: 0.0,
            failures: Steps::always(0.0),
            refusal: 0.02,
            retry_after: None,
            wordless: false,
            latency: 0.0,
            jitter: 0.0,
            lag: 0.0,
            warmup: 0.0,
            rate: None,
            competitors: None,
        }
    }
}

/// Others on the same account: they take every other slot that comes free, until they have theirs.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Competitors {
    /// How many slots they want.
    pub slots: Steps,
    /// Median service time, in seconds.
    pub median: f64,
    /// Standard deviation of its logarithm.
    pub sigma: f64,
}

impl ProviderSpec {
    /// Returns the first value that is out of range.
    pub(super) fn problem(&self) -> Option<Bad> {
        let schedule = |field, steps: &Steps, least| {
            let remedy = steps.problem(least)?;
            Some(Bad::new(field, format!("{:?}", steps.times().collect::<Vec<_>>()), remedy))
        };
        let spans = |field, spans: &[(f64, f64)]| {
            let bad = spans.iter().find(|(from, to)| !(0.0..to - 1e-9).contains(from))?;
            Some(Bad::new(field, format!("{bad:?}"), "give [from, to] in seconds, to after from"))
        };
        let others = || {
            let others = self.competitors.as_ref()?;
            schedule("competitors.slots", &others.slots, 0.0)
                .or_else(|| Bad::number("competitors.median", others.median, 1e-4, 1e5))
                .or_else(|| Bad::number("competitors.sigma", others.sigma, 0.0, 3.0))
        };
        schedule("cap", &self.cap, 0.0)
            .or_else(|| schedule("servers", &self.servers, 1.0))
            .or_else(|| schedule("slow", &self.slow, 1e-3))
            .or_else(|| spans("outages", &self.outages))
            .or_else(|| spans("hangs", &self.hangs))
            .or_else(|| Bad::number("hang_share", self.hang_share, 0.0, 1.0))
            .or_else(|| Bad::number("abandoned", self.abandoned, 0.0, 3600.0))
            .or_else(|| schedule("failures", &self.failures, 0.0))
            .or_else(|| self.crashes.iter().find_map(|at| Bad::number("crashes", *at, 0.0, 1e9)))
            .or_else(|| Bad::number("refusal", self.refusal, 1e-4, 3600.0))
            .or_else(|| Bad::number("retry_after", self.retry_after.unwrap_or(1.0), 0.0, 86_400.0))
            .or_else(|| Bad::number("latency", self.latency, 0.0, 60.0))
            .or_else(|| Bad::number("jitter", self.jitter, 0.0, 60.0))
            .or_else(|| Bad::number("lag", self.lag, 0.0, 3600.0))
            .or_else(|| Bad::number("warmup", self.warmup, 0.0, 1e6))
            .or_else(|| self.rate.as_ref()?.problem())
            .or_else(others)
    }

    /// Whether the provider is down at `t`.
    pub(super) fn down(&self, t: f64) -> bool {
        self.outages.iter().any(|(from, to)| (*from..*to).contains(&t))
    }

    fn hangs(&self, t: f64) -> bool {
        self.hangs.iter().any(|(from, to)| (*from..*to).contains(&t))
    }

    /// How many requests it serves well at once at `t`.
    #[must_use]
    pub fn capacity(&self, t: f64) -> f64 {
        if self.down(t) { 0.0 } else { self.cap.at(t).min(self.servers.at(t)) }
    }

    /// When something about it changes by schedule.
    pub(super) fn changes(&self) -> impl Iterator<Item = f64> {
        let schedules = [&self.cap, &self.servers, &self.slow, &self.failures].into_iter().flat_map(Steps::times);
        let spans = self.outages.iter().chain(&self.hangs).flat_map(|(from, to)| [*from, *to]);
        schedules.chain(spans).chain([self.warmup])
    }
}

/// A call that a provider wants.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Due {
    /// [`Provider::finish`] with this attempt.
    Finish(u64),
    /// [`Provider::share`] with this number.
    Share(u64),
}

/// A provider at work. Attempts are named by numbers that are never used twice.
#[derive(Debug)]
pub(super) struct Provider {
    pub(super) spec: ProviderSpec,
    /// Admitted: waiting, in service, or not yet freed.
    admitted: u32,
    busy: u32,
    waiting: VecDeque<(u64, f64)>,
    bucket: Option<Bucket>,
    /// Processor sharing: service attained by each since the start, and when that was computed.
    attained: f64,
    attained_at: f64,
    /// Processor sharing: attained at finish, as sortable bits, and attempt.
    running: BinaryHeap<Reverse<(u64, u64)>>,
    calls: u64,
    /// Calls that the provider wants, each with its time: drained by the world.
    pub(super) due: Vec<(f64, Due)>,
    weather: Rng,
}

impl Provider {
    pub(super) fn new(spec: ProviderSpec, weather: Rng) -> Self {
        Self {
            bucket: spec.rate.clone().map(Bucket::new),
            spec,
            admitted: 0,
            busy: 0,
            waiting: VecDeque::new(),
            attained: 0.0,
            attained_at: 0.0,
            running: BinaryHeap::new(),
            calls: 0,
            due: Vec::new(),
            weather,
        }
    }

    /// Requests that hold a slot.
    pub(super) fn admitted(&self) -> u32 {
        self.admitted
    }

    /// How many more would be served at once, which nobody outside can know.
    pub(super) fn room(&self, t: f64) -> u32 {
        let free = self.spec.capacity(t) - f64::from(self.admitted);
        let tokens = self.bucket.as_ref().map_or(UNLIMITED, |bucket| bucket.room(t));
        if self.spec.hangs(t) && self.spec.hang_share >= 1.0 { 0 } else { free.min(tokens).max(0.0) as u32 }
    }

    /// When a bucket that is empty has a token again.
    pub(super) fn token_at(&self, t: f64) -> Option<f64> {
        self.bucket.as_ref()?.token_at(t)
    }

    /// Returns what the provider's headers say, where it sends any.
    pub(super) fn hint(&self, t: f64) -> Option<RateHint> {
        self.bucket.as_ref()?.hint(t)
    }

    pub(super) fn arrive(&mut self, t: f64, id: u64, work: f64) -> Reception {
        if self.spec.down(t) || self.happens(self.spec.failures.at(t)) {
            return Reception::Failed;
        }
        if let Some(refused) = self.bucket.as_ref().and_then(|bucket| bucket.refusal(t)) {
            return refused;
        }
        if f64::from(self.admitted) >= self.spec.cap.at(t) {
            return match self.spec.beyond {
                Beyond::Refused => Reception::Throttled { late: false },
                Beyond::RefusedLate => Reception::Throttled { late: true },
                Beyond::Failed => Reception::Failed,
                Beyond::Dropped => Reception::Dropped,
            };
        }
        if let Some(bucket) = &mut self.bucket {
            bucket.take(t);
        }
        self.admitted += 1;
        if self.spec.hangs(t) && self.happens(self.spec.hang_share) {
            return Reception::Taken;
        }
        match self.spec.discipline {
            Discipline::Fifo => {
                self.waiting.push_back((id, work));
                self.serve(t);
            }
            Discipline::Sharing | Discipline::Batch => {
                self.attain(t);
                self.running.push(Reverse(((self.attained + work).to_bits(), id)));
                self.look_again(t);
            }
        }
        Reception::Taken
    }

    /// Whether something of a probability happens now. Draws nothing where that is certain.
    fn happens(&mut self, share: f64) -> bool {
        share >= 1.0 || share > 0.0 && self.weather.unit() < share
    }

    fn serve(&mut self, t: f64) {
        while f64::from(self.busy) < self.spec.servers.at(t) {
            let Some((id, work)) = self.waiting.pop_front() else { break };
            self.busy += 1;
            let start = t.max(self.spec.warmup);
            self.due.push((start + work * self.spec.slow.at(t), Due::Finish(id)));
        }
    }

    /// Ends the service of an attempt on its own server; `free` when its slot is free at once.
    pub(super) fn finish(&mut self, t: f64, free: bool) {
        self.busy -= 1;
        self.admitted -= u32::from(free);
        self.serve(t);
    }

    /// A slot is free at last.
    pub(super) fn free(&mut self) {
        self.admitted -= 1;
    }

    /// Takes out an attempt whose caller gave up or that failed. `started`: it has a [`Due::Finish`], which its owner
    /// must ignore. `free`: its slot is free at once.
    pub(super) fn withdraw(&mut self, t: f64, id: u64, started: bool, free: bool) {
        self.admitted -= u32::from(free);
        match self.spec.discipline {
            Discipline::Fifo if started => {
                self.busy -= 1;
                self.serve(t);
            }
            Discipline::Fifo => self.waiting.retain(|(waiting, _)| *waiting != id),
            Discipline::Sharing | Discipline::Batch => {
                self.attain(t);
                self.running.retain(|Reverse((_, running))| *running != id);
                self.look_again(t);
            }
        }
    }

    /// Processor sharing: speed of each request.
    fn speed(&self, t: f64) -> f64 {
        if t < self.spec.warmup {
            return 0.0;
        }
        let n = self.running.len().max(1) as f64;
        let servers = self.spec.servers.at(t);
        let speed = match self.spec.discipline {
            Discipline::Batch => 1.0 / (1.0 + n / servers),
            _ => (servers / n).min(1.0),
        };
        speed / self.spec.slow.at(t)
    }

    fn attain(&mut self, t: f64) {
        self.attained += (t - self.attained_at) * self.speed(self.attained_at);
        self.attained_at = t;
    }

    fn look_again(&mut self, t: f64) {
        self.calls += 1;
        let speed = self.speed(t);
        if let Some(Reverse((bits, _))) = self.running.peek().filter(|_| speed > 0.0) {
            let left = (f64::from_bits(*bits) - self.attained).max(0.0);
            self.due.push((t + left / speed + 1e-9, Due::Share(self.calls)));
        }
    }

    /// Processor sharing: the attempts that are done by now, if `call` is the last one asked for.
    pub(super) fn share(&mut self, t: f64, call: u64, done: &mut Vec<u64>) {
        if call != self.calls {
            return;
        }
        self.attain(t);
        let attained = self.attained + 1e-9;
        while let Some(Reverse((bits, id))) = self.running.peek().copied() {
            if f64::from_bits(bits) > attained {
                break;
            }
            self.running.pop();
            done.push(id);
        }
        self.look_again(t);
    }

    /// Something changed by schedule.
    pub(super) fn changed(&mut self, t: f64) {
        if self.spec.discipline == Discipline::Fifo {
            self.serve(t);
        } else {
            self.attain(t);
            self.look_again(t);
        }
    }

    /// Requests that make progress.
    pub(super) fn used(&self) -> f64 {
        match self.spec.discipline {
            Discipline::Fifo => f64::from(self.busy),
            _ => self.running.len() as f64,
        }
    }

    /// Processor sharing: work that an attempt still needs.
    pub(super) fn left(&mut self, t: f64, id: u64) -> f64 {
        self.attain(t);
        let found = self.running.iter().find(|Reverse((_, running))| *running == id);
        found.map_or(0.0, |Reverse((bits, _))| (f64::from_bits(*bits) - self.attained).max(0.0))
    }
}
