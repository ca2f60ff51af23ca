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
#[cfg(any(feature = "openai", feature = "task"))]
mod usage_wish;
#[cfg_attr(not(any(feature = "openai", feature = "runware", feature = "task")), allow(dead_code))]
mod verdicts;
#[cfg(any(feature = "openai", feature = "task"))]
mod whole;

#[cfg(any(feature = "openai", feature = "runware", feature = "task"))]
use std::borrow::Cow;
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
#[cfg(any(feature = "openai", feature = "runware", feature = "task"))]
use crate::task::Work;
use crate::wire::Malformed;
#[cfg(any(feature = "openai", feature = "runware", feature = "task"))]
use crate::wire::Request;
#[cfg(any(feature = "openai", feature = "runware", feature = "task"))]
use crate::wire::openai::translatable::Untranslated;

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

/// Reads a request as typed work for a provider of another dialect, where nothing of it is lost on the way; one that cannot
/// be read is its caller's fault.
#[cfg(any(feature = "openai", feature = "runware", feature = "task"))]
fn translated(request: &Request) -> Result<Cow<'_, Work>, Failure> {
    request.translated().map_err(|error| match error {
        Untranslated::Lost(lost) => inexpressible(lost.to_string()).caused_by(lost),
        Untranslated::Malformed(malformed) => unreadable_request(malformed),
    })
}

/// Words a request that this route's dialect cannot express: a route of another may.
#[cfg(any(feature = "openai", feature = "runware", feature = "task"))]
fn inexpressible(message: impl Into<String>) -> Failure {
    let verdict = Verdict { again: Again::Elsewhere, ..Verdict::of(Outcome::Rejected) };
    Failure::new(Outcome::Rejected, message).verdict(verdict)
}

/// Words a request that cannot be read: that is its caller's fault.
fn unreadable_request(malformed: Malformed) -> Failure {
    Failure::new(Outcome::Rejected, malformed.to_string()).caused_by(malformed)
}
