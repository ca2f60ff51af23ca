//! The jobs themselves: where each one is, and the FIFO of each flow.

use crate::core::cost::Cost;
use crate::core::slab::{Key, Slab};
use crate::core::time::Time;

/// Where a job is; it is in one place at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In its flow's FIFO.
    Ready { previous: Option<Key>, next: Option<Key> },
    /// A retry before its not-before time.
    Delayed { until: Time },
    /// With a dispatcher.
    InFlight { holder: u32 },
    /// On its way in.
    Nowhere,
}

impl Place {
    pub(super) const fn in_flight(self) -> bool {
        matches!(self, Self::InFlight { .. })
    }
}

#[derive(Debug, Clone)]
pub(super) struct Job<P> {
    pub(super) flow: u32,
    pub(super) cost: Cost,
    /// Order of admission, kept over retries.
    pub(super) sequence: u64,
    pub(super) enqueued: Time,
    pub(super) deadline: Time,
    /// Predicted wait at admission in seconds; zero where none was predicted or it no longer counts.
    pub(super) predicted: f32,
    /// Whether its flow has paid for it already (a retry is charged once).
    pub(super) charged: bool,
    /// Whether its present dispatch is the one that was charged.
    pub(super) refundable: bool,
    pub(super) place: Place,
    /// Present unless in flight.
    pub(super) payload: Option<P>,
}

/// An intrusive doubly linked list through the slab: no allocation per job, O(1) removal anywhere.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Fifo {
    pub(super) head: Option<Key>,
    tail: Option<Key>,
}

impl Fifo {
    /// Inserts by order of admission: at the tail for a new job, near the head for one that returns.
    pub(super) fn insert<P>(&mut self, jobs: &mut Slab<Job<P>>, key: Key) {
        let sequence = jobs.get(key).map_or(0, |job| job.sequence);
        let follows = |at: Option<Key>, jobs: &Slab<Job<P>>| {
            at.and_then(|at| jobs.get(at)).is_none_or(|job| job.sequence < sequence)
        };
        let previous = if follows(self.tail, jobs) {
            self.tail
        } else {
            // Only jobs that returned before this one stand ahead of it: a walk of at most the flow's retries.
            let mut previous = None;
            let mut at = self.head;
            while at.is_some() && follows(at, jobs) {
                previous = at;
                at = Self::links(jobs, at).1;
            }
            previous
        };
        let next = match previous {
            Some(_) => Self::links(jobs, previous).1,
            None => self.head,
        };
        if let Some(job) = jobs.get_mut(key) {
            job.place = Place::Ready { previous, next };
        }
        self.join(jobs, previous, Some(key));
        self.join(jobs, Some(key), next);
    }

    /// Unlinks a job that is in this list.
    pub(super) fn remove<P>(&mut self, jobs: &mut Slab<Job<P>>, key: Key) {
        let (previous, next) = Self::links(jobs, Some(key));
        self.join(jobs, previous, next);
    }

    fn links<P>(jobs: &Slab<Job<P>>, at: Option<Key>) -> (Option<Key>, Option<Key>) {
        match at.and_then(|at| jobs.get(at)).map(|job| job.place) {
            Some(Place::Ready { previous, next }) => (previous, next),
            _ => (None, None),
        }
    }

    fn join<P>(&mut self, jobs: &mut Slab<Job<P>>, left: Option<Key>, right: Option<Key>) {
        match left.and_then(|left| jobs.get_mut(left)) {
            Some(Job { place: Place::Ready { next, .. }, .. }) => *next = right,
            _ => self.head = right,
        }
        match right.and_then(|right| jobs.get_mut(right)) {
            Some(Job { place: Place::Ready { previous, .. }, .. }) => *previous = left,
            _ => self.tail = left,
        }
    }
}
