//! Drawing the clients' requests in the order of their arrival, no more of them than are wanted.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    time::Duration,
};

use rand::{SeedableRng, rngs::StdRng};

use super::client::Window;
use super::sizes::Sizes;
use crate::cli::replay::trace::Arrival;

/// A client of the archive, as far as the window of the trace reaches.
#[derive(Debug, Default)]
pub(in crate::cli::replay::trace) struct Client {
    pub(super) windows: Vec<Window>,
    pub(super) sizes: Sizes,
}

/// The clients by number.
pub(in crate::cli::replay::trace) type Clients = BTreeMap<u32, Client>;

/// The renewal process by which a client sends its requests.
///
/// A gap is drawn in units of the mean gap and used up at the rate of whatever windows it crosses: a rate that changes
/// under a gap stretches what is left of it, and a silent window uses up nothing.
struct Process<'a> {
    number: u32,
    client: &'a Client,
    rng: StdRng,
    now: f64,
    end: f64,
    window: usize,
    begun: bool,
}

impl<'a> Process<'a> {
    /// Starts at `span.0`. Each client draws from its own seed, so that what one sends does not depend on the others.
    fn new(number: u32, client: &'a Client, seed: u64, span: (f64, f64)) -> Self {
        // An odd multiplier (the golden ratio's) keeps the seeds of neighbours apart.
        let own = seed.wrapping_add((u64::from(number) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let rng = StdRng::seed_from_u64(own);
        Self { number, client, rng, now: span.0, end: span.1, window: 0, begun: false }
    }

    /// Moves to the next request and tells its instant, in seconds from the trace's beginning.
    fn advance(&mut self) -> Option<f64> {
        let mut left = None;
        while let Some(window) = self.client.windows.get(self.window) {
            let from = self.now.max(window.start);
            let to = window.end.min(self.end);
            if let Some(gaps) = window.gaps
                && from < to
            {
                let gap = match left {
                    Some(left) => left,
                    None if self.begun => gaps.next(&mut self.rng),
                    None => gaps.first(&mut self.rng),
                };
                self.begun = true;
                let at = from + gap / window.rate;
                if at < to {
                    self.now = at;
                    return Some(at);
                }
                left = Some(gap - (to - from) * window.rate);
            }
            self.now = to.max(from);
            self.window += 1;
        }
        None
    }
}

/// The first `limit` requests of all clients within `span`, sorted; instants count from `span.0`.
pub(super) fn merge(clients: &Clients, seed: u64, span: (f64, f64), limit: usize) -> Vec<Arrival> {
    let mut processes: Vec<Process<'_>> =
        clients.iter().map(|(number, client)| Process::new(*number, client, seed, span)).collect();
    let since = |at: f64| Duration::try_from_secs_f64(at - span.0).unwrap_or_default();
    let mut next: BinaryHeap<Reverse<(Duration, usize)>> = processes
        .iter_mut()
        .enumerate()
        .filter_map(|(index, process)| Some(Reverse((since(process.advance()?), index))))
        .collect();

    let mut arrivals = Vec::new();
    while arrivals.len() < limit {
        let Some(Reverse((at, index))) = next.pop() else { break };
        let Some(process) = processes.get_mut(index) else { break };
        let size = process.client.sizes.draw(process.now, &mut process.rng);
        let tenant = format!("client-{}", process.number);
        arrivals.push(Arrival { at, tenant, model: String::new(), size });
        if let Some(at) = process.advance() {
            next.push(Reverse((since(at), index)));
        }
    }
    arrivals
}
