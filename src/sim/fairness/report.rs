//! A report says what was seen while a scenario of fairness was played.

use super::client::Client;
use super::expect::{Expect, Figure};

/// A sample says what a tenant had at one instant.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sample {
    /// Work done, that of running jobs counted as it is done.
    pub(super) served: f64,
    /// Work of all that was dispatched.
    pub(super) granted: f64,
    pub(super) waiting: u32,
    pub(super) flying: u32,
}

/// A wait that ended with a dispatch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wait {
    pub(super) client: usize,
    pub(super) submitted: f64,
    pub(super) waited: f64,
}

/// A forecast beside the wait that came, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Promise {
    /// The median that was forecast at admission.
    pub p50: f64,
    /// The 90th percentile that was forecast.
    pub p90: f64,
    /// The wait that came.
    pub waited: f64,
    /// Jobs that waited at admission.
    pub depth: usize,
}

/// A report of a scenario that was played.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Report {
    clients: Vec<Client>,
    /// A sample of every client, each tenth of a second.
    pub(super) samples: Vec<(f64, Vec<Sample>)>,
    pub(super) waits: Vec<Wait>,
    /// Slot-seconds that there were.
    pub capacity: f64,
    /// Slot-seconds that were unused while a job could have run.
    pub idle: f64,
    /// Jobs that waited longer than they may.
    pub expired: u32,
    /// Jobs that were not admitted.
    pub refused: u32,
    /// Times at which a reservation was due.
    pub windows: u64,
    /// Times at which a due reservation was served later than one residual job.
    pub misses: u64,
    /// Forecasts of the wait that came true or not.
    pub promises: Vec<Promise>,
}

impl Report {
    pub(super) fn new(clients: Vec<Client>) -> Self {
        Self { clients, ..Self::default() }
    }

    /// Returns the part of the slots that was in use while a job could have run, 0 to 1.
    #[must_use]
    pub fn used(&self) -> f64 {
        1.0 - self.idle / self.capacity
    }

    /// Returns the figure that a scenario expects, as it came; not a number where it does not apply.
    #[must_use]
    pub fn figure(&self, expect: &Expect) -> f64 {
        let of: Vec<usize> = expect.of.iter().filter_map(|name| self.position(name)).collect();
        let first = || of.first().copied();
        match expect.measure {
            Figure::Gap => self.gap(expect, &of, |sample| sample.granted),
            Figure::GapAsDone => self.gap(expect, &of, |sample| sample.served),
            Figure::Ratio => self.served(expect, first()) / self.served(expect, of.get(1).copied()),
            Figure::Served => self.served(expect, first()),
            Figure::Share => {
                let all = (0..self.clients.len()).map(|client| self.served(expect, Some(client)));
                self.served(expect, first()) / all.sum::<f64>()
            }
            Figure::InFlight => {
                let width = |client: usize| self.clients.get(client).map_or(1.0, |client| f64::from(client.width));
                let flying = self.within(expect).filter_map(|samples| Some(samples.get(first()?)?.flying));
                let (sum, count) = flying.fold((0.0, 0.0), |(sum, count), one| (sum + f64::from(one), count + 1.0));
                sum / count * first().map_or(f64::NAN, width)
            }
            Figure::LongestWait => self.waits(expect, first()).fold(0.0, f64::max),
            Figure::MeanWait => self.waits(expect, first()).sum::<f64>() / self.waits(expect, first()).count() as f64,
            Figure::Dispatched => self.waits(expect, first()).count() as f64,
            Figure::Use => self.used(),
            Figure::ReservationWindows => self.windows as f64,
            Figure::ReservationMisses => self.misses as f64,
            Figure::Expired => f64::from(self.expired),
            Figure::Refused => f64::from(self.refused),
        }
    }

    fn position(&self, tenant: &str) -> Option<usize> {
        self.clients.iter().position(|client| client.tenant == tenant)
    }

    fn within(&self, expect: &Expect) -> impl Iterator<Item = &[Sample]> {
        let (from, until) = (expect.from, expect.until.unwrap_or(f64::MAX));
        let counts = self.samples.iter().filter(move |(at, _)| (from..=until).contains(at));
        counts.map(|(_, samples)| samples.as_slice())
    }

    fn served(&self, expect: &Expect, client: Option<usize>) -> f64 {
        let mut served = self.within(expect).filter_map(|samples| Some(samples.get(client?)?.served));
        let Some(first) = served.next() else { return f64::NAN };
        served.last().unwrap_or(first) - first
    }

    fn waits(&self, expect: &Expect, client: Option<usize>) -> impl Iterator<Item = f64> {
        let (from, until) = (expect.from, expect.until.unwrap_or(f64::MAX));
        let counts = move |wait: &&Wait| {
            client.is_none_or(|client| client == wait.client) && (from..=until).contains(&wait.submitted)
        };
        self.waits.iter().filter(counts).map(|wait| wait.waited)
    }

    /// Returns the largest difference of cumulative service by weight, since two last began to wait both.
    fn gap(&self, expect: &Expect, of: &[usize], service: fn(&Sample) -> f64) -> f64 {
        let weight = |client: usize| self.clients.get(client).map_or(1.0, |client| client.weight);
        let mut worst = 0.0_f64;
        for (n, a) in of.iter().enumerate() {
            for b in of.iter().take(n) {
                let mut base = None;
                for samples in self.within(expect) {
                    let (Some(x), Some(y)) = (samples.get(*a), samples.get(*b)) else { continue };
                    let off = service(x) / weight(*a) - service(y) / weight(*b);
                    if x.waiting > 0 && y.waiting > 0 {
                        worst = worst.max((off - *base.get_or_insert(off)).abs());
                    } else {
                        base = None;
                    }
                }
            }
        }
        worst
    }
}
