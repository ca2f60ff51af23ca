//! What the actors say to each other.

use std::sync::Arc;

use actix::{Addr, Message};

use super::capacity::TenantView;
use super::dispatcher::Dispatcher;
use super::lease::{Route, Seat, Waiter};
use super::registry::Model;
use crate::config::{ModelSettings, Settings};
use crate::core::account::{Claim, Member, Signal};
use crate::core::broker::{self, Assigned};
use crate::core::cost::Cost;
use crate::core::fair_queue::{Class, Request, TenantLimits};
use crate::core::key::Key;
use crate::core::report::Report;
use crate::core::time::Time;

/// Says what messages are answered with. Without actix's derive macros, which build a second `syn` for this.
macro_rules! answered_with {
    ($answer:ty: $($message:ident),+) => {
        $(impl Message for $message {
            type Result = $answer;
        })+
    };
}

answered_with!((): Submit, Cancel, Assign, Raise, Settle, Update, Claim, Allowed, Reopen, Signal, Hold, Lift, Recount, Join, Leave);
answered_with!((): Stop, Wire, Withdraw, NewQueue, Reconfigure, Relimit, Shed, Died, Ensure, Forget, Retire);
answered_with!(TenantView: Inspect);
answered_with!(Tenants: TopTenants);
#[cfg(test)]
answered_with!((): Crash);

/// Caller → queue: a request wants a slot.
#[derive(Debug)]
pub(crate) struct Submit(pub(crate) Request<Waiter>);

/// Caller → queue: whoever waited there has gone.
#[derive(Debug)]
pub(crate) struct Cancel {
    pub(crate) seat: Arc<Seat>,
}

/// Queue → dispatcher: jobs for credits.
#[derive(Debug)]
pub(crate) struct Assign {
    pub(crate) queue: u32,
    pub(crate) jobs: Vec<Job>,
}

/// One job on its way.
pub(crate) type Job = Assigned<Waiter>;

/// Caller → dispatcher: an attempt goes on, and has cost this much, which may be more than it was charged for.
#[derive(Debug)]
pub(crate) struct Raise {
    pub(crate) key: Key,
    pub(crate) generation: u32,
    pub(crate) charged: Cost,
}

/// Caller → dispatcher: an attempt ended.
#[derive(Debug)]
pub(crate) struct Settle {
    pub(crate) key: Key,
    pub(crate) generation: u32,
    pub(crate) report: Report,
    pub(crate) retry: Option<Waiter>,
}

/// Dispatcher → queue: its credits and state, and what became of jobs it was given.
#[derive(Debug)]
pub(crate) struct Update(pub(crate) broker::Update<Waiter>);

/// What became of a job that a dispatcher was given.
pub(crate) type Ended = broker::Ended<Waiter>;

/// Account → dispatcher: how many of the claimed jobs may go; when fewer, none more until [`Reopen`].
#[derive(Debug)]
pub(crate) struct Allowed {
    pub(crate) jobs: usize,
}

/// Account → dispatcher: the account may have room again.
#[derive(Debug)]
pub(crate) struct Reopen;

/// Account → dispatcher: nothing may be sent before then.
#[derive(Debug)]
pub(crate) struct Hold {
    pub(crate) until: Time,
    /// Why the route is suspended, if it is more than a pause.
    pub(crate) suspension: Option<&'static str>,
}

/// Supervisor → account or dispatcher: an operator knows better; what holds it is lifted.
#[derive(Debug)]
pub(crate) struct Lift;

/// Supervisor → dispatcher: an earlier one of its route is gone; slots that it seemed to hold are free.
#[derive(Debug)]
pub(crate) struct Recount;

/// Supervisor → account: a dispatcher that uses it, in its present life.
#[derive(Debug)]
pub(crate) struct Join {
    pub(crate) member: Member,
    pub(crate) dispatcher: Addr<Dispatcher>,
}

/// Supervisor → account: that dispatcher is no more.
#[derive(Debug)]
pub(crate) struct Leave {
    pub(crate) member: Member,
}

/// Supervisor → any actor: end.
#[derive(Debug)]
pub(crate) struct Stop;

/// Supervisor → queue: its dispatchers, in the order of their routes.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) routes: Vec<Wired>,
}

/// One dispatcher of a queue, in its present life.
#[derive(Debug)]
pub(crate) struct Wired {
    pub(crate) dispatcher: Addr<Dispatcher>,
    pub(crate) generation: u32,
    pub(crate) route: Arc<Route>,
}

/// Supervisor → queue: the model is no longer offered; serve what waits, then [`Retire`].
#[derive(Debug)]
pub(crate) struct Withdraw;

/// Supervisor → dispatcher: there is a new queue; begin counting anew.
#[derive(Debug)]
pub(crate) struct NewQueue {
    pub(crate) queue: Addr<super::queue::QueueActor>,
    pub(crate) life: u32,
}

/// Supervisor → queue or dispatcher: new settings; what was learned stays.
#[derive(Debug)]
pub(crate) struct Reconfigure(pub(crate) Arc<ModelSettings>);

/// Supervisor → queue: tenants may have other limits now, those whose jobs wait already included.
#[derive(Debug)]
pub(crate) struct Relimit {
    pub(crate) settings: Arc<Settings>,
    /// The one it is about; `None` for all.
    pub(crate) only: Option<Arc<str>>,
}

/// Handle → queue: answer everything that waits with `no_capacity`; the drain's time is up.
#[derive(Debug)]
pub(crate) struct Shed;

/// Gateway → queue: what a tenant has and would wait.
#[derive(Debug)]
pub(crate) struct Inspect {
    pub(crate) tenant: Arc<str>,
    pub(crate) limits: TenantLimits,
    pub(crate) class: Class,
}

/// Gateway → queue: tenants by what they have in flight, the largest first.
#[derive(Debug)]
pub(crate) struct TopTenants {
    pub(crate) most: usize,
}

/// Answer to [`TopTenants`]: name, waiting, in flight.
#[derive(Debug)]
pub(crate) struct Tenants(pub(crate) Vec<(Arc<str>, u32, u32)>);

/// Any actor, on its way out → supervisor.
#[derive(Debug)]
pub(crate) struct Died(pub(crate) Who);

/// Which actor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Who {
    /// A model's queue, in that life.
    Queue { model: Arc<str>, generation: u32 },
    /// A route's dispatcher, in that life.
    Dispatcher { model: Arc<str>, route: usize, generation: u32 },
    /// A provider's account, in that life.
    Account { provider: Arc<str>, generation: u32 },
}

/// Handle → supervisor: a model that is not configured is wanted by a tenant; answers once it is registered.
#[derive(Debug)]
pub(crate) struct Ensure {
    pub(crate) name: Arc<str>,
    pub(crate) tenant: Arc<str>,
}

/// Handle → supervisor: the provider refuses what a model was asked for that is not configured and has never served.
#[derive(Debug)]
pub(crate) struct Forget(pub(crate) Arc<Model>);

/// Queue → supervisor: a model that was withdrawn has nothing left to do, or one that appeared on first use has been
/// idle for long.
#[derive(Debug)]
pub(crate) struct Retire(pub(crate) Arc<Model>);

/// Test → any actor: panic while handling this.
#[cfg(test)]
#[derive(Debug)]
pub(crate) struct Crash;
