//! Providers: each speaks one service's protocol and says honestly how an attempt ended.

mod absent;
// The gateway's own client needs a part of these; without an adapter the rest has no user.
#[cfg(feature = "client")]
#[cfg_attr(not(any(feature = "openai", feature = "runware", feature = "task")), allow(dead_code))]
mod classify;
#[cfg(any(feature = "openai", feature = "runware", feature = "task"))]
mod common;
#[cfg(feature = "runware")]
#[doc(hidden)]
pub mod doors;
#[cfg(any(feature = "openai", feature = "task"))]
mod fetch;
#[cfg(feature = "client")]
#[cfg_attr(not(any(feature = "openai", feature = "runware", feature = "task")), allow(dead_code))]
mod headers;
#[cfg(feature = "client")]
#[cfg_attr(not(any(feature = "openai", feature = "runware", feature = "task")), allow(dead_code))]
pub(crate) mod http;
#[cfg(any(feature = "openai", feature = "task"))]
mod openai;
#[cfg(feature = "client")]
#[cfg_attr(not(any(feature = "gateway", feature = "openai", feature = "task")), allow(dead_code))]
pub(crate) mod public;
#[cfg(feature = "runware")]
mod runware;
#[cfg(feature = "client")]
#[cfg_attr(not(any(feature = "openai", feature = "runware", feature = "task")), allow(dead_code))]
mod secrets;
mod sim;
#[cfg(any(feature = "openai", feature = "runware", feature = "task"))]
mod streamed;
#[cfg(feature = "task")]
pub mod task;
mod translate;
#[cfg(any(feature = "openai", feature = "task"))]
mod usage_wish;
#[cfg_attr(not(any(feature = "openai", feature = "runware", feature = "task")), allow(dead_code))]
mod verdicts;
#[cfg(any(feature = "openai", feature = "task"))]
mod whole;

use std::sync::Arc;

pub use futures_util::future::BoxFuture;

pub use self::sim::Sim;
use crate::config::{Config, ProviderKind, ProviderSettings};
pub use crate::contract::attempt::Attempt;
pub use crate::contract::failure::{Failure, Source, Upstream};
pub use crate::contract::provider::{Answer, Pieces, Provider, ProviderError, Reply, Told};
pub use crate::contract::words::Words;
pub use crate::core::outcome::Outcome;
pub use crate::core::pacer::{RateHint, RateHints};
pub use crate::core::verdict::{Again, Basis, Matter, Scope, Verdict};
use crate::handle::Fairflow;
use crate::handle::builder::Builder;

impl Fairflow {
    /// Begins an engine with the providers built in.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use fairflow::task::TextInference;
    /// use fairflow::{Config, Fairflow};
    ///
    /// let fairflow = Fairflow::builder(Config::demo()).start().await?;
    /// let text = fairflow.generate(TextInference::new("sim-text", "hello")).tenant("acme").await?;
    /// assert!(!text.text.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn builder(config: Config) -> Builder {
        Builder::new(config, Arc::new(build))
    }
}

/// Makes the client of a provider account.
///
/// # Errors
///
/// [`ProviderError`], which says what is missing: a feature, or a TLS set-up that works.
pub fn build(settings: &ProviderSettings) -> Result<Arc<dyn Provider>, ProviderError> {
    let inner: Arc<dyn Provider> = match &settings.kind {
        ProviderKind::Custom => Arc::new(absent::Absent),
        ProviderKind::Sim(sim) => Arc::new(Sim::new(sim.clone())),
        #[cfg(feature = "openai")]
        ProviderKind::OpenAi(endpoint) => Arc::new(openai::OpenAi::new(endpoint)?),
        #[cfg(feature = "runware")]
        ProviderKind::Runware(runware) => Arc::new(runware::Runware::new(runware)?),
        #[cfg(feature = "task")]
        ProviderKind::Task(task) => Arc::new(task::TaskProvider::new(&settings.name, task)?),
        #[allow(unreachable_patterns, reason = "reachable where a feature is off")]
        other => return Err(format!("{other:?} needs a feature that this build lacks").into()),
    };
    let rules = settings.verdicts.clone();
    Ok(if rules.is_empty() { inner } else { Arc::new(verdicts::overruled::Overruled { inner, rules }) })
}
