//! Inputs and outputs of a broker.

use std::sync::Arc;
use std::time::Duration;

use super::{BrokerConfig, Cost, Forecast, Key, Outcome, Request, RouteView, TenantLimits, Time};
use crate::core::fair_queue::Refusal;

/// An input of a broker.
#[derive(Debug)]
pub enum Input<J> {
    /// A request wants a slot.
    Submit(Request<J>),
    /// A caller has gone whose job waits; a job that waits no longer is not touched.
    Cancel(Key),
    /// A route tells of itself and of its jobs.
    Update(Update<J>),
    /// The lives of the model's routes, in the order of the routes. A route in a new life begins without credit, and the
    /// jobs of its earlier one are ended.
    Wire(Vec<u32>),
    /// New settings; what was learned stays.
    Reconfigure(BrokerConfig),
    /// New limits of tenants, for jobs that wait already too.
    Limit(Vec<(Arc<str>, TenantLimits)>),
    /// The model is no longer offered: what waits is served, then the broker retires.
    Withdraw,
    /// Everything that waits is refused.
    Shed,
    /// Somebody wants to see the model as it is now: a snapshot is taken, unless the last is younger than 50 ms; then it
    /// follows when that time is over.
    Show,
    /// The time of [`poll_timeout`](super::Broker::poll_timeout) has come.
    Timeout,
}

/// A route's account of itself: its credits, its state, and what became of jobs that it was given.
///
/// Credits travel as a running total: the broker may have assigned `limit` jobs since this life of the route began. So a
/// window that shrinks simply lowers the limit, and a lost or repeated message does no harm.
#[derive(Debug)]
pub struct Update<J> {
    /// The route's position in [`Input::Wire`].
    pub route: usize,
    /// The route's life; an update of an earlier one is void.
    pub life: u32,
    /// Jobs that may be assigned in this life, in all.
    pub limit: u64,
    /// The route's state.
    pub view: RouteView,
    /// Ends of jobs.
    pub ended: Vec<Ended<J>>,
}

/// The fate of a job that a route was given.
#[derive(Debug)]
pub enum Ended<J> {
    /// The job left the scheduler.
    Done {
        /// The job.
        key: Key,
        /// How its last attempt ended.
        outcome: Outcome,
        /// Charge of its tenant until then.
        charged: Cost,
        /// Actual cost, where known.
        cost: Option<Cost>,
        /// Time from dispatch to its end.
        service: Duration,
    },
    /// The job wants another attempt.
    Retry {
        /// The job.
        key: Key,
        /// How the attempt ended.
        outcome: Outcome,
        /// When its backoff ends.
        not_before: Time,
        /// Time from dispatch to the end of the attempt.
        service: Duration,
        /// Payload of the job.
        job: J,
    },
    /// The job goes on, and costs more than it was charged for.
    Raised {
        /// The job.
        key: Key,
        /// By how much the cost exceeds the charge.
        more: Cost,
    },
    /// The job was never sent, and goes back to its place.
    Unsent {
        /// The job.
        key: Key,
        /// Payload of the job.
        job: J,
    },
}

/// An output of a broker.
#[derive(Debug)]
pub enum Output<J> {
    /// Jobs go to a route, in this order.
    Assign {
        /// The route's position in [`Input::Wire`].
        route: usize,
        /// At least one job.
        jobs: Vec<Assigned<J>>,
    },
    /// A job is refused, at admission or later.
    Refuse {
        /// Payload of the job.
        job: J,
        /// Why.
        refused: Refused,
    },
    /// A snapshot is due: what the broker shows has changed.
    Publish,
    /// Reservations are cut to what the windows hold, or are granted in full again.
    Reservations {
        /// Slots that are reserved, in all.
        asked: u32,
        /// Slots that are granted; `None` where all are.
        granted: Option<u32>,
        /// Slots that the windows hold, in all.
        slots: u32,
    },
    /// The model has nothing left to do, and no request came for long enough.
    Retire,
}

/// A job on its way to a route.
#[derive(Debug)]
pub struct Assigned<J> {
    /// Names the job until it has ended.
    pub key: Key,
    /// Charge of its tenant.
    pub cost: Cost,
    /// When it expires, should it not be sent.
    pub deadline: Time,
    /// Its tenant as a number that differs between tenants, up to 100,000 of them; those beyond share 0.
    pub payer: u32,
    /// Queue wait of this stay.
    pub waited: Duration,
    /// The forecast that it was admitted under, where there was one.
    pub promised: Option<Forecast>,
    /// Payload of the job.
    pub job: J,
}

/// A reason for which a job ends without a slot.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Refused {
    /// The queue did not admit it.
    Admission(Refusal),
    /// All routes are closed for longer than it may wait, or the queue was shed.
    NoCapacity {
        /// When the next route opens.
        retry_after: Duration,
    },
    /// The job waited as long as it may.
    Expired {
        /// When the queue will likely have moved.
        retry_after: Duration,
    },
    /// Its attempts are used up.
    Exhausted {
        /// Attempts made.
        attempts: u32,
        /// When another request makes sense.
        retry_after: Duration,
    },
    /// Its last failure is its answer: no other route is left for it, or it fails where others are served.
    Final,
    /// The broker does not know the job.
    Unknown,
}

/// A reason for which a broker wants to be called at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// A waiting job expires, or a retry's time has come.
    Waiting,
    /// A snapshot is due.
    Publish,
    /// The model has been idle for long enough to retire.
    Retire,
}
