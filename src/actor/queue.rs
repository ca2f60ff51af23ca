//! One model's queue: carries messages to its broker, and the broker's answers to dispatchers and callers.

mod snapshot;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix::{Actor, ActorContext, Addr, Context, Handler, MessageResult, Recipient};

use super::capacity::TenantView;
use super::clock::Clock;
use super::lease::Waiter;
use super::messages::{
    Assign, Cancel, Inspect, Reconfigure, Relimit, Retire, Shed, Stop, Submit, Tenants, TopTenants, Update, Who, Wire,
    Wired, Withdraw,
};
use super::registry::Model;
use super::supervisor::{Obituary, Supervisor};
use super::timer::Timer;
use crate::config::ModelSettings;
use crate::core::broker::{Assigned, Broker, BrokerConfig, Input, Output};
#[cfg(feature = "gateway")]
use crate::core::fair_queue::Claims;
use crate::core::time::Time;

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
    timer: Timer,
    supervisor: Recipient<Retire>,
    generation: u32,
    _obituary: Obituary,
}

impl QueueActor {
    pub(crate) fn new(
        clock: Clock,
        model: Arc<Model>,
        generation: u32,
        on_demand: bool,
        supervisor: &Addr<Supervisor>,
    ) -> Self {
        let settings = model.settings();
        let broker = Broker::new(broker_config(&settings), clock.now()).publishing();
        let who = Who::Queue { model: model.name.clone(), generation };
        Self {
            clock,
            broker: broker.retiring_after(on_demand.then_some(RETIRE_AFTER)),
            dispatchers: Vec::new(),
            timer: Timer::default(),
            supervisor: supervisor.clone().recipient(),
            generation,
            settings,
            model,
            _obituary: Obituary::new(supervisor.clone().recipient(), who),
        }
    }

    /// Hands the broker an input, delivers what it puts out, and sets the one timer. Every handler ends here.
    fn tell(&mut self, input: Input<Waiter>, ctx: &mut Context<Self>) {
        let now = self.clock.now();
        self.broker.handle(input, now);
        while let Some(output) = self.broker.poll_output() {
            self.deliver(now, output);
        }
        self.model.backlog.store(self.broker.queue().has_ready(), Ordering::Relaxed);
        let next = self.broker.poll_timeout().map(|(at, _)| at);
        self.timer.set(ctx, now, next, |actor, ctx| actor.tell(Input::Timeout, ctx));
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
                model = %self.model.name, asked, granted, slots,
                "reservations exceed 0.8 of the slots there are: cut by weight"
            ),
            Output::Reservations { asked, granted: None, slots } => {
                tracing::info!(model = %self.model.name, asked, slots, "reservations are granted in full");
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

    /// Copies out who has and asks for what.
    #[cfg(feature = "gateway")]
    pub(super) fn claims(&self) -> Claims {
        self.broker.queue().claims()
    }
}

/// Returns what a broker needs of a model's settings.
fn broker_config(settings: &ModelSettings) -> BrokerConfig {
    BrokerConfig {
        queue: settings.queue,
        reserve: settings.reserve.clone(),
        retry_budget: settings.retry_budget,
        max_wait: settings.max_wait,
        healthy_latency: settings.healthy_latency,
    }
}

impl Actor for QueueActor {
    type Context = Context<Self>;
}

impl Handler<Submit> for QueueActor {
    type Result = ();

    fn handle(&mut self, Submit(request): Submit, ctx: &mut Self::Context) {
        self.tell(Input::Submit(request), ctx);
    }
}

impl Handler<Cancel> for QueueActor {
    type Result = ();

    fn handle(&mut self, cancel: Cancel, ctx: &mut Self::Context) {
        if let Some(key) = cancel.seat.key() {
            self.tell(Input::Cancel(key), ctx);
        }
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
        let config = broker_config(&settings);
        self.settings = settings;
        self.tell(Input::Reconfigure(config), ctx);
    }
}

impl Handler<Relimit> for QueueActor {
    type Result = ();

    fn handle(&mut self, Relimit { settings, only }: Relimit, ctx: &mut Self::Context) {
        let all = || self.broker.queue().tenants().map(|(name, ..)| name.clone()).collect();
        let tenants: Vec<_> = only.map_or_else(all, |tenant| vec![tenant]);
        let limits = |tenant: Arc<str>| {
            let limits = self.settings.limits(&tenant, &self.model.ledger.policy(&settings, &tenant));
            (tenant, limits)
        };
        let limits = tenants.into_iter().map(limits).collect();
        self.tell(Input::Limit(limits), ctx);
    }
}

impl Handler<Shed> for QueueActor {
    type Result = ();

    fn handle(&mut self, _: Shed, ctx: &mut Self::Context) {
        self.tell(Input::Shed, ctx);
    }
}

impl Handler<Inspect> for QueueActor {
    type Result = MessageResult<Inspect>;

    fn handle(&mut self, inspect: Inspect, _: &mut Self::Context) -> Self::Result {
        let queue = self.broker.queue();
        let (queued, in_flight) = queue.tenant(&inspect.tenant);
        let wait = queue.wait(self.clock.now(), &inspect.tenant, &inspect.limits, inspect.class).unwrap_or_default();
        let reserved = queue.reservation(&inspect.tenant);
        MessageResult(TenantView { queued, in_flight, wait, reserved })
    }
}

impl Handler<TopTenants> for QueueActor {
    type Result = MessageResult<TopTenants>;

    fn handle(&mut self, top: TopTenants, _: &mut Self::Context) -> Self::Result {
        let mut tenants: Vec<_> = self.broker.queue().tenants().collect();
        let largest = |a: &(&Arc<str>, u32, u32), b: &(&Arc<str>, u32, u32)| (b.2, b.1, a.0).cmp(&(a.2, a.1, b.0));
        if tenants.len() > top.most {
            // Only those that are told of are put in order and copied.
            tenants.select_nth_unstable_by(top.most, largest);
            tenants.truncate(top.most);
        }
        tenants.sort_unstable_by(largest);
        let tenants = tenants.into_iter().map(|(name, queued, flying)| (name.clone(), queued, flying)).collect();
        MessageResult(Tenants(tenants))
    }
}

impl Handler<Stop> for QueueActor {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

#[cfg(test)]
impl Handler<super::messages::Crash> for QueueActor {
    type Result = ();

    fn handle(&mut self, _: super::messages::Crash, _: &mut Self::Context) {
        panic!("a test asked for it");
    }
}
