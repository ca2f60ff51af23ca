//! When the provider said to come back, and how one comes back: one first.
//!
//! A hold never ends before the stated time, and a little after it, by chance, so that replicas do not wake as one.
//! Then a single request goes, the canary. If it is refused, the hold begins anew; if it ends without telling anything,
//! another takes its place. Each success doubles how many may be out, and so does each span in which a refusal would
//! have come and did not: a generation takes long, a refusal does not. At the ramp's end there is no limit any more.

use std::time::Duration;

use crate::core::estimate::Ewma;
use crate::core::outcome::Outcome;
use crate::core::report::Report;
use crate::core::retry::Backoff;
use crate::core::time::Time;

/// Hold after a canary was refused without a stated wait that is believed: doubles from one second per refusal in a row.
const REST: Backoff = Backoff { base: Duration::from_secs(1), max: Duration::from_secs(30) };
/// Canaries in a row whose stated waits are believed: who states a moment and refuses again and again is not waited for by
/// the moment.
const BELIEVED: u32 = 3;
/// Share of a hold that jitter adds at most.
const JITTER: f64 = 0.1;
/// Longest time that jitter adds to a hold, however long the hold is.
const MOST_JITTER: Duration = Duration::from_secs(1);
/// Requests in flight at which a ramp is over.
const RAMP_END: u32 = 256;
/// Silence for this many times the usual delay of a refusal means that there was none.
const SILENCE: u32 = 8;
/// Silence to wait for before any refusal was timed.
const UNTIMED_SILENCE: Duration = Duration::from_secs(1);
/// Least silence to wait for, however fast refusals come.
const SHORTEST_SILENCE: Duration = Duration::from_millis(100);
/// Longest silence to wait for, however slow refusals come.
const LONGEST_SILENCE: Duration = Duration::from_secs(10);
/// Weight of the newest refusal in the usual delay of a refusal.
const DELAY_GAIN: f64 = 0.25;

/// A dispatch: when it was, and after how many holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Take {
    at: Time,
    round: u32,
}

/// The careful way out of a hold.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Ramp {
    /// Requests that may be out, as of `since`.
    most: u32,
    /// When that was found; `None` while the canary has not been sent.
    since: Option<Time>,
}

/// A hold, and the way out of it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Hold {
    until: Time,
    began: Time,
    ramp: Option<Ramp>,
    /// Counts the holds: an attempt sent before this one says nothing about it.
    round: u32,
    /// Attempts of this round that are out.
    out: u32,
    /// Canaries refused in a row.
    refused: u32,
    /// How long a refusal usually takes, seconds.
    delay: Option<Ewma>,
}

impl Hold {
    pub(super) fn until(&self) -> Time {
        self.until
    }

    /// Sends nothing before `until`; holds merge by maximum. `random` from [0, 1).
    pub(super) fn begin(&mut self, now: Time, until: Time, random: f64) {
        if until <= now {
            return;
        }
        let most = until.since(now).mul_f64(JITTER).min(MOST_JITTER);
        let spread = most.mul_f64(random.clamp(0.0, 1.0));
        self.until = self.until.max(until + spread);
        if self.ramp.is_none() {
            self.began = now;
        }
        self.ramp = Some(Ramp { most: 1, since: None });
        self.round = self.round.wrapping_add(1);
        self.out = 0;
    }

    /// Ends the hold, where there is one or something else held back (`held`): one request goes now.
    pub(super) fn release(&mut self, now: Time, held: bool) {
        if self.until > now || held {
            (self.until, self.refused) = (now, 0);
            self.ramp = Some(Ramp { most: 1, since: None });
            self.round = self.round.wrapping_add(1);
            self.out = 0;
        }
    }

    /// How long silence lasts until it says that there was no refusal.
    fn silence(&self) -> Duration {
        let usual = self.delay.map(|delay| Duration::from_secs_f64(delay.value()) * SILENCE);
        usual.map_or(UNTIMED_SILENCE, |silence| silence.clamp(SHORTEST_SILENCE, LONGEST_SILENCE))
    }

    /// Returns how many may be out now.
    fn most(&self, now: Time) -> u32 {
        let Some(ramp) = self.ramp else { return u32::MAX };
        let doublings = ramp.since.map_or(0, |since| now.since(since).as_nanos() / self.silence().as_nanos().max(1));
        let most = u64::from(ramp.most) << doublings.min(16);
        if most >= u64::from(RAMP_END) { u32::MAX } else { u32::try_from(most).unwrap_or(u32::MAX) }
    }

    /// Returns how many more may go now.
    pub(super) fn allowance(&self, now: Time) -> u32 {
        if self.until > now { 0 } else { self.most(now).saturating_sub(self.out) }
    }

    /// Returns when time alone lets another go.
    pub(super) fn ready_at(&self, now: Time) -> Time {
        if self.until > now || self.most(now) > self.out {
            return self.until;
        }
        // At least as many as are out may be out when that many spans have passed; the next one is looked at then.
        let since = self.ramp.and_then(|ramp| ramp.since).unwrap_or(now);
        let (passed, silence) = (now.since(since).as_nanos(), self.silence().as_nanos().max(1));
        let next = Duration::from_nanos(u64::try_from(silence - passed % silence).unwrap_or(u64::MAX));
        // Not by the nanosecond: a clock that rounds would be told to come again and again.
        now + next.max(Duration::from_millis(1))
    }

    /// Notes a dispatch; returns the record to hand back when it ends.
    pub(super) fn take(&mut self, now: Time) -> Take {
        self.out = self.out.saturating_add(1);
        if let Some(ramp) = &mut self.ramp {
            ramp.since.get_or_insert(now);
        }
        Take { at: now, round: self.round }
    }

    /// Notes the end of the attempt that `take` stands for. Returns how long the pause was, from its
    /// beginning to the end of the ramp, when that is reached. A canary whose answer states a wait needs no other.
    pub(super) fn settle(&mut self, now: Time, take: Take, report: &Report, random: f64) -> Option<Duration> {
        let outcome = report.outcome;
        let refused = matches!(outcome, Outcome::RateLimited | Outcome::Throttled);
        if refused {
            let delay = now.seconds_since(take.at);
            self.delay.get_or_insert(Ewma::new(delay, DELAY_GAIN)).add(delay);
        }
        if take.round != self.round {
            return None;
        }
        let most = self.most(now);
        self.out = self.out.saturating_sub(1);
        let ramp = self.ramp.as_mut()?;
        if most == u32::MAX {
            (self.ramp, self.refused) = (None, 0);
            return Some(now.since(self.began));
        }
        match outcome {
            Outcome::RateLimited | Outcome::Throttled | Outcome::Overloaded | Outcome::Failed if most == 1 => {
                self.refused = self.refused.saturating_add(1);
                let is_stated = report.retry_after.is_some_and(|wait| !wait.is_zero());
                let unbelieved = if is_stated { self.refused.saturating_sub(BELIEVED) } else { self.refused };
                if unbelieved > 0 {
                    self.begin(now, now + REST.none(unbelieved), random);
                }
            }
            Outcome::RateLimited | Outcome::Throttled | Outcome::Overloaded | Outcome::Failed => {
                *ramp = Ramp { most: most / 2, since: Some(now) };
            }
            Outcome::Success => {
                *ramp = Ramp { most: most.saturating_mul(2), since: Some(now) };
                self.refused = 0;
            }
            Outcome::Rejected | Outcome::Cancelled if self.out == 0 && most == 1 => ramp.since = None,
            Outcome::Rejected | Outcome::Cancelled => {}
        }
        None
    }
}
