//! The actor of one route: it carries messages to the [`Route`] and back.

mod tell;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix::{Actor, ActorContext, Handler};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use super::cell::{Context, Recipient, Ring, letters};
#[cfg(test)]
use super::messages::Crash;
use super::messages::{Assign, FromAccount, Inform, Lift, NewQueue, Reconfigure, Recount, Stop, Update};
use crate::clock::{Clock, Mark};
use crate::config::ModelSettings;
use crate::core::account;
use crate::core::route::{self, Grant, Input, Memory, Output, Route, RouteConfig, Surroundings};
use crate::engine::ticket::gate::Gate;
use crate::engine::ticket::lease::{self, Lease, Raise, Retry, RouteMessage, Settle, Waiter};
use crate::engine::view::events::Tap;
use crate::engine::view::stats::Stats;

/// The dispatcher actor of one route.
pub(crate) struct Dispatcher {
    blueprint: Blueprint,
    generation: u32,
    route: Route<Waiter>,
    queue: Recipient<Update>,
    random: Xoshiro256PlusPlus,
}

/// Parts of a dispatcher, which the supervisor keeps for its next life.
#[derive(Debug, Clone)]
pub(crate) struct Blueprint {
    pub(crate) clock: Clock,
    pub(crate) model: Arc<str>,
    pub(crate) index: usize,
    pub(crate) route: Arc<lease::Route>,
    pub(crate) settings: Arc<ModelSettings>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) tap: Tap,
    /// Whether a job waits at the queue that could go now.
    pub(crate) backlog: Arc<AtomicBool>,
    /// Permits, one for each lease of any life of the dispatcher: a predecessor's calls still occupy the provider.
    pub(crate) slots: Arc<Gate>,
    pub(crate) account: Recipient<Inform>,
    pub(crate) account_limited: bool,
    /// When the account last succeeded at anything.
    pub(crate) account_success: Mark,
    pub(crate) seed: u64,
}

impl Blueprint {
    /// Returns the settings of the route that the model's settings make.
    fn config(&self, settings: &ModelSettings) -> RouteConfig {
        let ModelSettings { window, timeout, max_attempts, backoff, paused, .. } = *settings;
        let (index, routes, limited) = (self.index, settings.routes.len(), self.account_limited);
        RouteConfig { index, routes, window, timeout, max_attempts, backoff, paused, limited }
    }
}

impl Dispatcher {
    /// Builds the dispatcher's life `generation`, whose credits count from the queue's present life.
    pub(crate) fn new(
        blueprint: Blueprint,
        generation: u32,
        NewQueue { queue, life }: NewQueue,
        memory: Memory,
    ) -> Self {
        let config = blueprint.config(&blueprint.settings);
        Self {
            generation,
            route: Route::new(config, memory, generation, life, blueprint.clock.now()),
            queue,
            random: Xoshiro256PlusPlus::seed_from_u64(blueprint.seed ^ u64::from(generation)),
            blueprint,
        }
    }

    /// Hands an input to the route, passes on what it puts out, and sets the alarm. Every handler ends here.
    fn drive(&mut self, input: Input<Waiter>, ctx: &mut Context<Self>) {
        self.drive_for(None, input, ctx);
    }

    /// Does the same for an attempt of `tenant`.
    fn drive_for(&mut self, tenant: Option<&Arc<str>>, input: Input<Waiter>, ctx: &mut Context<Self>) {
        let now = self.blueprint.clock.now();
        let Blueprint { backlog, slots, .. } = &self.blueprint;
        self.route.observe(Surroundings { demand: backlog.load(Ordering::Relaxed), slots: slots.count() });
        let random = &mut self.random;
        self.route.handle(input, now, &mut || random.random());
        while let Some(output) = self.route.poll_output() {
            match output {
                Output::Grant(grant) => self.grant(grant),
                Output::Refuse { job, refused } => job.refuse(refused),
                Output::Update(update) => self.queue.do_send(Update(update)),
                Output::Claim(claim) => self.blueprint.account.do_send(Inform(account::Input::Claim(claim))),
                Output::Signal(signal) => self.blueprint.account.do_send(Inform(account::Input::Signal(signal))),
                Output::Event(event) => self.tell(now, event, tenant),
            }
        }
        ctx.wake(now, self.route.poll_timeout().map(|(at, _)| at));
    }

    /// Gives a caller its lease. A caller that left in this instant drops it, and so it settles as cancelled.
    fn grant(&self, grant: Grant<Waiter>) {
        let Grant { job, lease, attempt, last, past, probe, charged, timeout, sent } = grant;
        let lease = Lease {
            route: self.blueprint.route.clone(),
            key: lease,
            generation: self.generation,
            slot: Some(self.blueprint.slots.pass()),
        };
        drop(job.reply.send(Ok(lease::Grant { lease, attempt, last, past, probe, charged, timeout, sent })));
    }
}

letters! {
    pub(crate) Dispatcher: DispatcherLetter {
        RouteMessage, Assign, FromAccount, Ring, NewQueue, Reconfigure, Recount, Lift, Stop, #[cfg(test)] Crash,
    }
}

impl Actor for Dispatcher {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if let Some(address) = ctx.address() {
            self.blueprint.route.dispatcher.open(move |message| address.do_send(message));
        }
        // The first credits; the queue has been told of this dispatcher already.
        self.drive(Input::Timeout, ctx);
    }
}

/// Says which input of the route a message is.
macro_rules! inputs {
    ($($message:ident $of:tt => $input:expr;)+) => {
        $(impl Handler<$message> for Dispatcher {
            type Result = ();

            fn handle(&mut self, $message $of: $message, ctx: &mut Self::Context) {
                self.drive($input, ctx);
            }
        })+
    };
}

inputs! {
    Assign { queue, jobs } => Input::Assign { broker: queue, jobs };
    Lift {} => Input::Lift;
    Recount {} => Input::Recount;
    Ring {} => Input::Timeout;
}

impl Handler<FromAccount> for Dispatcher {
    type Result = ();

    fn handle(&mut self, message: FromAccount, ctx: &mut Self::Context) {
        let input = match message {
            FromAccount::Allowed { jobs } => Input::Allowed { jobs },
            FromAccount::Reopen => Input::Reopen,
            FromAccount::Hold { until, suspension } => Input::Hold { until, suspension },
            FromAccount::Lift => Input::Lift,
        };
        self.drive(input, ctx);
    }
}

impl Handler<RouteMessage> for Dispatcher {
    type Result = ();

    fn handle(&mut self, message: RouteMessage, ctx: &mut Self::Context) {
        match message {
            RouteMessage::Raise(Raise { key: lease, generation: life, charged }) => {
                self.drive(Input::Raise { life, lease, charged }, ctx);
            }
            RouteMessage::Settle(Settle { key: lease, generation: life, report, retry }) => {
                let (tenant, retry) = retry.map(|Retry { tenant, waiter }| (tenant, waiter)).unzip();
                let settle = route::Settle { life, lease, report, retry };
                self.drive_for(tenant.as_ref(), Input::Settle(settle), ctx);
            }
        }
    }
}

impl Handler<NewQueue> for Dispatcher {
    type Result = ();

    fn handle(&mut self, NewQueue { queue, life }: NewQueue, ctx: &mut Self::Context) {
        self.queue = queue;
        self.drive(Input::NewBroker { life }, ctx);
    }
}

impl Handler<Reconfigure> for Dispatcher {
    type Result = ();

    fn handle(&mut self, Reconfigure(settings): Reconfigure, ctx: &mut Self::Context) {
        let config = self.blueprint.config(&settings);
        self.blueprint.settings = settings;
        self.drive(Input::Reconfigure(config), ctx);
    }
}

impl Handler<Stop> for Dispatcher {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

#[cfg(test)]
impl Handler<Crash> for Dispatcher {
    type Result = ();

    fn handle(&mut self, _: Crash, _: &mut Self::Context) {
        panic!("a test asked for it");
    }
}
