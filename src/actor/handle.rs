//! The handle: starts an engine and speaks to it from any task of any runtime.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix::{Actor, Addr, Arbiter, System};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use super::capacity::ModelCapacity;
use super::error::Error;
use super::events::Events;
use super::generate::{Call, Generate};
use super::learned::Learned;
use super::messages::{Ensure, Forget, Shed, TopTenants};
use super::operator::{Action, Operate, Override};
use super::provider::{Answer, Attempt, Provider, Reply};
use super::registry::{Model, Shared};
use super::run::{Receipt, Spec, Yield, run};
use super::slot::Slot;
use super::stats::Stats;
#[cfg(feature = "gateway")]
use super::supervisor::ClientOf;
use super::supervisor::{Apply, ProviderFactory, Supervisor};
use super::watch::Watch;
use crate::config::{Config, ConfigError, LONGEST_NAME, ProviderConfig, Settings, TenantPolicy};
use crate::core::cost::Cost;
#[cfg(feature = "gateway")]
use crate::core::time::Time;
use crate::task::{Task, Usage};
use crate::wire::Malformed;
use crate::wire::Request;

/// Why an engine did not start, or did not take a new configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A provider cannot be set up, or the change needs a restart.
    #[error("{0}")]
    Refused(String),
    /// The engine's thread could not be started, or has stopped.
    #[error("the scheduler's thread is not running: {0}")]
    Thread(String),
}

/// What all clones of a handle share.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) shared: Arc<Shared>,
    supervisor: Addr<Supervisor>,
    /// The engine's own system; `None` where it runs on its starter's.
    system: Option<System>,
    /// Where its actors run.
    #[cfg(feature = "actix-messages")]
    pub(crate) arbiter: actix::ArbiterHandle,
    /// Accounts whose clients the embedder gave.
    own: Arc<Clients>,
}

impl Engine {
    /// Finds a model; one that is not configured appears on first use where the configuration allows it.
    pub(crate) async fn model(&self, name: &str, tenant: &str, policy: &TenantPolicy) -> Result<Arc<Model>, Error> {
        let found = self.shared.model_for(name, policy);
        if !matches!(found, Err(Error::UnknownModel { .. })) {
            return found;
        }
        if name.contains(char::is_control) {
            // It would show in headers, logs and metrics.
            let found = name.chars().take(40).collect::<String>();
            return Err(Malformed::new("model", format!("must not have control characters: {found:?}")).into());
        }
        let settings = self.shared.settings();
        if settings.unknown_models.is_some() && !name.is_empty() && name.len() <= LONGEST_NAME {
            let wanted = Ensure { name: name.into(), tenant: tenant.into() };
            self.supervisor.send(wanted).await.map_err(|_| Error::Stopped)?;
            if let Some(model) = self.shared.model(name) {
                return Ok(model);
            }
        }
        found
    }

    /// Gives up the place of a model that appeared on first use and has never served, since its provider refuses it: names
    /// come from outside, and most that are refused are none.
    pub(crate) fn refused(&self, model: &Arc<Model>, error: &Error) {
        let answer = error.failure().and_then(|failure| failure.upstream.as_ref());
        let is_refused = answer.is_some_and(|answer| (400..500).contains(&answer.status));
        if is_refused && model.stats.served() == 0 && !self.shared.settings().models.contains_key(&model.name) {
            self.supervisor.do_send(Forget(model.clone()));
        }
    }

    #[cfg(test)]
    pub(crate) fn crash(&self, which: super::supervisor::CrashIn) {
        self.supervisor.do_send(which);
    }

    pub(crate) fn stopped(&self) -> bool {
        !self.supervisor.connected()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(system) = &self.system {
            system.stop();
        }
    }
}

/// Clients that the embedder brings, by the names of their accounts.
type Clients = BTreeMap<String, Arc<dyn Provider>>;

/// Adds the accounts of `own` that the configuration does not name, and validates.
fn complete(mut config: Config, own: &Clients) -> Result<Arc<Settings>, ConfigError> {
    for name in own.keys() {
        config.providers.entry(name.clone()).or_insert_with(ProviderConfig::custom);
    }
    config.validate().map(Arc::new)
}

/// Builds and starts an engine.
pub struct Builder {
    config: Config,
    factory: ProviderFactory,
    own: Clients,
    seed: u64,
    pub(super) learned: Arc<Learned>,
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Builder {
    pub(crate) fn new(config: Config, factory: ProviderFactory) -> Self {
        let seed = uuid::Uuid::new_v4().as_u64_pair().0;
        Self { config, factory, own: Clients::new(), seed, learned: Arc::default() }
    }

    /// Sets the seed of backoff jitter; default random.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Reaches the provider account `name` through a client of the embedder's own. Its settings are those of
    /// `[providers.NAME]`, of any kind; where there are none, it has no limits.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use fairflow::config::ModelConfig;
    /// use fairflow::provider::{Answer, Attempt, BoxFuture, Failure, Provider};
    /// use fairflow::task::{Product, TextInference, TextResult};
    /// use fairflow::wire::Request;
    /// use fairflow::{Config, Fairflow};
    ///
    /// #[derive(Debug)]
    /// struct Echo;
    ///
    /// impl Provider for Echo {
    ///     fn call<'a>(&'a self, _: &'a Request, attempt: &'a Attempt) -> BoxFuture<'a, Result<Answer, Failure>> {
    ///         let text = format!("{} speaks", attempt.upstream_model());
    ///         Box::pin(async { Ok(Answer::product(Product::Text(TextResult { text, ..TextResult::default() }))) })
    ///     }
    /// }
    ///
    /// let config = Config::new().model("parrot", ModelConfig::on("echo"));
    /// let fairflow = Fairflow::builder(config).provider("echo", Echo).start().await?;
    /// assert_eq!(fairflow.generate(TextInference::new("parrot", "hello")).await?.text, "parrot speaks");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn provider(mut self, name: impl Into<String>, client: impl Provider) -> Self {
        self.own.insert(name.into(), Arc::new(client));
        self
    }

    /// Uses `factory` to make the clients of provider accounts, instead of those built in.
    #[must_use]
    pub fn providers(mut self, factory: ProviderFactory) -> Self {
        self.factory = factory;
        self
    }

    /// Starts the engine on a thread of its own; it stops when the last handle is dropped.
    ///
    /// # Errors
    ///
    /// [`StartError`] where the configuration is wrong or a provider cannot be set up.
    pub async fn start(self) -> Result<Fairflow, StartError> {
        let (settings, setup) = self.check()?;
        let runtime = runtime().map_err(|error| StartError::Thread(error.to_string()))?;
        let (started, wait) = oneshot::channel();
        std::thread::Builder::new()
            .name("fairflow".into())
            .spawn(move || {
                let runner = System::with_tokio_rt(|| runtime);
                let system = System::current();
                let outcome = runner.block_on(begin(settings, setup, Some(system)));
                let runs = outcome.is_ok();
                // If nobody waits any more, the handle is dropped here, and that stops the system.
                drop(started.send(outcome));
                if runs && let Err(error) = runner.run() {
                    tracing::error!(%error, "the scheduler's thread ended");
                }
            })
            .map_err(|error| StartError::Thread(error.to_string()))?;
        wait.await.map_err(|_| StartError::Thread("it ended while starting".into()))?
    }

    /// Starts the engine on the actix system of the calling thread, for tests in paused time.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start); [`StartError::Thread`] outside an actix system.
    pub async fn start_here(self) -> Result<Fairflow, StartError> {
        if Arbiter::try_current().is_none() {
            return Err(StartError::Thread("no actix system runs here; use start".into()));
        }
        let (settings, setup) = self.check()?;
        begin(settings, setup, None).await
    }

    fn check(self) -> Result<(Arc<Settings>, Setup), ConfigError> {
        let Self { config, factory, own, seed, learned } = self;
        let own = Arc::new(own);
        let settings = complete(config, &own)?;
        let clients = own.clone();
        let factory: ProviderFactory = Arc::new(move |settings| match clients.get(&*settings.name) {
            Some(client) => Ok(client.clone()),
            None => factory(settings),
        });
        Ok((settings, Setup { factory, own, seed, learned }))
    }
}

/// Builds the runtime of an engine's thread. It waits for messages and for time alone: with sockets to watch, each message
/// would be a system call, even while the thread is busy. Only actix messages may bring provider calls there.
fn runtime() -> std::io::Result<Runtime> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    if cfg!(feature = "actix-messages") { builder.enable_all() } else { builder.enable_time() }.build()
}

/// What an engine begins with beside its settings.
struct Setup {
    factory: ProviderFactory,
    own: Arc<Clients>,
    seed: u64,
    learned: Arc<Learned>,
}

async fn begin(
    settings: Arc<Settings>,
    Setup { factory, own, seed, learned }: Setup,
    system: Option<System>,
) -> Result<Fairflow, StartError> {
    let shared = Arc::new(Shared::new(settings.clone()));
    shared.ledger.restore(&learned);
    let supervisor = Supervisor::new(shared.clone(), factory, seed, learned).start();
    let applied = supervisor.send(Apply(settings)).await;
    applied.map_err(|error| StartError::Thread(error.to_string()))?.map_err(StartError::Refused)?;
    let engine = Engine {
        shared,
        supervisor,
        system,
        #[cfg(feature = "actix-messages")]
        arbiter: Arbiter::current(),
        own,
    };
    Ok(Fairflow { engine: Arc::new(engine) })
}

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
        Generate::new(self.clone(), task)
    }

    /// Schedules any async call to `model`: it becomes fair, paced and retried.
    ///
    /// The closure is run once per attempt. What its error means is read by [`Call::classify`]; without that, a
    /// [`Failure`](crate::provider::Failure) means what it says and any other error is passed on and not retried.
    pub fn call<'a, F, Fut, T, E>(&self, model: impl Into<Arc<str>>, closure: F) -> Call<'a, F, E>
    where
        F: FnMut(Attempt) -> Fut + 'a,
        Fut: Future<Output = Result<T, E>>,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    {
        Call::new(self.clone(), model.into(), closure)
    }

    /// Schedules a request as it is and returns the reply with the slot still held.
    #[cfg(feature = "gateway")]
    pub(crate) async fn dispatch(
        &self,
        spec: impl Into<Box<Spec>>,
        request: &Request,
    ) -> Result<(Reply, Settling, Receipt), Error> {
        self.dispatch_job(spec, request, None).await
    }

    /// Schedules a request under the caller's own name for it.
    pub(crate) async fn dispatch_job(
        &self,
        spec: impl Into<Box<Spec>>,
        request: &Request,
        job: Option<Arc<str>>,
    ) -> Result<(Reply, Settling, Receipt), Error> {
        let engine = &*self.engine;
        let (answer, slot, mut receipt) = run(engine, spec.into(), |attempt| {
            if let Some(job) = &job {
                attempt.name(job);
            }
            async move {
                let answer = attempt.client.call(request, &attempt).await?;
                let (hints, id) = (answer.hints, answer.told.id.clone());
                Ok(Yield { value: answer, hints, id })
            }
        })
        .await?;
        let Answer { reply, cost, usage, told, .. } = answer;
        receipt.told = told;
        Ok((reply, Settling { slot, cost, usage }, receipt))
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
        self.engine.shared.all_models().iter().map(|model| model.capacity.borrow().clone()).collect()
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

    /// Returns the counters of every model, by name.
    #[must_use]
    pub fn stats(&self) -> Vec<(Arc<str>, Arc<Stats>)> {
        self.engine.shared.all_models().into_iter().map(|model| (model.name.clone(), model.stats.clone())).collect()
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

    /// Returns up to `most` tenants of each model with what they have in flight and waiting, the largest first.
    pub async fn tenants(&self, most: usize) -> Vec<(Arc<str>, Vec<(Arc<str>, u32, u32)>)> {
        let mut all = Vec::new();
        for model in self.engine.shared.all_models() {
            let Some(queue) = model.queue() else { continue };
            if let Ok(tenants) = queue.send(TopTenants { most }).await {
                all.push((model.name.clone(), tenants.0));
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
        let applied = self.engine.supervisor.send(Apply(new)).await;
        applied.map_err(|error| StartError::Thread(error.to_string()))?.map_err(StartError::Refused)
    }

    /// Carries out an operator's wish about a model and returns what is in force then, until it is undone: a reload
    /// does not touch it.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownModel`] where no such model runs, or [`Error::Stopped`].
    pub async fn operate(&self, model: &str, action: Action) -> Result<Override, Error> {
        let operate = Operate { model: model.into(), action };
        let answer = self.engine.supervisor.send(operate).await.map_err(|_| Error::Stopped)?;
        answer.ok_or_else(|| self.engine.shared.unknown(model))
    }

    /// Returns the client of a provider account, for what is not scheduled; `None` where none has that name.
    #[cfg(feature = "gateway")]
    pub(crate) async fn client_of(&self, account: &Arc<str>) -> Result<Option<Arc<dyn Provider>>, Error> {
        self.engine.supervisor.send(ClientOf(account.clone())).await.map_err(|_| Error::Stopped)
    }

    /// Says whether a drain is on.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.engine.shared.draining.load(Ordering::SeqCst)
    }

    /// Admits nothing more from this call on; the future waits until what was admitted has ended, at most for `timeout`.
    ///
    /// It borrows nothing, so it can be spawned. It returns whether everything ended in time; what still waits then is
    /// refused with [`Error::NoCapacity`].
    pub fn drain(&self, timeout: Duration) -> impl Future<Output = bool> + Send + use<> {
        let shared = self.engine.shared.clone();
        shared.draining.store(true, Ordering::SeqCst);
        async move {
            let in_time = tokio::time::timeout(timeout, shared.idle()).await.is_ok();
            if !in_time {
                for model in shared.all_models() {
                    model.send(Shed);
                }
            }
            in_time
        }
    }
}

/// A slot whose answer is there, and what to account for it.
#[derive(Debug)]
pub(crate) struct Settling {
    pub(crate) slot: Slot,
    pub(crate) cost: Option<Cost>,
    pub(crate) usage: Usage,
}

impl Settling {
    pub(crate) fn done(self) {
        self.slot.succeed(self.cost, self.usage);
    }
}
