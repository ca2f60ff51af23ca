//! The load of one tenant in a scenario of fairness.

use serde::{Deserialize, Deserializer};

use crate::core::fair_queue::Class;
use crate::sim::read::{Bad, LONGEST, MOST};

/// A client is one tenant's load, or several tenants' of the same kind. Times are in seconds.
// fields: one for each key of a client's table.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Client {
    /// The tenant.
    pub tenant: String,
    /// So many tenants, numbered from 0 where there are several; default 1.
    pub copies: u32,
    /// Each copy starts this long after the one before it; default 0.
    pub stagger: f64,
    /// Open loop: requests per second, evenly spaced unless `poisson`; default 0.
    pub rate: f64,
    /// Whether requests of the open loop arrive independently of each other; default no.
    pub poisson: bool,
    /// Closed loop: threads that think between calls; default 0.
    pub threads: u32,
    /// Calls of each thread; default 0, which is without end.
    pub calls: u32,
    /// How long a thread thinks after an answer; default 0.
    pub think: f64,
    /// Requests that are there when it begins; default 0.
    pub burst: u32,
    /// When it begins; default 0.
    pub from: f64,
    /// When it sends no more; default never.
    pub until: f64,
    /// Length of each stretch of activity; default without end.
    pub on: f64,
    /// Length of the silence after each stretch; default 0.
    pub off: f64,
    /// Mean cost of a request, in units; default 1.
    pub cost: f64,
    /// Coefficient of variation of the cost, lognormal; default 0.
    pub spread: f64,
    /// Predicted ÷ actual cost; default 1.
    pub bias: f64,
    /// Share by which a prediction is off by chance, 0 to 1; default 0.
    pub error: f64,
    /// Slots that one request takes; default 1.
    pub width: u32,
    /// Pause after which each first attempt, which the provider refuses, is retried; default 0, which refuses none.
    pub retry: f64,
    /// Share of the tenant relative to others; default 1.
    pub weight: f64,
    /// Priority class; default standard.
    #[serde(deserialize_with = "class")]
    pub class: Class,
    /// Most requests of the tenant in flight; default no limit.
    pub max_in_flight: u32,
    /// From a second on, another `max_in_flight`; default none.
    pub raised: Option<(f64, u32)>,
    /// Slots that are reserved for the tenant; default 0.
    pub reserve: u32,
    /// Number of the group that it shares with; default none.
    pub group: Option<u32>,
    /// Longest wait in the queue; default no limit.
    pub max_wait: f64,
}

impl Default for Client {
    fn default() -> Self {
        Self {
            tenant: String::new(),
            copies: 1,
            stagger: 0.0,
            rate: 0.0,
            poisson: false,
            threads: 0,
            calls: 0,
            think: 0.0,
            burst: 0,
            from: 0.0,
            until: f64::MAX,
            on: f64::MAX,
            off: 0.0,
            cost: 1.0,
            spread: 0.0,
            bias: 1.0,
            error: 0.0,
            width: 1,
            retry: 0.0,
            weight: 1.0,
            class: Class::Standard,
            max_in_flight: u32::MAX,
            raised: None,
            reserve: 0,
            group: None,
            max_wait: f64::MAX,
        }
    }
}

impl Client {
    /// Returns the clients that its copies are.
    pub fn each(&self) -> impl Iterator<Item = Self> {
        (0..self.copies).map(|copy| {
            let tenant = if self.copies > 1 { format!("{}{copy}", self.tenant) } else { self.tenant.clone() };
            Self { tenant, copies: 1, from: self.from + f64::from(copy) * self.stagger, ..self.clone() }
        })
    }

    /// Says whether it sends at second `t`.
    #[must_use]
    pub fn is_active(&self, t: f64) -> bool {
        t < self.until && (self.on == f64::MAX || (t - self.from) % (self.on + self.off) < self.on)
    }

    /// Returns the most requests of its tenant in flight at second `t`.
    #[must_use]
    pub fn cap_at(&self, t: f64) -> u32 {
        self.raised.filter(|(from, _)| t >= *from).map_or(self.max_in_flight, |(_, cap)| cap)
    }

    pub(super) fn problem(&self) -> Option<Bad> {
        if self.tenant.is_empty() {
            return Some(Bad::new("tenant", "empty", "give the tenant's name"));
        }
        if self.rate == 0.0 && self.threads == 0 && self.burst == 0 {
            return Some(Bad::new("rate", 0, "give a rate, threads or a burst: it sends nothing"));
        }
        let (raised_at, raised_to) = self.raised.unwrap_or((0.0, 1));
        let numbers = [
            ("copies", f64::from(self.copies), 1.0, MOST),
            ("stagger", self.stagger, 0.0, LONGEST),
            ("rate", self.rate, 0.0, MOST),
            ("think", self.think, 0.0, LONGEST),
            ("from", self.from, 0.0, LONGEST),
            ("until", self.until, self.from, f64::MAX),
            ("on", self.on, 1e-3, f64::MAX),
            ("off", self.off, 0.0, LONGEST),
            ("cost", self.cost, 1e-3, 1e9),
            ("spread", self.spread, 0.0, 100.0),
            ("bias", self.bias, 1e-3, 1e3),
            ("error", self.error, 0.0, 1.0),
            ("width", f64::from(self.width), 1.0, MOST),
            ("retry", self.retry, 0.0, LONGEST),
            ("weight", self.weight, 1e-3, 1e6),
            ("max_in_flight", f64::from(self.max_in_flight), 1.0, f64::MAX),
            ("raised[0]", raised_at, 0.0, LONGEST),
            ("raised[1]", f64::from(raised_to), 1.0, f64::MAX),
            ("max_wait", self.max_wait, 1e-3, f64::MAX),
        ];
        numbers.into_iter().find_map(|(field, value, least, most)| Bad::number(field, value, least, most))
    }
}

fn class<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Class, D::Error> {
    let name = String::deserialize(deserializer)?;
    let unknown = || serde::de::Error::custom(format_args!("{name:?} is no class; say interactive, standard or batch"));
    Class::parse(&name).ok_or_else(unknown)
}
