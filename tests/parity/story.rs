//! A scenario of `tests/scenarios/fairness` as both engines can play it: a configuration, and who asks when.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use fairflow::config::Config;
use fairflow::core::cost::Cost;
use fairflow::sim::fairness::{Client, Scenario};

use crate::random::Random;

/// A scenario, and each of its tenants' loads by itself.
#[derive(Debug, Clone)]
pub struct Story {
    pub scenario: Scenario,
    clients: Vec<Client>,
}

/// One job, the same for both engines.
#[derive(Debug, Clone)]
pub struct Job {
    pub tenant: String,
    /// Which one of its tenant.
    pub number: u32,
    pub predicted: Cost,
    pub actual: Cost,
    /// Nobody is told that.
    pub silent: bool,
    /// Milliseconds that it takes.
    service: u64,
    /// Its first attempt is refused, after a tenth of that.
    pub refused: bool,
    pub patience: Option<std::time::Duration>,
    client: usize,
    thread: Option<u32>,
}

impl Job {
    pub fn takes(&self, attempt: u32) -> u64 {
        if self.refused && attempt == 1 { (self.service / 10).max(1) } else { self.service }
    }
}

#[derive(Debug)]
pub enum Event {
    /// `thread`: calls that are left to a closed loop.
    Arrive {
        client: usize,
        thread: Option<u32>,
        again: bool,
    },
    Finish(usize),
    Cancel(usize),
    /// The configuration changes to that of this second.
    Reload(f64),
}

/// Events to come, at most one in each millisecond: so that no order is left to chance.
#[derive(Debug, Default)]
pub struct Agenda(BTreeMap<u64, Event>);

impl Agenda {
    pub fn add(&mut self, at: u64, event: Event) {
        let taken = self.0.range(at..).zip(at..).take_while(|((used, _), free)| *used == free).count();
        self.0.insert(at + taken as u64, event);
    }

    pub fn next(&self) -> Option<u64> {
        self.0.keys().next().copied()
    }

    pub fn take(&mut self) -> Option<Event> {
        self.0.pop_first().map(|(_, event)| event)
    }
}

fn millis(seconds: f64) -> u64 {
    (seconds * 1e3).round() as u64
}

impl Story {
    /// Makes a story of a scenario; `None` where it needs what no configuration can say.
    pub fn of(scenario: Scenario) -> Option<Self> {
        let clients = scenario.clients();
        clients.iter().all(|client| client.width == 1).then_some(Self { scenario, clients })
    }

    /// Returns the millisecond from which nothing changes any more but the load of those who are there.
    pub fn settled(&self) -> u64 {
        let clients = self.clients.iter().flat_map(|client| [client.from, client.raised.map_or(0.0, |(at, _)| at)]);
        millis(self.scenario.slots.times().chain(clients).fold(0.0, f64::max))
    }

    /// The configuration at a second.
    pub fn config(&self, at: f64) -> Config {
        let Scenario { long, unlendable, account, .. } = &self.scenario;
        let (slots, long, unlendable) = (self.scenario.slots_at(at), long.unwrap_or(1e6), unlendable.unwrap_or(0.25));
        // Backoff is drawn by chance, and that source is not the same: within a millisecond it does not matter.
        let account = account.map_or(String::new(), |most| format!("max_in_flight = {most}\n"));
        let mut text = format!(
            "[providers.p]\nkind = \"sim\"\n{account}[models.m]\nroutes = [{{ provider = \"p\" }}]\n\
             timeout = \"1000h\"\nwindow = {{ initial = {slots}, min = {slots}, max = {slots} }}\n\
             retry = {{ base = \"1ms\", max = \"1ms\" }}\n\
             queue = {{ capacity = 1000000, max_wait = \"1000h\", long = \"{}s\", unlendable = {unlendable:?} }}\n",
            long as u64
        );
        for (index, client) in self.clients.iter().enumerate() {
            let Client { tenant, weight, class, group, reserve, .. } = client;
            let (cap, class) = (client.cap_at(at), class.as_str());
            writeln!(text, "[tiers.t{index}]\nweight = {weight:?}\nclass = {class:?}").unwrap();
            if cap < u32::MAX {
                writeln!(text, "max_in_flight = {cap}").unwrap();
            }
            writeln!(text, "[tenants.{tenant:?}]\ntier = \"t{index}\"").unwrap();
            if let Some(group) = group {
                writeln!(text, "group = \"g{group}\"").unwrap();
            }
            if *reserve > 0 {
                writeln!(text, "reserve = {{ m = {reserve} }}").unwrap();
            }
        }
        let groups: BTreeSet<u32> = self.clients.iter().filter_map(|client| client.group).collect();
        groups.iter().for_each(|group| writeln!(text, "[groups.g{group}]").unwrap());
        Config::from_toml(&text).unwrap()
    }
}

/// Those who ask: what they send depends on the seed and on when their own jobs end, on nothing else.
pub struct Clients<'a> {
    story: &'a Story,
    random: Vec<Random>,
    sent: Vec<u32>,
    pub jobs: Vec<Job>,
    pub agenda: Agenda,
}

impl<'a> Clients<'a> {
    pub fn new(story: &'a Story) -> Self {
        let mut agenda = Agenda::default();
        for (index, client) in story.clients.iter().enumerate() {
            let start = millis(client.from) + 1;
            let left = if client.calls == 0 { u32::MAX } else { client.calls };
            let mut arrive = |thread, again| agenda.add(start, Event::Arrive { client: index, thread, again });
            (0..client.threads).for_each(|_| arrive(Some(left), false));
            (0..client.burst).for_each(|_| arrive(None, false));
            if client.rate > 0.0 {
                arrive(None, true);
            }
            if let Some((at, _)) = client.raised {
                agenda.add(millis(at), Event::Reload(at));
            }
        }
        for at in story.scenario.slots.times().skip(1) {
            agenda.add(millis(at), Event::Reload(at));
        }
        let random = (0..story.clients.len() as u64).map(Random).collect();
        Self { story, random, sent: vec![0; story.clients.len()], jobs: Vec::new(), agenda }
    }

    /// Returns the job that arrives now, if its client is active.
    pub fn arrive(&mut self, now: u64, client: usize, thread: Option<u32>, again: bool) -> Option<usize> {
        let (it, scenario) = (&self.story.clients[client], &self.story.scenario);
        let random = &mut self.random[client];
        let seconds = now as f64 / 1e3;
        if again {
            let gap = if it.poisson { random.exponential() } else { 1.0 } / it.rate;
            self.agenda.add((now + millis(gap)).max(now + 1), Event::Arrive { client, thread, again });
        }
        if !it.is_active(seconds) {
            return None;
        }
        let sigma = (1.0 + it.spread * it.spread).ln().sqrt();
        let size = it.cost * (sigma * random.normal() - sigma * sigma / 2.0).exp();
        let off = it.bias * (1.0 + it.error * (2.0 * random.unit() - 1.0));
        let units = |cost: f64| Cost::new(cost.round() as u64);
        self.sent[client] += 1;
        let job = Job {
            tenant: it.tenant.clone(),
            number: self.sent[client],
            predicted: units(size * off),
            actual: units(size),
            silent: scenario.silent,
            service: millis(size / scenario.speed).max(1),
            refused: it.retry > 0.0,
            patience: (it.max_wait < f64::MAX).then(|| std::time::Duration::from_secs_f64(it.max_wait)),
            client,
            thread,
        };
        self.jobs.push(job);
        let id = self.jobs.len() - 1;
        if let Some((_, after)) = scenario.cancel.filter(|(every, _)| self.jobs.len().is_multiple_of(*every)) {
            self.agenda.add(now + millis(after), Event::Cancel(id));
        }
        Some(id)
    }

    /// A job has left: who waits for it thinks, and asks again.
    pub fn over(&mut self, now: u64, id: usize) {
        let job = &self.jobs[id];
        let left = job.thread.map(|left| left.saturating_sub(1)).filter(|left| *left > 0);
        if left.is_some() {
            let client = job.client;
            let at = (now + millis(self.story.clients[client].think)).max(now + 1);
            self.agenda.add(at, Event::Arrive { client, thread: left, again: false });
        }
    }
}
