//! The queue of a model: carries messages to its broker, and the broker's answers to dispatchers and callers.

mod ask;
mod snapshot;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix::{Actor, ActorContext, Handler, Recipient};

use super::cell::{Context, Ring, letters};
#[cfg(test)]
use super::messages::Crash;
use super::messages::{Assign, Reconfigure, Retire, Stop, Update, Wire, Wired, Withdraw};
use crate::clock::Clock;
use crate::config::ModelSettings;
use crate::core::broker::{Assigned, Broker, Input, Output};
use crate::core::time::Time;
use crate::engine::shared::model::Model;
use crate::engine::ticket::lease::Waiter;
use crate::engine::ticket::messages::QueueMessage;

/// A model that appeared on first use goes after this long without a request.
const RETIRE_AFTER: Duration = Duration::from_secs(600);

/// The queue actor of one model.
pub(crate) struct QueueActor {
    clock: Clock,
    model: Arc<Model>,
    settings: Arc<ModelSettings>,
    broker: Broker<Waiter>,
    /// In the order of the broker's routes.
    dispatchers: Vec<Wired>,
    supervisor: Recipient<Retire>,
    generation: u32,
}

impl QueueActor {
    pub(crate) fn new(
        clock: Clock,
        model: Arc<Model>,
        generation: u32,
        on_demand: bool,
        supervisor: Recipient<Retire>,
    ) -> Self {
        let settings = model.settings();
        let broker = Broker::new(settings.broker(), clock.now()).publishing();
        Self {
            clock,
            broker: broker.retiring_after(on_demand.then_some(RETIRE_AFTER)),
            dispatchers: Vec::new(),
            supervisor,
            generation,
            settings,
            model,
        }
    }

    /// Hands the broker an input, delivers what it puts out, and sets the alarm. Every handler ends here.
    fn tell(&mut self, input: Input<Waiter>, ctx: &mut Context<Self>) {
        let now = self.clock.now();
        self.broker.follow(self.model.capacity.receiver_count() > 0);
        self.broker.handle(input, now);
        while let Some(output) = self.broker.poll_output() {
            self.deliver(now, output);
        }
        self.model.backlog.store(self.broker.queue().has_ready(), Ordering::Relaxed);
        ctx.wake(now, self.broker.poll_timeout().map(|(at, _)| at));
    }

    fn deliver(&mut self, now: Time, output: Output<Waiter>) {
        match output {
            Output::Assign { route, jobs } => {
                for job in &jobs {
                    self.count_wait(job);
                }
                if let Some(wired) = self.dispatchers.get(route) {
                    wired.dispatcher.do_send(Assign { queue: self.generation, jobs });
                }
            }
            Output::Refuse { job, refused } => job.refuse(refused),
            Output::Publish => self.publish(now),
            Output::Reservations { asked, granted: Some(granted), slots } => tracing::warn!(
                parent: None, model = %self.model.name, asked, granted, slots,
                "reservations exceed 0.8 of the slots there are: cut by weight"
            ),
            Output::Reservations { asked, granted: None, slots } => {
                tracing::info!(parent: None, model = %self.model.name, asked, slots, "reservations are granted in full");
            }
            Output::Retire => self.supervisor.do_send(Retire(self.model.clone())),
        }
    }

    /// Counts the wait of a job that is dispatched, and of a first attempt how it compares with the forecast.
    fn count_wait(&self, job: &Assigned<Waiter>) {
        self.model.stats.queue_wait.record(job.waited);
        if job.job.past.attempts == 0 {
            self.model.stats.forecast(job.promised, job.waited);
        }
    }
}

letters! { pub(crate) QueueActor: QueueLetter { QueueMessage, Update, Ring, Wire, Withdraw, Reconfigure, Stop, #[cfg(test)] Crash } }

impl Actor for QueueActor {
    type Context = Context<Self>;
}

impl Handler<QueueMessage> for QueueActor {
    type Result = ();

    fn handle(&mut self, message: QueueMessage, ctx: &mut Self::Context) {
        match message {
            QueueMessage::Submit(request) => self.tell(Input::Submit(request), ctx),
            QueueMessage::Cancel(seat) => {
                if let Some(key) = seat.key() {
                    self.tell(Input::Cancel(key), ctx);
                }
            }
            QueueMessage::Relimit(relimit) => {
                let limits = self.limits(relimit);
                self.tell(Input::Limit(limits), ctx);
            }
            QueueMessage::Shed => self.tell(Input::Shed, ctx),
            QueueMessage::Show => self.tell(Input::Show, ctx),
            QueueMessage::Ask(question) => self.answer(question),
        }
    }
}

impl Handler<Ring> for QueueActor {
    type Result = ();

    fn handle(&mut self, _: Ring, ctx: &mut Self::Context) {
        self.tell(Input::Timeout, ctx);
    }
}

impl Handler<Update> for QueueActor {
    type Result = ();

    fn handle(&mut self, Update(update): Update, ctx: &mut Self::Context) {
        self.tell(Input::Update(update), ctx);
    }
}

impl Handler<Wire> for QueueActor {
    type Result = ();

    fn handle(&mut self, wire: Wire, ctx: &mut Self::Context) {
        self.dispatchers = wire.routes;
        let lives = self.dispatchers.iter().map(|wired| wired.generation).collect();
        self.tell(Input::Wire(lives), ctx);
    }
}

impl Handler<Withdraw> for QueueActor {
    type Result = ();

    fn handle(&mut self, _: Withdraw, ctx: &mut Self::Context) {
        self.tell(Input::Withdraw, ctx);
    }
}

impl Handler<Reconfigure> for QueueActor {
    type Result = ();

    fn handle(&mut self, Reconfigure(settings): Reconfigure, ctx: &mut Self::Context) {
        let config = settings.broker();
        self.settings = settings;
        self.tell(Input::Reconfigure(config), ctx);
    }
}

impl Handler<Stop> for QueueActor {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

#[cfg(test)]
impl Handler<Crash> for QueueActor {
    type Result = ();

    fn handle(&mut self, _: Crash, _: &mut Self::Context) {
        panic!("a test asked for it");
    }
}
