//! Messages say what a route is told and what it puts out.

use std::time::Duration;

use super::config::RouteConfig;
use crate::core::account::{Claim, Signal};
use crate::core::broker::{Assigned, Refused, Update};
use crate::core::cost::Cost;
use crate::core::key::Key;
use crate::core::outcome::Outcome;
use crate::core::past::Past;
use crate::core::report::Report;
use crate::core::time::Time;
use crate::core::verdict::Verdict;
use crate::core::window::Change;

/// The surroundings of a route, which its driver sees and the route does not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Whether a job waits at the broker that could go now.
    pub demand: bool,
    /// Leases that are out, over all lives of the route; 0 where it has only this one.
    pub slots: usize,
}

/// An input of a route.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "an input is handled at once, never kept")]
pub enum Input<J> {
    /// Jobs for credits.
    Assign {
        /// The broker's life.
        broker: u32,
        /// The jobs, in the order in which they go.
        jobs: Vec<Assigned<J>>,
    },
    /// The account's answer to a claim: so many of its jobs may go. When fewer, none more until [`Input::Reopen`].
    Allowed {
        /// How many may go, the first ones.
        jobs: usize,
    },
    /// The account may have room again.
    Reopen,
    /// An attempt ended.
    Settle(Settle<J>),
    /// An attempt goes on.
    Raise {
        /// The route's life that issued the lease.
        life: u32,
        /// The lease.
        lease: Key,
        /// The cost of the attempt so far, which may exceed its charge.
        charged: Cost,
    },
    /// The account lets nothing be sent before a time.
    Hold {
        /// The end of the hold.
        until: Time,
        /// Why the route is suspended, where it is more than a pause.
        suspension: Option<&'static str>,
    },
    /// An operator lifts what holds the route.
    Lift,
    /// An earlier life of the route is over: slots that it seemed to hold are free.
    Recount,
    /// The model has a new broker: counting begins anew.
    NewBroker {
        /// The broker's life.
        life: u32,
    },
    /// New settings; what was learned stays.
    Reconfigure(RouteConfig),
    /// The time of [`poll_timeout`](super::Route::poll_timeout) has come.
    Timeout,
}

/// The end of an attempt, as its caller tells it.
#[derive(Debug)]
pub struct Settle<J> {
    /// The route's life that issued the lease.
    pub life: u32,
    /// The lease.
    pub lease: Key,
    /// How the attempt ended.
    pub report: Report,
    /// The wish for another attempt: its [`Past`] says how many are made and how many the caller allows.
    pub retry: Option<J>,
}

/// An output of a route.
#[derive(Debug)]
pub enum Output<J> {
    /// A job may be sent: its caller gets the lease and makes the attempt.
    Grant(Grant<J>),
    /// A job ends without another attempt.
    Refuse {
        /// The payload that rides along with the job.
        job: J,
        /// Why.
        refused: Refused,
    },
    /// The broker is told of credits, of the route's state and of its jobs.
    Update(Update<J>),
    /// The account is asked its leave.
    Claim(Claim),
    /// The account is told how an attempt ended.
    Signal(Signal),
    /// Something happened that people want to see.
    Event(Event),
}

/// The right to one attempt.
#[derive(Debug)]
pub struct Grant<J> {
    /// The payload that rides along with the job.
    pub job: J,
    /// The lease, to be settled or raised in this life of the route.
    pub lease: Key,
    /// Which attempt of the request it is, from 1.
    pub attempt: u32,
    /// Whether no other attempt follows, whatever becomes of this one.
    pub last: bool,
    /// The attempts before this one, with this route among those tried.
    pub past: Past,
    /// Whether the attempt tests a route that was closed.
    pub probe: bool,
    /// The charge of the tenant.
    pub charged: Cost,
    /// Longest the attempt may take.
    pub timeout: Duration,
    /// When the attempt was dispatched.
    pub sent: Time,
}

/// Something that happened on a route.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Event {
    /// An attempt ended.
    Settled {
        /// Which attempt of its request, from 1.
        attempt: u32,
        /// The outcome, once it is known whose matter the answer is.
        outcome: Outcome,
        /// The verdict on the answer.
        verdict: Verdict,
        /// Dispatch to completion.
        service: Duration,
    },
    /// The request of the attempt that just ended is tried again.
    Retried {
        /// Which attempt failed, from 1.
        attempt: u32,
        /// The outcome that its caller reported.
        outcome: Outcome,
    },
    /// The window moved.
    Moved {
        /// The move.
        change: Change,
        /// Windows' worth of completions until it asks for more again, where it is held.
        probe_in: Option<u32>,
    },
    /// Nothing is sent for a while.
    Held {
        /// How long.
        wait: Duration,
    },
    /// An operator has lifted what held the route.
    Lifted,
    /// The route is suspended: it is to stay away for long.
    Suspended {
        /// How long.
        wait: Duration,
        /// Why.
        reason: &'static str,
    },
    /// The breaker closed the route.
    Closed,
    /// Requests take longer than the latency target although the window is at its minimum.
    MissesTarget {
        /// The window.
        window: u32,
    },
    /// A lease was neither settled nor dropped, and its slot is taken back.
    LeaseExpired,
}
