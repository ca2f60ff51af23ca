//! An engine's actors where they run: on a thread of their own, or on the actix system of their starter.

use std::fmt;
use std::sync::Arc;

use actix::{Actor, Addr, Arbiter, System};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

#[cfg(feature = "gateway")]
use super::supervisor::ClientOf;
use super::supervisor::operate::Operate;
use super::supervisor::{Apply, Supervisor};
use crate::config::Settings;
#[cfg(feature = "gateway")]
use crate::contract::provider::Provider;
use crate::contract::provider::ProviderFactory;
use crate::engine::shared::registry::Shared;
use crate::engine::view::error::Error;
use crate::engine::view::learned::Learned;
use crate::engine::view::overrides::{Action, Override};
use crate::engine::view::start::StartError;

/// Inputs of a new engine beside its settings.
pub(crate) struct Setup {
    pub(crate) factory: ProviderFactory,
    /// Seed of backoff jitter.
    pub(crate) seed: u64,
    /// State that an earlier engine has learned.
    pub(crate) learned: Arc<Learned>,
}

/// The running actors of one engine; their own thread ends when this is dropped.
pub(crate) struct Running {
    supervisor: Addr<Supervisor>,
    /// The engine's own system; `None` where it runs on its starter's.
    system: Option<System>,
    #[cfg(feature = "actix-messages")]
    arbiter: actix::ArbiterHandle,
}

impl Running {
    /// Starts the actors on a thread of their own.
    pub(crate) async fn start(settings: Arc<Settings>, setup: Setup) -> Result<(Arc<Shared>, Self), StartError> {
        let runtime = runtime().map_err(|error| StartError::Thread(error.to_string()))?;
        let (started, wait) = oneshot::channel();
        std::thread::Builder::new()
            .name("fairflow".into())
            .spawn(move || {
                let runner = System::with_tokio_rt(|| runtime);
                let system = System::current();
                let outcome = runner.block_on(Self::begin(settings, setup, Some(system)));
                let runs = outcome.is_ok();
                // If nobody waits any more, the outcome is dropped here, and that stops the system.
                drop(started.send(outcome));
                if runs && let Err(error) = runner.run() {
                    tracing::error!(%error, "the scheduler's thread ended");
                }
            })
            .map_err(|error| StartError::Thread(error.to_string()))?;
        wait.await.map_err(|_| StartError::Thread("it ended while starting".into()))?
    }

    /// Starts the actors on the actix system of the calling thread.
    pub(crate) async fn start_here(settings: Arc<Settings>, setup: Setup) -> Result<(Arc<Shared>, Self), StartError> {
        if Arbiter::try_current().is_none() {
            return Err(StartError::Thread("no actix system runs here; use start".into()));
        }
        Self::begin(settings, setup, None).await
    }

    async fn begin(
        settings: Arc<Settings>,
        Setup { factory, seed, learned }: Setup,
        system: Option<System>,
    ) -> Result<(Arc<Shared>, Self), StartError> {
        let shared = Arc::new(Shared::new(settings.clone()));
        shared.ledger.restore(&learned);
        let running = Self {
            supervisor: Supervisor::new(shared.clone(), factory, seed, learned).start(),
            system,
            #[cfg(feature = "actix-messages")]
            arbiter: Arbiter::current(),
        };
        running.apply(settings).await?;
        Ok((shared, running))
    }

    /// Takes over other settings.
    pub(crate) async fn apply(&self, settings: Arc<Settings>) -> Result<(), StartError> {
        let applied = self.supervisor.send(Apply(settings)).await;
        applied.map_err(|error| StartError::Thread(error.to_string()))?
    }

    /// Carries out an operator's action; `None` where no such model runs.
    pub(crate) async fn operate(&self, model: &str, action: Action) -> Result<Option<Override>, Error> {
        let operate = Operate { model: model.into(), action };
        self.supervisor.send(operate).await.map_err(|_| Error::Stopped)
    }

    /// Returns the client of a provider account; `None` where there is no such account.
    #[cfg(feature = "gateway")]
    pub(crate) async fn client_of(&self, account: &Arc<str>) -> Result<Option<Arc<dyn Provider>>, Error> {
        self.supervisor.send(ClientOf(account.clone())).await.map_err(|_| Error::Stopped)
    }

    /// Returns where the actors run.
    #[cfg(feature = "actix-messages")]
    pub(crate) fn arbiter(&self) -> &actix::ArbiterHandle {
        &self.arbiter
    }

    #[cfg(test)]
    pub(crate) fn crash(&self, which: super::supervisor::CrashIn) {
        self.supervisor.do_send(which);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(system) = &self.system {
            system.stop();
        }
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").finish_non_exhaustive()
    }
}

/// Builds the runtime of an engine's thread. It waits for messages and for time alone: with sockets to watch, each message
/// would be a system call, even while the thread is busy. Only actix messages may bring provider calls there.
fn runtime() -> std::io::Result<Runtime> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    if cfg!(feature = "actix-messages") { builder.enable_all() } else { builder.enable_time() }.build()
}
