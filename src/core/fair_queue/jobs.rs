//! The jobs themselves: where each is, and the FIFO of each flow.

use super::chunks::{Chunks, NONE};
use crate::core::cost::Cost;
use crate::core::key::Key;
use crate::core::time::Time;

/// The place of a job, which is in one place at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Nowhere: the record is free.
    Free,
    /// In its flow's FIFO.
    Ready,
    /// A retry before its not-before time.
    Delayed,
    /// With a dispatcher.
    InFlight,
}

/// Flag of a job that its flow has paid for already (a retry is charged once).
pub(super) const CHARGED: u8 = 1;
/// Flag of a job whose present dispatch is the one that was charged.
pub(super) const REFUNDABLE: u8 = 2;
/// Flag of a long job that took a slot outside its tenant's reservation.
pub(super) const LONG: u8 = 4;

/// The record of a job, payload apart: 56 bytes, less than a cache line.
#[derive(Debug, Clone)]
pub(super) struct Job {
    /// When the job came to where it is: into the queue, or to its dispatcher.
    pub(super) since: Time,
    pub(super) deadline: Time,
    generation: u32,
    pub(super) flow: u32,
    pub(super) cost: Cost,
    /// Order of admission, kept over retries; wraps, and is compared by distance.
    pub(super) sequence: u32,
    /// Predicted wait at admission in seconds; zero where none was predicted or it no longer counts.
    pub(super) predicted: f32,
    /// The job before this one in the FIFO, while ready; of no meaning in the first job, so that a dispatch need not
    /// write to the second, which no cache holds.
    previous: u32,
    /// The job after this one in the FIFO, while ready; else see [`holder`](Self::holder),
    /// [`held_until`](Self::held_until) and [`next_free`](Self::next_free).
    next: u32,
    /// Neighbours in the timing wheel, which owns both.
    pub(super) timer: [u32; 2],
    pub(super) place: Place,
    pub(super) flags: u8,
}

impl Job {
    pub(super) const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    pub(super) const fn mark(&mut self, flag: u8, on: bool) {
        if on { self.flags |= flag } else { self.flags &= !flag }
    }

    /// Puts the job off until a tick, by its low half.
    pub(super) const fn hold_until(&mut self, tick: u32) {
        self.place = Place::Delayed;
        self.next = tick;
    }

    /// Returns the low half of the tick until which the job is put off.
    pub(super) fn held_until(&self) -> Option<u32> {
        (self.place == Place::Delayed).then_some(self.next)
    }

    /// Returns the number of the dispatcher that has the job.
    fn holder(&self) -> Option<u32> {
        (self.place == Place::InFlight).then_some(self.next)
    }

    /// Returns the free record after this one, which is free.
    const fn next_free(&self) -> u32 {
        self.next
    }

    /// Gives the job to a dispatcher.
    pub(super) const fn give_to(&mut self, holder: u32) {
        self.place = Place::InFlight;
        self.next = holder;
    }
}

/// The jobs of one queue: records and payloads, side by side so that the scheduler's part stays dense.
#[derive(Debug)]
pub(super) struct Jobs<P> {
    pub(super) records: Chunks<Job>,
    payloads: Chunks<Option<P>>,
    /// The first free record.
    free: u32,
    held: usize,
    sequence: u32,
}

impl<P> Jobs<P> {
    pub(super) const fn new() -> Self {
        Self { records: Chunks::new(), payloads: Chunks::new(), free: NONE, held: 0, sequence: 0 }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.held
    }

    pub(super) fn insert(&mut self, flow: u32, cost: Cost, since: Time, deadline: Time, payload: P) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.held += 1;
        let mut job = Job {
            since,
            deadline,
            generation: 1,
            flow,
            cost,
            sequence: self.sequence,
            predicted: 0.0,
            previous: NONE,
            next: NONE,
            timer: [NONE; 2],
            place: Place::Free,
            flags: 0,
        };
        if self.free == NONE {
            self.payloads.push(Some(payload));
            return self.records.push(job);
        }
        let index = self.free;
        let record = &mut self.records[index];
        self.free = record.next_free();
        job.generation = record.generation;
        *record = job;
        self.payloads[index] = Some(payload);
        index
    }

    pub(super) fn key(&self, index: u32) -> Key {
        Key::new(index, self.records[index].generation)
    }

    /// Returns the index of a job that is at one of the places, unless its key is stale.
    pub(super) fn find(&self, key: Key, at: impl Fn(Place) -> bool) -> Option<u32> {
        let job = self.records.get(key.index())?;
        (job.generation == key.generation() && job.place != Place::Free && at(job.place)).then_some(key.index())
    }

    pub(super) fn take_payload(&mut self, index: u32) -> Option<P> {
        self.payloads[index].take()
    }

    pub(super) fn payload(&self, index: u32) -> Option<&P> {
        self.payloads[index].as_ref()
    }

    pub(super) fn put_payload(&mut self, index: u32, payload: P) {
        self.payloads[index] = Some(payload);
    }

    /// Frees a record; its key finds nothing from now on.
    pub(super) fn remove(&mut self, index: u32) -> Option<P> {
        let job = &mut self.records[index];
        job.generation = job.generation.wrapping_add(1).max(1);
        job.place = Place::Free;
        job.next = std::mem::replace(&mut self.free, index);
        self.held -= 1;
        self.payloads[index].take()
    }

    /// Returns the indices of the jobs that satisfy `wanted`; looks at all.
    pub(super) fn select(&self, wanted: impl Fn(&Job) -> bool) -> Vec<u32> {
        (0..).zip(self.records.iter()).filter(|(_, job)| wanted(job)).map(|(index, _)| index).collect()
    }

    /// Returns the jobs that a holder was given.
    pub(super) fn held_by(&self, holder: u32) -> Vec<u32> {
        self.select(|job| job.holder() == Some(holder))
    }
}

/// An intrusive doubly linked list through the records: no allocation per job, O(1) removal anywhere.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fifo {
    pub(super) head: u32,
    tail: u32,
}

impl Fifo {
    pub(super) const EMPTY: Self = Self { head: NONE, tail: NONE };

    pub(super) const fn is_empty(&self) -> bool {
        self.head == NONE
    }

    /// Inserts a job that was admitted after all others. It only writes to its neighbour, and waits for no memory.
    pub(super) fn append(&mut self, jobs: &mut Chunks<Job>, index: u32) {
        let previous = self.tail;
        let job = &mut jobs[index];
        (job.place, job.previous, job.next) = (Place::Ready, previous, NONE);
        self.join(jobs, previous, index);
        self.tail = index;
    }

    /// Inserts a job that returns by its order of admission: near the head.
    pub(super) fn insert(&mut self, jobs: &mut Chunks<Job>, index: u32) {
        let sequence = jobs[index].sequence;
        let before = |at: u32, jobs: &Chunks<Job>| jobs[at].sequence.wrapping_sub(sequence).cast_signed() < 0;
        let previous = if self.tail == NONE || before(self.tail, jobs) {
            self.tail
        } else {
            // Only jobs that returned before this one stand ahead of it: a walk of at most the flow's retries.
            let (mut previous, mut at) = (NONE, self.head);
            while at != NONE && before(at, jobs) {
                (previous, at) = (at, jobs[at].next);
            }
            previous
        };
        let next = if previous == NONE { self.head } else { jobs[previous].next };
        let job = &mut jobs[index];
        (job.place, job.previous, job.next) = (Place::Ready, previous, next);
        self.join(jobs, previous, index);
        self.join(jobs, index, next);
    }

    /// Unlinks a job that is in this list.
    pub(super) fn remove(&mut self, jobs: &mut Chunks<Job>, index: u32) {
        let Job { previous, next, .. } = jobs[index];
        if self.head != index {
            self.join(jobs, previous, next);
            return;
        }
        self.head = next;
        if next == NONE {
            self.tail = NONE;
        }
    }

    fn join(&mut self, jobs: &mut Chunks<Job>, left: u32, right: u32) {
        if left == NONE {
            self.head = right
        } else {
            jobs[left].next = right
        }
        if right == NONE { self.tail = left } else { jobs[right].previous = left }
    }
}
