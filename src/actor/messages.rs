//! Messages between the actors.

use std::sync::Arc;

use actix::Message;

use super::cell::Recipient;
use crate::config::ModelSettings;
use crate::core::account::{Input, Member};
use crate::core::broker::{self, Assigned};
use crate::core::time::Time;
use crate::engine::shared::messages::SupervisorMessage;
use crate::engine::shared::model::Model;
use crate::engine::ticket::lease::{Route, RouteMessage, Waiter};
use crate::engine::ticket::messages::QueueMessage;

/// Says what messages are answered with. Without actix's derive macros, which build a second `syn` for this.
macro_rules! answered_with {
    ($answer:ty: $($message:ident),+) => {
        $(impl Message for $message {
            type Result = $answer;
        })+
    };
}

answered_with!((): QueueMessage, RouteMessage, SupervisorMessage);
answered_with!((): Assign, Update, Inform, FromAccount, Lift, Recount, Join, Leave);
answered_with!((): Stop, Wire, Withdraw, NewQueue, Reconfigure, Retire, Suspended);
#[cfg(test)]
answered_with!((): Crash);

/// Queue → dispatcher: jobs for credits.
#[derive(Debug)]
pub(crate) struct Assign {
    pub(crate) queue: u32,
    pub(crate) jobs: Vec<Assigned<Waiter>>,
}

/// Dispatcher → queue: its credits and state, and what became of jobs it was given.
#[derive(Debug)]
pub(crate) struct Update(pub(crate) broker::Update<Waiter>);

/// Dispatcher → account: a claim, or what became of slots and attempts.
#[derive(Debug)]
pub(crate) struct Inform(pub(crate) Input);

/// Account → dispatcher: what the account allows its routes.
#[derive(Debug)]
pub(crate) enum FromAccount {
    /// So many of the claimed jobs may go; where these are fewer than were claimed, no others may until `Reopen`.
    Allowed { jobs: usize },
    /// The account may have room again.
    Reopen,
    /// Nothing may be sent before `until`; `suspension` is why the route is suspended, if this is more than a pause.
    Hold { until: Time, suspension: Option<&'static str> },
    /// An operator has lifted what held the account.
    Lift,
}

/// Supervisor → account or dispatcher: an operator lifts all holds.
#[derive(Debug)]
pub(crate) struct Lift;

/// Supervisor → dispatcher: an earlier one of its route is gone; slots that it seemed to hold are free.
#[derive(Debug)]
pub(crate) struct Recount;

/// Supervisor → account: a dispatcher that uses it, in its present life.
#[derive(Debug)]
pub(crate) struct Join {
    pub(crate) member: Member,
    pub(crate) dispatcher: Recipient<FromAccount>,
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

/// A dispatcher of a queue, in its present life.
#[derive(Debug)]
pub(crate) struct Wired {
    pub(crate) dispatcher: Recipient<Assign>,
    pub(crate) generation: u32,
    pub(crate) route: Arc<Route>,
}

/// Supervisor → queue: the model is no longer offered; serve what waits, then [`Retire`].
#[derive(Debug)]
pub(crate) struct Withdraw;

/// Supervisor → dispatcher: there is a new queue; begin counting anew. A dispatcher is started with one, too.
#[derive(Debug, Clone)]
pub(crate) struct NewQueue {
    pub(crate) queue: Recipient<Update>,
    pub(crate) life: u32,
}

/// Supervisor → queue or dispatcher: new settings; what was learned stays.
#[derive(Debug)]
pub(crate) struct Reconfigure(pub(crate) Arc<ModelSettings>);

/// Queue → supervisor: a model that was withdrawn has nothing left to do, or one that appeared on first use has been
/// idle for long.
#[derive(Debug)]
pub(crate) struct Retire(pub(crate) Arc<Model>);

/// Account → supervisor: it suspends its routes, for the first time in its life.
#[derive(Debug)]
pub(crate) struct Suspended(pub(crate) Arc<str>);

/// Test → any actor: panic while handling this.
#[cfg(test)]
#[derive(Debug)]
pub(crate) struct Crash;
