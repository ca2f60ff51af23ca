//! The way out and back: dispatch, completion, retries, cancelling, expiry.

use std::time::Duration;

use super::FairQueue;
use super::chunks::Chunks;
use super::jobs::{CHARGED, Fifo, Job, LONG, Place, REFUNDABLE};
use super::request::Dispatch;
use super::wheel::{Wheel, tick_at};
use crate::core::cost::Cost;
use crate::core::key::Key;
use crate::core::time::Time;

/// A job whose turn it is.
#[derive(Debug, Clone, Copy)]
struct Turn {
    flow: u32,
    index: u32,
    /// The job goes on its tenant's reservation.
    by_reservation: bool,
    /// The job is long, and takes a slot beyond its tenant's reservation.
    long: bool,
}

impl<P> FairQueue<P> {
    /// Takes the job that is next by fairness, or `None` when no job may run now.
    ///
    /// `holder` numbers its dispatcher, for [`abandon`](Self::abandon).
    pub fn pop(&mut self, now: Time, holder: u32) -> Option<Dispatch<P>> {
        self.collect(now);
        let room = self.room_for_long();
        self.flows.release(room.unwrap_or(u64::MAX));
        loop {
            let due = self.flows.next_due();
            let flow = due.or_else(|| self.flows.next())?;
            let index = self.flows.member(flow).fifo.head;
            let job = &self.jobs.records[index];
            if job.deadline <= now {
                // Its tick has not come yet; its time has.
                let payload = self.remove(now, index);
                self.expired.extend(payload);
                continue;
            }
            let long = due.is_none() && room.is_some() && self.is_long(job);
            if long && room == Some(0) {
                self.flows.hold(flow);
                continue;
            }
            return Some(self.dispatch(now, holder, Turn { flow, index, by_reservation: due.is_some(), long }));
        }
    }

    fn dispatch(&mut self, now: Time, holder: u32, turn: Turn) -> Dispatch<P> {
        let Turn { flow, index, by_reservation, long } = turn;
        // Read the payload first: it is in another array than the record, so the two cache misses overlap.
        let payload = self.jobs.take_payload(index);
        let jobs = &mut self.jobs.records;
        self.wheel.stop(jobs, index);
        self.flows.pull(flow, |fifo| fifo.remove(jobs, index));
        let job = &mut self.jobs.records[index];
        let charged = job.has(CHARGED);
        job.give_to(holder);
        job.mark(CHARGED, true);
        job.mark(REFUNDABLE, !charged);
        job.mark(LONG, long);
        let waited = now.since(std::mem::replace(&mut job.since, now));
        let predicted = f64::from(std::mem::take(&mut job.predicted));
        let (cost, deadline) = (job.cost, job.deadline);
        self.counts.left(cost);
        self.counts.dispatched(long);
        self.flows.dispatched(flow, cost, charged, by_reservation);
        self.forecaster.dispatched(cost, waited, predicted);
        self.advance(now);
        let payload = payload.unwrap_or_else(|| unreachable!("a waiting job has its payload"));
        Dispatch { key: self.jobs.key(index), cost, deadline, waited, payload }
    }

    /// Notes that a dispatched job goes to another holder than the one it was taken for.
    pub fn hand_over(&mut self, key: Key, holder: u32) {
        if let Some(index) = self.jobs.find(key, |place| place == Place::InFlight) {
            self.jobs.records[index].give_to(holder);
        }
    }

    fn is_long(&self, job: &Job) -> bool {
        let expected = self.forecaster.service(job.cost);
        expected.is_some_and(|seconds| seconds > self.limits.long.as_secs_f64())
    }

    /// Returns how many long jobs may be started now; `None` where nothing is held back from them.
    pub(super) fn room_for_long(&self) -> Option<u64> {
        let room = self.flows.reserves.room_for_long(self.limits.unlendable)?;
        Some(room.saturating_sub(self.counts.long()))
    }

    /// Ends a dispatched job and corrects its charge to the `actual` cost where that is known. Where it is not, the job
    /// pays for the time by which it held its slot for longer than such jobs do: a tenant whose attempts hang would
    /// otherwise hold most of the slots at an equal share of the charges. Says whether the key named a dispatched job.
    pub fn complete(&mut self, now: Time, key: Key, actual: Option<Cost>) -> bool {
        let Some(index) = self.land(key) else { return false };
        let job = &self.jobs.records[index];
        let (flow, cost) = (job.flow, job.cost);
        match actual {
            Some(actual) => {
                self.forecaster.completed(now.seconds_since(job.since), actual);
                self.flows.reconcile(flow, cost, actual);
            }
            None => self.charge_overstay(now, index),
        }
        drop(self.jobs.remove(index));
        self.settle(now, flow);
        true
    }

    /// Charges a dispatched job `cost` in place of what it was charged, by what has been learned since it was pushed: a
    /// backlog of minutes would be served at the prices of its beginning.
    pub fn reprice(&mut self, key: Key, cost: Cost) {
        let Some(index) = self.jobs.find(key, |place| place == Place::InFlight) else { return };
        let job = &mut self.jobs.records[index];
        let (flow, before) = (job.flow, std::mem::replace(&mut job.cost, cost));
        self.flows.reconcile(flow, before, cost);
    }

    /// Charges a dispatched job for work beyond what was predicted, as it occurs: a stream that goes on.
    ///
    /// [`complete`](Self::complete) corrects from the raised cost to the actual one.
    pub fn charge_more(&mut self, key: Key, more: Cost) {
        let Some(index) = self.jobs.find(key, |place| place == Place::InFlight) else { return };
        let cost = self.jobs.records[index].cost;
        self.reprice(key, Cost::new(u64::from(cost.units()) + u64::from(more.units())));
    }

    /// Charges a flow for the time by which an attempt held its slot too long. The job's own cost stays, so that a later
    /// success, which corrects that to the actual one, does not pay this back.
    fn charge_overstay(&mut self, now: Time, index: u32) {
        let job = &self.jobs.records[index];
        let (flow, cost) = (job.flow, job.cost);
        let units = self.forecaster.overstayed(now.seconds_since(job.since), cost);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative; saturates")]
        let after = Cost::new(u64::from(cost.units()).saturating_add(units as u64));
        self.flows.reconcile(flow, cost, after);
    }

    /// Ends every job that `holder` was given: it is no more, and nobody will settle them. Looks at every job.
    pub fn abandon(&mut self, now: Time, holder: u32) {
        for index in self.jobs.held_by(holder) {
            self.complete(now, self.jobs.key(index), None);
        }
    }

    /// Puts a dispatched job back for another attempt, not before `not_before`.
    ///
    /// It keeps its place in its tenant's order and is not charged again, but for a slot that it held too long
    /// ([`complete`](Self::complete)). `served`, the time it spent at the provider, does not count against its deadline,
    /// which limits waiting.
    ///
    /// # Errors
    ///
    /// The payload, when `key` names no dispatched job.
    pub fn requeue(&mut self, now: Time, key: Key, not_before: Time, served: Duration, payload: P) -> Result<(), P> {
        let Some(index) = self.land(key) else { return Err(payload) };
        self.charge_overstay(now, index);
        self.jobs.records[index].deadline += served;
        self.reenter(now, index, not_before, payload);
        Ok(())
    }

    /// Takes back a dispatched job that was never sent, as if it had not been dispatched.
    ///
    /// # Errors
    ///
    /// The payload, when `key` names no dispatched job.
    pub fn give_back(&mut self, now: Time, key: Key, payload: P) -> Result<(), P> {
        let Some(index) = self.land(key) else { return Err(payload) };
        let job = &mut self.jobs.records[index];
        // A retry that comes back unsent has paid for its first dispatch, which did happen.
        if job.has(REFUNDABLE) {
            job.mark(REFUNDABLE | CHARGED, false);
            let (flow, cost) = (job.flow, job.cost);
            self.flows.unpay(flow, cost);
        }
        self.reenter(now, index, Time::ZERO, payload);
        Ok(())
    }

    fn reenter(&mut self, now: Time, index: u32, not_before: Time, payload: P) {
        self.jobs.put_payload(index, payload);
        self.jobs.records[index].since = now;
        self.enter(now, index, Some(not_before));
        self.collect(now);
    }

    /// Removes a waiting job and returns its payload; `None` when it waits no longer.
    pub fn cancel(&mut self, now: Time, key: Key) -> Option<P> {
        let index = self.jobs.find(key, |place| place != Place::InFlight)?;
        self.remove(now, index)
    }

    /// Makes due retries ready and moves expired jobs out.
    pub(super) fn collect(&mut self, now: Time) {
        self.advance(now);
        while let Some(index) = self.wheel.fire(&mut self.jobs.records, now, due) {
            let job = &self.jobs.records[index];
            if job.deadline <= now {
                let payload = self.remove(now, index);
                self.expired.extend(payload);
            } else {
                let tick = tick_at(job.deadline);
                self.wheel.set(&mut self.jobs.records, index, tick);
                self.make_ready(index, Fifo::insert);
            }
        }
    }

    pub(super) fn advance(&mut self, now: Time) {
        let backlogged = self.has_ready();
        self.forecaster.advance(now, backlogged);
    }

    /// Enters a job into the queue; one that returns may have to wait for its not-before time.
    pub(super) fn enter(&mut self, now: Time, index: u32, returns: Option<Time>) {
        let job = &mut self.jobs.records[index];
        let (flow, cost, billed) = (job.flow, job.cost, !job.has(CHARGED));
        self.counts.joined(cost);
        let mut tick = tick_at(job.deadline);
        let not_before = returns.unwrap_or(now);
        let delayed = not_before > now;
        if delayed {
            tick = tick.min(tick_at(not_before));
            job.hold_until(self.wheel.narrow(tick));
        }
        self.wheel.set(&mut self.jobs.records, index, tick);
        self.flows.joined(flow, cost, billed);
        match returns {
            None => self.make_ready(index, Fifo::append),
            Some(_) if !delayed => self.make_ready(index, Fifo::insert),
            Some(_) => {}
        }
        self.advance(now);
    }

    fn make_ready(&mut self, index: u32, insert: impl FnOnce(&mut Fifo, &mut Chunks<Job>, u32)) {
        let (jobs, flows) = (&mut self.jobs.records, &mut self.flows);
        flows.with_fifo(jobs[index].flow, |fifo| insert(fifo, jobs, index));
    }

    /// Takes a job out of every structure it waits in.
    fn leave(&mut self, index: u32) {
        let (jobs, flows) = (&mut self.jobs.records, &mut self.flows);
        self.wheel.stop(jobs, index);
        let job = &jobs[index];
        self.counts.left(job.cost);
        let (flow, place) = (job.flow, job.place);
        if place == Place::Ready {
            flows.with_fifo(flow, |fifo| fifo.remove(jobs, index));
        }
        flows.left(flow);
    }

    /// Ends a waiting job.
    pub(super) fn remove(&mut self, now: Time, index: u32) -> Option<P> {
        let job = &self.jobs.records[index];
        let (flow, cost, billed) = (job.flow, job.cost, !job.has(CHARGED));
        self.leave(index);
        if billed {
            self.flows.withdraw(flow, cost);
        }
        let payload = self.jobs.remove(index);
        self.settle(now, flow);
        payload
    }

    /// Takes a dispatched job back from its dispatcher; `None` when the key names none.
    fn land(&mut self, key: Key) -> Option<u32> {
        let index = self.jobs.find(key, |place| place == Place::InFlight)?;
        let job = &mut self.jobs.records[index];
        self.counts.landed(job.has(LONG));
        job.mark(LONG, false);
        let flow = job.flow;
        self.flows.landed(flow);
        Some(index)
    }

    fn settle(&mut self, now: Time, flow: u32) {
        self.flows.gone(flow);
        self.flows.rest(flow);
        self.advance(now);
    }
}

/// Returns the tick at which a waiting job's timer is due.
fn due(wheel: &Wheel, job: &Job) -> u64 {
    job.held_until().map_or(tick_at(job.deadline), |low| wheel.widen(low))
}
