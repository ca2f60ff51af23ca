//! The handle: speaks to a running engine from any task of any runtime.

pub(crate) mod builder;
pub(crate) mod call;
pub(crate) mod engine;
pub(crate) mod generate;
#[cfg(feature = "actix-messages")]
pub mod messages;
mod tenants;
#[cfg(test)]
mod tests;
pub(crate) mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use self::call::Call;
use self::engine::{Engine, complete};
use self::generate::Generate;
use self::watch::Watch;
use crate::config::{Config, Settings, TenantPolicy};
use crate::contract::attempt::Attempt;
#[cfg(feature = "gateway")]
use crate::contract::provider::{Provider, Reply};
#[cfg(feature = "gateway")]
use crate::core::fair_queue::Standing;
use crate::core::route::Memory;
#[cfg(feature = "gateway")]
use crate::core::time::Time;
#[cfg(feature = "gateway")]
use crate::engine::caller::dispatch::dispatch;
use crate::engine::caller::plan::Plan;
#[cfg(feature = "gateway")]
use crate::engine::caller::slot::Settling;
use crate::engine::ticket::messages::{Question, QueueMessage};
#[cfg(feature = "gateway")]
use crate::engine::view::capacity::TenantView;
use crate::engine::view::capacity::{ModelCapacity, RouteCapacity, TenantLoad};
use crate::engine::view::error::Error;
use crate::engine::view::events::Events;
use crate::engine::view::learned::{Learned, LearnedRoute};
use crate::engine::view::overrides::{Action, Override};
#[cfg(feature = "gateway")]
use crate::engine::view::receipt::Receipt;
use crate::engine::view::restarts::RestartCount;
use crate::engine::view::start::StartError;
use crate::engine::view::stats::Stats;
use crate::task::Task;
#[cfg(feature = "gateway")]
use crate::wire::Request;
/// A handle to a running scheduler. Cheap to clone, works from any task of any tokio runtime.
///
/// The engine stops when the last clone is dropped; [`drain`](Self::drain) first to lose nothing.
#[derive(Debug, Clone)]
pub struct Fairflow {
    pub(crate) engine: Arc<Engine>,
}

impl Fairflow {
    /// Schedules a typed task; await it for its result.
    pub fn generate<T: Task>(&self, task: T) -> Generate<T> {
        Generate::new(self.engine.clone(), task)
    }

    /// Schedules any async call to `model`: it becomes fair, paced and retried.
    ///
    /// The closure is run once per attempt. What its error means is read by [`Call::classify`]; without that, a
    /// [`Failure`](crate::provider::Failure) means what it says and any other error is passed on and not retried.
    pub fn call<'a, F, Fut, T, E>(&self, plan: impl Into<Plan>, closure: F) -> Call<'a, F, E>
    where
        F: FnMut(Attempt) -> Fut + 'a,
        Fut: Future<Output = Result<T, E>>,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    {
        Call::new(self.engine.clone(), plan.into(), closure)
    }

    /// Schedules a request as it is and returns the reply with the slot still held.
    #[cfg(feature = "gateway")]
    pub(crate) async fn dispatch(
        &self,
        plan: impl Into<Box<Plan>>,
        request: &Request,
    ) -> Result<(Reply, Settling, Receipt), Error> {
        dispatch(&self.engine.shared, plan.into(), request, None).await
    }

    /// Schedules a request under the caller's own name for it.
    #[cfg(feature = "gateway")]
    pub(crate) async fn dispatch_job(
        &self,
        plan: impl Into<Box<Plan>>,
        request: &Request,
        job: Option<Arc<str>>,
    ) -> Result<(Reply, Settling, Receipt), Error> {
        dispatch(&self.engine.shared, plan.into(), request, job).await
    }

    /// Returns the engine's time.
    #[cfg(feature = "gateway")]
    pub(crate) fn now(&self) -> Time {
        self.engine.shared.clock.now()
    }

    /// Refuses a model that does not run, or that a tenant may not use.
    #[cfg(feature = "gateway")]
    pub(crate) fn offers(&self, model: &str, tenant: &str) -> Result<(), Error> {
        let shared = &self.engine.shared;
        shared.model_for(model, &shared.policy(tenant)).map(drop)
    }

    /// Returns the latest snapshot of every model, by name.
    #[must_use]
    pub fn capacity(&self) -> Vec<ModelCapacity> {
        self.engine.shared.all_models().iter().map(|model| model.snapshot()).collect()
    }

    /// Follows a model's snapshots as they change, at most twenty a second. Whether the model runs shows when the first
    /// is asked for.
    #[must_use]
    pub fn watch(&self, model: &str) -> Watch {
        Watch::new(&self.engine.shared, model)
    }

    /// Listens to what happens from here on, of all models. Costs nothing while nobody listens; a listener that is slow
    /// misses events, is told how many, and holds nothing up.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use fairflow::{Config, Fairflow};
    /// use fairflow::events::EventKind;
    /// use fairflow::task::TextInference;
    ///
    /// let fairflow = Fairflow::builder(Config::demo()).start().await?;
    /// let mut events = fairflow.events();
    /// fairflow.generate(TextInference::new("sim-text", "hello")).tenant("acme").await?;
    /// let first = events.next().await.expect("the engine runs")?;
    /// assert!(matches!(first.kind, EventKind::Dispatched { attempt: 1, .. }));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn events(&self) -> Events {
        self.engine.shared.hub.listen()
    }

    /// Returns the counters of every model.
    #[must_use]
    pub fn stats(&self) -> BTreeMap<Arc<str>, Arc<Stats>> {
        self.engine.shared.all_models().into_iter().map(|model| (model.name.clone(), model.stats.clone())).collect()
    }

    /// Returns how often actors of the engine ended in service and were restarted, by kind and cause. A panic is a fault of
    /// the engine: no request is lost by it, but it is worth a report.
    #[must_use]
    pub fn restarts(&self) -> Vec<RestartCount> {
        self.engine.shared.restarts.all()
    }

    /// Returns the counters of a model.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownModel`].
    pub fn stats_of(&self, model: &str) -> Result<Arc<Stats>, Error> {
        let shared = &self.engine.shared;
        shared.model(model).map(|model| model.stats.clone()).ok_or_else(|| shared.unknown(model))
    }

    /// Returns up to `most` tenants of each model with what they have waiting and in flight, the most in flight first.
    pub async fn tenants(&self, most: usize) -> BTreeMap<Arc<str>, Vec<TenantLoad>> {
        let mut all = BTreeMap::new();
        for model in self.engine.shared.all_models() {
            let asked = model.queue.ask(|reply| QueueMessage::Ask(Question::TopTenants { most, reply }));
            if let Some(tenants) = asked.await {
                all.insert(model.name.clone(), tenants);
            }
        }
        all
    }

    /// Returns the settings in force.
    #[must_use]
    pub fn settings(&self) -> Arc<Settings> {
        self.engine.shared.settings()
    }

    /// Takes over a new configuration; what was learned and what waits stays.
    ///
    /// Everything but `[server]` may change. A model that is gone is no longer offered; what waits for it is served
    /// yet. A route that is gone, or whose provider is reached otherwise, gets no more jobs: attempts under way there go
    /// on, and one that fails then is submitted anew.
    ///
    /// # Errors
    ///
    /// [`StartError`], and nothing has changed.
    pub async fn reload(&self, config: Config) -> Result<(), StartError> {
        let new = complete(config, &self.engine.own)?;
        self.engine.running.apply(new).await
    }

    /// Carries out an operator's wish about a model and returns what is in force then, until it is undone: a reload
    /// does not touch it.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownModel`] where no such model runs, or [`Error::Stopped`].
    pub async fn operate(&self, model: &str, action: Action) -> Result<Override, Error> {
        self.engine.running.operate(model, action).await?.ok_or_else(|| self.engine.shared.unknown(model))
    }

    /// Returns the client of a provider account, for what is not scheduled; `None` where none has that name.
    #[cfg(feature = "gateway")]
    pub(crate) async fn client_of(&self, account: &Arc<str>) -> Result<Option<Arc<dyn Provider>>, Error> {
        self.engine.running.client_of(account).await
    }

    /// Says whether a drain is on.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.engine.shared.is_draining()
    }

    /// Admits nothing more from this call on; the future waits until what was admitted has ended, at most for `timeout`.
    ///
    /// It borrows nothing, so it can be spawned. It returns whether everything ended in time; what still waits then is
    /// refused with [`Error::NoCapacity`].
    pub fn drain(&self, timeout: Duration) -> impl Future<Output = bool> + Send + use<> {
        let shared = self.engine.shared.clone();
        shared.begin_drain();
        async move {
            let in_time = tokio::time::timeout(timeout, shared.idle()).await.is_ok();
            if !in_time {
                for model in shared.all_models() {
                    model.queue.send(QueueMessage::Shed);
                }
            }
            in_time
        }
    }

    /// Listens to what controllers decide from here on, of all models: [`WindowChanged`](crate::events::EventKind::WindowChanged),
    /// [`Held`](crate::events::EventKind::Held), [`Lifted`](crate::events::EventKind::Lifted) and
    /// [`Judged`](crate::events::EventKind::Judged) alone. They are few, so that listening costs
    /// requests nothing, unlike [`events`](Self::events).
    #[must_use]
    pub fn decisions(&self) -> Events {
        self.engine.shared.hub.decisions()
    }

    /// Returns what was learned so far, and what tenants have spent; a window that stands where a cold one begins says
    /// nothing and is left out.
    #[must_use]
    pub fn learned(&self) -> Learned {
        let (mut models, mut prices) = (BTreeMap::new(), BTreeMap::new());
        for model in self.engine.shared.all_models() {
            prices.extend(model.tariff().per_unit().map(|price| (model.name.to_string(), price)));
            let initial = model.settings().window.initial;
            let capacity = model.snapshot();
            let learned = |route: &RouteCapacity| {
                let Memory { window, rate } = route.memory();
                LearnedRoute {
                    provider: route.provider.to_string(),
                    model: route.model.to_string(),
                    window: window.filter(|window| *window != initial),
                    rate,
                }
            };
            let routes = capacity.routes.iter().map(learned);
            let routes: Vec<_> = routes.filter(|route| route.window.is_some() || route.rate.is_some()).collect();
            if !routes.is_empty() {
                models.insert(model.name.to_string(), routes);
            }
        }
        let shared = &self.engine.shared;
        Learned { models, tenants: shared.ledger.keep(&shared.settings()), prices }
    }

    /// Returns the latest snapshot of a model, with what `tenant` has and would wait.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownModel`], [`Error::ModelForbidden`] where the tenant may not use it, or [`Error::Stopped`].
    pub async fn capacity_of(&self, model: &str, tenant: Option<&str>) -> Result<ModelCapacity, Error> {
        tenants::capacity_of(&self.engine.shared, model, tenant).await
    }

    /// Returns what a tenant has on a model that it may use, and would wait.
    ///
    /// # Errors
    ///
    /// As [`capacity_of`](Self::capacity_of).
    #[cfg(feature = "gateway")]
    pub(crate) async fn inspect(&self, model: &str, tenant: &str, policy: &TenantPolicy) -> Result<TenantView, Error> {
        tenants::inspect(&*self.engine.shared.model_for(model, policy)?, tenant, policy).await
    }

    /// Returns every tenant of a model with jobs, beside what it would have if slots were divided by weight now.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownModel`] where no such model runs, or [`Error::Stopped`].
    #[cfg(feature = "gateway")]
    pub(crate) async fn standings(&self, model: &str) -> Result<Vec<Standing>, Error> {
        tenants::standings(&self.engine.shared, model).await
    }

    /// Names the models that did something, or changed, since this was last asked; and counts all.
    #[cfg(feature = "gateway")]
    pub(crate) fn touched(&self) -> (Vec<Arc<str>>, usize) {
        let shared = &self.engine.shared;
        (shared.touched.take(), shared.models.len())
    }

    /// Returns the latest snapshot of a model, and its counters.
    #[cfg(feature = "gateway")]
    pub(crate) fn seen(&self, model: &str) -> Option<(ModelCapacity, Arc<Stats>)> {
        let model = self.engine.shared.model(model)?;
        Some((model.snapshot(), model.stats.clone()))
    }

    /// Follows the snapshots of a model that runs now and may be used.
    #[cfg(feature = "gateway")]
    pub(crate) fn snapshots(
        &self,
        model: &str,
        policy: &TenantPolicy,
    ) -> Result<tokio::sync::watch::Receiver<ModelCapacity>, Error> {
        Ok(self.engine.shared.model_for(model, policy)?.follow())
    }

    /// Returns the policy that a tenant has by now: that of its configuration, or the higher one that it has reached.
    #[must_use]
    pub fn policy(&self, tenant: &str) -> Arc<TenantPolicy> {
        self.engine.shared.policy(tenant)
    }
}
