//! The builder: configures an engine and starts it.

use std::sync::Arc;

use super::Fairflow;
use super::engine::{Clients, Engine, complete};
use crate::actor::running::{Running, Setup};
use crate::config::{Config, ConfigError, Settings};
use crate::contract::provider::{Provider, ProviderFactory};
use crate::engine::view::learned::Learned;
use crate::engine::view::start::StartError;

/// Builds and starts an engine.
pub struct Builder {
    config: Config,
    factory: ProviderFactory,
    own: Clients,
    seed: u64,
    learned: Arc<Learned>,
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
    ///         Box::pin(async { Ok(Answer::product(Product::Text(TextResult::new(text)))) })
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
    pub fn provider_factory(mut self, factory: ProviderFactory) -> Self {
        self.factory = factory;
        self
    }

    /// Starts the engine on a thread of its own; it stops when the last handle is dropped.
    ///
    /// # Errors
    ///
    /// [`StartError`] where the configuration is wrong or a provider cannot be set up.
    pub async fn start(self) -> Result<Fairflow, StartError> {
        let (settings, setup, own) = self.check()?;
        let (shared, running) = Running::start(settings, setup).await?;
        Ok(Fairflow { engine: Arc::new(Engine { shared, running, own }) })
    }

    /// Starts the engine on the actix system of the calling thread, for tests in paused time.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start); [`StartError::Thread`] outside an actix system.
    pub async fn start_here(self) -> Result<Fairflow, StartError> {
        let (settings, setup, own) = self.check()?;
        let (shared, running) = Running::start_here(settings, setup).await?;
        Ok(Fairflow { engine: Arc::new(Engine { shared, running, own }) })
    }

    fn check(self) -> Result<(Arc<Settings>, Setup, Clients), ConfigError> {
        let Self { config, factory, own, seed, learned } = self;
        let settings = complete(config, &own)?;
        let clients = own.clone();
        let factory: ProviderFactory = Arc::new(move |settings| match clients.get(&*settings.name) {
            Some(client) => Ok(client.clone()),
            None => factory(settings),
        });
        Ok((settings, Setup { factory, seed, learned }, own))
    }

    /// Begins with what an earlier engine has [learned](Fairflow::learned), instead of cold: such a window is held, and
    /// confirmed by one request more; such a rate is kept to, and tested as one that was just confirmed.
    #[must_use]
    pub fn remember(mut self, learned: Learned) -> Self {
        self.learned = Arc::new(learned);
        self
    }
}
