//! One pacer against one provider with a rate bucket, in virtual time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use fairflow::core::outcome::Outcome;
use fairflow::core::pacer::{Pacer, RateHint, RateHints, Ticket};
use fairflow::core::report;
use fairflow::core::time::Time;

use crate::random::Random;

/// Seconds before goodput is measured: finding the window is not the pacer's task. Refusals count from the start.
const WARM_UP: f64 = 120.0;

/// What the provider's answers say about its rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Says {
    Nothing,
    /// `retry-after`, whole seconds, on refusals; nothing else.
    RetryAfter,
    /// Limit per minute, remaining, time until full.
    Full,
    /// Remaining alone.
    Remaining,
    /// Limit, remaining and reset of a window that fills at once.
    Window,
}

/// A provider: a token bucket, or a fixed window of a minute.
#[derive(Debug, Clone, Copy)]
pub struct Spec {
    pub per_second: f64,
    pub burst: f64,
    pub says: Says,
    /// Median service time, seconds; sigma 0.8.
    pub service: f64,
    pub seconds: f64,
    /// The rate is multiplied by the second from the first on, seconds.
    pub step: (f64, f64),
    /// Share of the rate that somebody else uses.
    pub competitor: f64,
    /// Most that a way takes longer than 20 ms, seconds.
    pub jitter: f64,
    /// Most in flight; like a window in slow start, the client begins with four and adds one per success.
    pub in_flight: usize,
}

impl Spec {
    pub fn new(per_second: f64, burst: f64, says: Says) -> Self {
        let step = (f64::MAX, 1.0);
        Self {
            per_second,
            burst,
            says,
            service: 4.0,
            seconds: f64::MAX,
            step,
            competitor: 0.0,
            jitter: 0.002,
            in_flight: 5_000,
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Report {
    /// Admitted ÷ what the bucket gave since the warm-up, its content at that time included.
    pub goodput: f64,
    /// Refusals per admission.
    pub refusals: f64,
    /// Dispatches before a stated time.
    pub early: u32,
}

struct Server {
    spec: Spec,
    level: f64,
    at: f64,
    window: u64,
}

impl Server {
    fn rate(&self) -> f64 {
        let factor = if self.at >= self.spec.step.0 { self.spec.step.1 } else { 1.0 };
        self.spec.per_second * factor
    }

    fn pass(&mut self, t: f64) {
        if self.spec.says == Says::Window {
            let window = (t / 60.0) as u64;
            if window > self.window {
                (self.window, self.level) = (window, self.rate() * 60.0);
            }
        } else {
            let inflow = self.rate() * (1.0 - self.spec.competitor) * (t - self.at);
            self.level = self.spec.burst.min(self.level + inflow);
        }
        self.at = t;
    }

    /// Admits or refuses a request that arrives at `t`; returns what the answer says.
    fn arrive(&mut self, t: f64) -> (bool, RateHints, Option<Duration>) {
        self.pass(t);
        let admitted = self.level >= 1.0;
        if admitted {
            self.level -= 1.0;
        }
        let (limit, rate) = (self.rate() * 60.0, self.rate());
        let stated = |seconds: f64| Some(Duration::from_millis((seconds * 1e3).ceil() as u64));
        let remaining = self.level.floor();
        let hint = match self.spec.says {
            Says::Nothing | Says::RetryAfter => None,
            Says::Full => {
                let hint = RateHint::new(remaining).limit(limit);
                let reset = stated((self.spec.burst - self.level) / rate).filter(|_| self.spec.burst >= limit);
                Some(reset.map_or(hint, |reset| hint.reset(reset)))
            }
            Says::Remaining => Some(RateHint::new(remaining)),
            Says::Window => {
                let hint = RateHint::new(remaining).limit(limit).at_once(true);
                stated((60.0 - t % 60.0).ceil()).map(|reset| hint.reset(reset))
            }
        };
        let hold = match self.spec.says {
            _ if admitted => None,
            Says::RetryAfter => stated(((1.0 - self.level) / rate).ceil()),
            Says::Full => stated((1.0 - self.level) / rate),
            _ => None,
        };
        (admitted, hint.map_or_else(RateHints::new, |hint| RateHints::new().requests(hint)), hold)
    }
}

#[allow(clippy::large_enum_variant, reason = "a test")]
enum Event {
    Arrive(Ticket),
    Answer(Ticket, report::Report),
    Wake,
}

/// Runs a pacer with endless demand.
pub fn run(spec: Spec, mut pacer: Pacer, seed: u64) -> Report {
    let mut rng = Random::new(seed);
    let mut server = Server { spec, level: spec.burst, at: 0.0, window: 0 };
    if spec.says == Says::Window {
        server.level = spec.per_second * 60.0;
    }
    let (mut heap, mut events) = (BinaryHeap::new(), Vec::new());
    let push = |heap: &mut BinaryHeap<Reverse<(u64, usize)>>, events: &mut Vec<Option<Event>>, t: f64, event| {
        heap.push(Reverse(((t * 1e9).ceil() as u64, events.len())));
        events.push(Some(event));
    };
    let (mut in_flight, mut admitted, mut refused, mut early, mut stated) = (0, 0u32, 0u32, 0, Time::ZERO);
    let mut wake = Time::ZERO;
    let mut window = 4;
    let mut warm = (0.0, spec.burst, 0);
    push(&mut heap, &mut events, 0.0, Event::Wake);
    while let Some(Reverse((nanos, id))) = heap.pop() {
        let (now, t) = (Time::from_nanos(nanos), nanos as f64 / 1e9);
        if t > spec.seconds {
            break;
        }
        if warm.0 == 0.0 && t >= WARM_UP {
            warm = (t, server.level, admitted);
        }
        match events[id].take() {
            Some(Event::Arrive(ticket)) => {
                let (yes, hints, retry_after) = server.arrive(t);
                let (outcome, after) = if yes {
                    admitted += 1;
                    (Outcome::Success, rng.lognormal(spec.service, 0.8))
                } else {
                    refused += 1;
                    (Outcome::RateLimited, 0.001)
                };
                let back = t + after + 0.02 + spec.jitter * rng.unit();
                push(
                    &mut heap,
                    &mut events,
                    back,
                    Event::Answer(ticket, report::Report { hints, retry_after, ..report::Report::new(outcome) }),
                );
            }
            Some(Event::Answer(ticket, ending)) => {
                in_flight -= 1;
                window += usize::from(ending.outcome == Outcome::Success);
                stated = stated.max(ending.retry_after.map_or(Time::ZERO, |hold| now + hold));
                pacer.settle(now, ticket, &ending, rng.unit());
            }
            Some(Event::Wake) if now >= wake => wake = Time::FAR,
            // An earlier one has replaced it.
            Some(Event::Wake) => continue,
            None => {}
        }
        while in_flight < window.min(spec.in_flight) && pacer.allowance(now, 1.0) > 0 {
            early += u32::from(now < stated);
            in_flight += 1;
            let ticket = pacer.take(now, 1.0);
            push(&mut heap, &mut events, t + 0.02 + spec.jitter * rng.unit(), Event::Arrive(ticket));
        }
        let next = pacer.ready_at(now, 1.0);
        if next > now && next < wake {
            wake = next;
            push(&mut heap, &mut events, next.as_nanos() as f64 / 1e9, Event::Wake);
        }
    }
    let (begun, level, before) = warm;
    let stepped = (spec.seconds - spec.step.0.max(begun)).max(0.0);
    let given = spec.per_second * (1.0 - spec.competitor) * (spec.seconds - begun - stepped + stepped * spec.step.1);
    let initial = if spec.says == Says::Window { 0.0 } else { level };
    Report {
        goodput: f64::from(admitted - before) / (given + initial),
        refusals: f64::from(refused) / f64::from(admitted.max(1)),
        early,
    }
}
