//! Where a caller finds a model: a concurrent map from name to model, shared by every handle.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use dashmap::DashMap;
use tokio::sync::{Notify, watch};

use crate::clock::Clock;
use crate::config::{LONGEST_NAME, ModelSettings, Settings, TenantPolicy};
use crate::engine::shared::ledger::Ledger;
use crate::engine::shared::messages::{Ensure, Forget, SupervisorMessage};
use crate::engine::shared::model::Model;
use crate::engine::shared::touched::Touched;
use crate::engine::ticket::door::Door;
use crate::engine::ticket::messages::{QueueMessage, Relimit};
use crate::engine::view::capacity::ModelCapacity;
use crate::engine::view::error::Error;
use crate::engine::view::events::Hub;
use crate::engine::view::restarts::Restarts;
use crate::wire::Malformed;
use crate::wording::nearest;

/// State that all handles and actors of an engine share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) hub: Arc<Hub>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) models: DashMap<Arc<str>, Arc<Model>>,
    pub(crate) supervisor: Door<SupervisorMessage>,
    settings: RwLock<Arc<Settings>>,
    pub(crate) restarts: Restarts,
    pub(crate) touched: Arc<Touched>,
    draining: AtomicBool,
    stopped: AtomicBool,
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
            supervisor: Door::default(),
            settings: RwLock::new(settings),
            restarts: Restarts::default(),
            touched: Arc::default(),
            draining: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
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

    /// Admits nothing more from here on.
    pub(crate) fn begin_drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// Marks the engine as stopped, which is for good.
    pub(crate) fn set_stopped(&self) {
        self.stopped.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    /// Makes a model on these settings; it runs once it is among [`models`](Self::models).
    pub(crate) fn new_model(&self, settings: Arc<ModelSettings>) -> Model {
        Model::new(settings, self.clock, self.hub.clone(), self.ledger.clone(), self.touched.clone())
    }

    pub(crate) fn model(&self, name: &str) -> Option<Arc<Model>> {
        self.models.get(name).map(|entry| entry.value().clone())
    }

    /// Follows a model's snapshots.
    pub(crate) fn subscribe(&self, model: &str) -> Result<watch::Receiver<ModelCapacity>, Error> {
        let found = self.model(model).map(|model| model.follow());
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

    /// Finds a model that a tenant may use; a model that is not configured appears on first use where the settings allow
    /// it.
    pub(crate) async fn find_model(
        &self,
        name: &str,
        tenant: &str,
        policy: &TenantPolicy,
    ) -> Result<Arc<Model>, Error> {
        let found = self.model_for(name, policy);
        if !matches!(found, Err(Error::UnknownModel { .. })) {
            return found;
        }
        if name.contains(char::is_control) {
            // It would show in headers, logs and metrics.
            let found = name.chars().take(40).collect::<String>();
            return Err(Malformed::new("model", format!("must not have control characters: {found:?}")).into());
        }
        if self.settings().unknown_models.is_some() && !name.is_empty() && name.len() <= LONGEST_NAME {
            let wanted = Ensure { name: name.into(), tenant: tenant.into() };
            let asked = self.supervisor.ask(|done| SupervisorMessage::Ensure(wanted, done)).await;
            asked.ok_or(Error::Stopped)?;
            if let Some(model) = self.model(name) {
                return Ok(model);
            }
        }
        found
    }

    /// Gives up the place of a model that appeared on first use and has never served, where its provider refuses it:
    /// names come from outside, and most that are refused name no model.
    pub(crate) fn refused(&self, model: &Arc<Model>, error: &Error) {
        let answer = error.failure().and_then(|failure| failure.upstream.as_ref());
        let is_refused = answer.is_some_and(|answer| (400..500).contains(&answer.status));
        if is_refused && model.stats.served() == 0 && !self.settings().models.contains_key(&model.name) {
            self.supervisor.send(SupervisorMessage::Forget(Forget(model.clone())));
        }
    }

    /// Has every queue look up the limits of a tenant anew: it has reached a higher tier.
    pub(crate) fn relimit(&self, tenant: &Arc<str>) {
        let settings = self.settings();
        for model in self.all_models() {
            let relimit = Relimit { settings: settings.clone(), only: Some(tenant.clone()) };
            model.queue.send(QueueMessage::Relimit(relimit));
        }
    }

    /// As [`unknown`](Self::unknown), but suggests only names for which `told` returns true: a tenant must not learn of
    /// models that it may not use.
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
