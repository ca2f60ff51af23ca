//! Where a caller finds a model: a concurrent map from name to queue, shared by every handle.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use actix::dev::ToEnvelope;
use actix::{Addr, Handler, Message};
use dashmap::DashMap;
use tokio::sync::{Notify, watch};

use super::capacity::ModelCapacity;
use super::clock::Clock;
use super::error::Error;
use super::events::{Hub, Tap};
use super::lease::Gate;
use super::ledger::Ledger;
use super::operator::Override;
use super::queue::QueueActor;
use super::stats::Stats;
use crate::config::{LONGEST_NAME, ModelSettings, Settings, TenantPolicy, nearest};
use crate::core::cost::Cost;
use crate::core::ledger::Money;
use crate::core::tariff::Tariff;

/// One model, as its callers and its actors share it. It outlives restarts of its actors.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) name: Arc<str>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) capacity: watch::Sender<ModelCapacity>,
    pub(crate) tap: Tap,
    pub(crate) ledger: Arc<Ledger>,
    tariff: Mutex<Tariff>,
    /// Whether a job waits that could go now: written by the queue, read by dispatchers when an attempt ends.
    pub(crate) backlog: Arc<AtomicBool>,
    settings: RwLock<Arc<ModelSettings>>,
    operator: RwLock<Override>,
    queue: RwLock<Option<Addr<QueueActor>>>,
}

impl Model {
    pub(crate) fn new(settings: Arc<ModelSettings>, shared: &Shared) -> Self {
        let tap = Tap { hub: shared.hub.clone(), clock: shared.clock, model: settings.name.clone() };
        let capacity = ModelCapacity::new(settings.name.clone(), settings.queue.capacity);
        Self {
            name: settings.name.clone(),
            gate: Arc::default(),
            stats: Arc::default(),
            capacity: watch::Sender::new(capacity),
            tap,
            ledger: shared.ledger.clone(),
            tariff: Mutex::new(shared.ledger.tariff(&settings.name)),
            backlog: Arc::default(),
            settings: RwLock::new(settings),
            operator: RwLock::default(),
            queue: RwLock::new(None),
        }
    }

    /// Returns what answers cost, as far as that was learned.
    pub(crate) fn tariff(&self) -> Tariff {
        *self.tariff.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Learns what a request did cost.
    pub(crate) fn learn_tariff(&self, priced: Option<f64>, units: Cost, paid: Money) {
        self.tariff.lock().unwrap_or_else(PoisonError::into_inner).learn(priced, units, paid);
    }

    pub(crate) fn settings(&self) -> Arc<ModelSettings> {
        self.settings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_settings(&self, settings: Arc<ModelSettings>) {
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = settings;
    }

    /// Returns what an operator has set.
    pub(crate) fn operator(&self) -> Override {
        *self.operator.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_operator(&self, standing: Override) {
        *self.operator.write().unwrap_or_else(PoisonError::into_inner) = standing;
    }

    pub(crate) fn queue(&self) -> Option<Addr<QueueActor>> {
        self.queue.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_queue(&self, queue: Addr<QueueActor>) {
        *self.queue.write().unwrap_or_else(PoisonError::into_inner) = Some(queue);
    }

    /// Sends to the queue; a message to an actor that has just died is dropped, and with it whatever it carries.
    pub(crate) fn send<M>(&self, message: M)
    where
        M: Message + Send + 'static,
        M::Result: Send,
        QueueActor: Handler<M>,
        <QueueActor as actix::Actor>::Context: ToEnvelope<QueueActor, M>,
    {
        let queue = self.queue.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = &*queue {
            queue.do_send(message);
        }
    }
}

/// What all handles and actors of one engine share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) hub: Arc<Hub>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) models: DashMap<Arc<str>, Arc<Model>>,
    settings: RwLock<Arc<Settings>>,
    pub(crate) draining: AtomicBool,
    live: AtomicUsize,
    leases: AtomicU64,
    idle: Notify,
}

impl Shared {
    pub(crate) fn new(settings: Arc<Settings>) -> Self {
        Self {
            clock: Clock::start(),
            hub: Arc::default(),
            ledger: Arc::default(),
            models: DashMap::new(),
            settings: RwLock::new(settings),
            draining: AtomicBool::new(false),
            live: AtomicUsize::new(0),
            leases: AtomicU64::new(0),
            idle: Notify::new(),
        }
    }

    pub(crate) fn settings(&self) -> Arc<Settings> {
        self.settings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_settings(&self, settings: Arc<Settings>) {
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = settings;
    }

    pub(crate) fn model(&self, name: &str) -> Option<Arc<Model>> {
        self.models.get(name).map(|entry| entry.value().clone())
    }

    /// Follows a model's snapshots.
    pub(crate) fn subscribe(&self, model: &str) -> Result<watch::Receiver<ModelCapacity>, Error> {
        let found = self.model(model).map(|model| model.capacity.subscribe());
        found.ok_or_else(|| self.unknown(model))
    }

    /// Returns the policy that a tenant has by now.
    pub(crate) fn policy(&self, tenant: &str) -> Arc<TenantPolicy> {
        self.ledger.policy(&self.settings(), tenant)
    }

    /// Refuses a model that a tenant may not use; one that nobody can use is unknown instead.
    pub(crate) fn permit(&self, model: &str, policy: &TenantPolicy) -> Result<(), Error> {
        if policy.allows(model) {
            return Ok(());
        }
        if self.models.contains_key(model) || self.settings().unknown_models.is_some() {
            return Err(Error::ModelForbidden { model: model.chars().take(LONGEST_NAME).collect() });
        }
        Err(self.unknown_to(model, |near| policy.allows(near)))
    }

    /// Says that no such model runs, and which is the nearest that does.
    pub(crate) fn unknown(&self, name: &str) -> Error {
        self.unknown_to(name, |_| true)
    }

    /// Finds a model that a tenant may use.
    pub(crate) fn model_for(&self, name: &str, policy: &TenantPolicy) -> Result<Arc<Model>, Error> {
        self.permit(name, policy)?;
        self.model(name).ok_or_else(|| self.unknown_to(name, |near| policy.allows(near)))
    }

    /// As [`unknown`](Self::unknown), for who is told of some models only.
    fn unknown_to(&self, name: &str, told: impl Fn(&str) -> bool) -> Error {
        let settings = self.settings();
        let near =
            nearest(name, settings.models.keys().map(|name| &**name).filter(|name| told(name))).map(str::to_owned);
        Error::UnknownModel { model: name.chars().take(LONGEST_NAME).collect(), near }
    }

    /// Returns every model, by name.
    pub(crate) fn all_models(&self) -> Vec<Arc<Model>> {
        let mut models: Vec<_> = self.models.iter().map(|entry| entry.value().clone()).collect();
        models.sort_by(|a, b| a.name.cmp(&b.name));
        models
    }

    /// Numbers the leases that callers are granted, from 1.
    pub(crate) fn next_lease(&self) -> u64 {
        self.leases.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Counts a request in until the guard is dropped.
    pub(crate) fn enter(self: &Arc<Self>) -> Live {
        self.live.fetch_add(1, Ordering::SeqCst);
        Live(self.clone())
    }

    /// Waits until no request is live.
    pub(crate) async fn idle(&self) {
        loop {
            let notified = self.idle.notified();
            tokio::pin!(notified);
            // Registered before the count is read, so that the last guard's notice cannot fall between.
            notified.as_mut().enable();
            if self.live.load(Ordering::SeqCst) == 0 {
                return;
            }
            notified.await;
        }
    }
}

/// A request that a drain waits for.
#[derive(Debug)]
pub(crate) struct Live(Arc<Shared>);

impl Live {
    /// Returns what all handles and actors of the engine share.
    pub(crate) fn shared(&self) -> &Shared {
        &self.0
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if self.0.live.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.idle.notify_waiters();
        }
    }
}
