//! Simulated providers.

use std::collections::VecDeque;

/// A piecewise constant function of simulated seconds: `(from, value)`.
#[derive(Clone)]
pub struct Steps(pub Vec<(f64, f64)>);

impl Steps {
    pub fn always(value: f64) -> Self {
        Self(vec![(0.0, value)])
    }

    pub fn at(&self, t: f64) -> f64 {
        self.0.iter().rev().find(|(from, _)| *from <= t).map_or(0.0, |(_, value)| *value)
    }
}

#[derive(Clone, Copy, PartialEq)]
pub enum Discipline {
    /// Every admitted request runs at full speed.
    Unlimited,
    /// FIFO queue behind `servers`.
    Fifo,
    /// Processor sharing with `servers` processors.
    Sharing,
    /// A batch: n at once take 1 + n ÷ `servers` times as long each.
    Batch,
}

/// What a provider is.
#[derive(Clone)]
pub struct Spec {
    pub name: String,
    /// Requests admitted at once; more are refused.
    pub cap: Steps,
    pub discipline: Discipline,
    pub servers: Steps,
    /// Service takes this many times as long.
    pub slow: Steps,
    /// Fails all while ≥ 1.
    pub outage: Steps,
    pub refusal_seconds: f64,
    /// The slot is free so long after the answer (uniform in 0..lag).
    pub lag: f64,
    pub median: f64,
    pub sigma: f64,
    /// Sizes uniform in 1..=max_size; service ∝ size.
    pub max_size: u64,
    pub clients: u32,
    pub seconds: f64,
}

impl Spec {
    fn base(name: &str, median: f64, sigma: f64, seconds: f64) -> Self {
        Self {
            name: name.into(),
            cap: Steps::always(1e9),
            discipline: Discipline::Unlimited,
            servers: Steps::always(1e9),
            slow: Steps::always(1.0),
            outage: Steps::always(0.0),
            refusal_seconds: 0.001,
            lag: 0.0,
            median,
            sigma,
            max_size: 1,
            clients: u32::MAX,
            seconds,
        }
    }

    pub fn cap(name: &str, cap: u32, median: f64, sigma: f64, seconds: f64) -> Self {
        Self { cap: Steps::always(f64::from(cap)), ..Self::base(name, median, sigma, seconds) }
    }

    pub fn fifo(name: &str, servers: u32, median: f64, sigma: f64, seconds: f64) -> Self {
        let servers = Steps::always(f64::from(servers));
        Self { servers, discipline: Discipline::Fifo, ..Self::base(name, median, sigma, seconds) }
    }

    pub fn sharing(name: &str, servers: u32, median: f64, sigma: f64, seconds: f64) -> Self {
        Self { discipline: Discipline::Sharing, ..Self::fifo(name, servers, median, sigma, seconds) }
    }

    pub fn batch(name: &str, servers: u32, median: f64, sigma: f64, seconds: f64) -> Self {
        Self { discipline: Discipline::Batch, ..Self::fifo(name, servers, median, sigma, seconds) }
    }

    /// Capacity at `t`, whichever kind.
    pub fn capacity(&self, t: f64) -> f64 {
        if self.outage.at(t) >= 1.0 { 0.0 } else { self.cap.at(t).min(self.servers.at(t)) }
    }
}

/// The state of a provider.
pub struct Provider {
    pub spec: Spec,
    /// Admitted: waiting or in service.
    pub admitted: u32,
    pub busy: u32,
    pub waiting: VecDeque<usize>,
    /// Processor sharing: service attained by each since the start.
    pub attained: f64,
    pub attained_at: f64,
    /// Processor sharing: (attained at finish, job).
    pub running: Vec<(f64, usize)>,
    pub generation: u64,
}

impl Provider {
    pub fn new(spec: Spec) -> Self {
        Self {
            spec,
            admitted: 0,
            busy: 0,
            waiting: VecDeque::new(),
            attained: 0.0,
            attained_at: 0.0,
            running: Vec::new(),
            generation: 0,
        }
    }

    /// Processor sharing: speed of each request.
    pub fn rate(&self, t: f64) -> f64 {
        let n = self.running.len().max(1) as f64;
        let servers = self.spec.servers.at(t);
        let rate = match self.spec.discipline {
            Discipline::Batch => 1.0 / (1.0 + n / servers),
            _ => (servers / n).min(1.0),
        };
        rate / self.spec.slow.at(t)
    }

    pub fn attain(&mut self, t: f64) {
        self.attained += (t - self.attained_at) * self.rate(self.attained_at);
        self.attained_at = t;
    }

    /// Capacity in use.
    pub fn used(&self, t: f64) -> f64 {
        match self.spec.discipline {
            Discipline::Fifo => f64::from(self.busy).min(self.spec.capacity(t)),
            Discipline::Batch => f64::from(self.admitted) * self.rate(t),
            _ => f64::from(self.admitted).min(self.spec.capacity(t)),
        }
    }
}
