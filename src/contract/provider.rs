//! A provider: one call, and what comes back.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

use crate::config::ProviderSettings;
use crate::contract::attempt::Attempt;
use crate::contract::failure::{Failure, Upstream};
use crate::core::cost::Cost;
use crate::core::outcome::Outcome;
use crate::core::pacer::RateHints;
use crate::task::{Product, TextDelta, Usage};
use crate::wire::Request;

/// A way to have generations made: one account at one service.
///
/// The scheduler decides when; a provider only carries out one attempt and says honestly how it ended. It must not
/// retry by itself: a retry is scheduled work.
///
/// # Examples
///
/// ```
/// use fairflow::provider::{Answer, Attempt, BoxFuture, Failure, Provider};
/// use fairflow::task::{Product, TextResult};
/// use fairflow::wire::Request;
///
/// #[derive(Debug)]
/// struct Echo;
///
/// impl Provider for Echo {
///     fn call<'a>(&'a self, _: &'a Request, attempt: &'a Attempt) -> BoxFuture<'a, Result<Answer, Failure>> {
///         Box::pin(async move {
///             let text = format!("attempt {} on {}", attempt.number(), attempt.upstream_model());
///             Ok(Answer::product(Product::Text(TextResult::new(text))))
///         })
///     }
/// }
/// ```
pub trait Provider: Send + Sync + fmt::Debug + 'static {
    /// Carries out one attempt. Dropping the future must abandon the call.
    ///
    /// # Errors
    ///
    /// A [`Failure`] whose outcome is what the controllers learn from.
    fn call<'a>(&'a self, request: &'a Request, attempt: &'a Attempt) -> BoxFuture<'a, Result<Answer, Failure>>;

    /// Deletes the stored response `id` at the provider, unscheduled. Succeeds where the provider does not know `id`. The
    /// default does nothing, for providers that store no responses.
    ///
    /// # Errors
    ///
    /// A [`Failure`] where it may be kept still.
    fn forget_response<'a>(&'a self, _id: &'a str, _upstream_model: &'a str) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Asks the provider for a response that it makes in the background, unscheduled; with `cancel`, after it has been told
    /// to stop. The default refuses, for providers that make none.
    ///
    /// # Errors
    ///
    /// A [`Failure`] where that cannot be told.
    fn background_response<'a>(
        &'a self,
        _id: &'a str,
        _upstream_model: &'a str,
        _cancel: bool,
    ) -> BoxFuture<'a, Result<Upstream, Failure>> {
        let none = Failure::new(Outcome::Rejected, "this provider makes no responses in the background");
        Box::pin(std::future::ready(Err(none)))
    }
}

/// A client that its embedder keeps a handle to.
impl<P: Provider + ?Sized> Provider for Arc<P> {
    fn call<'a>(&'a self, request: &'a Request, attempt: &'a Attempt) -> BoxFuture<'a, Result<Answer, Failure>> {
        (**self).call(request, attempt)
    }

    fn forget_response<'a>(&'a self, id: &'a str, upstream_model: &'a str) -> BoxFuture<'a, Result<(), Failure>> {
        (**self).forget_response(id, upstream_model)
    }

    fn background_response<'a>(
        &'a self,
        id: &'a str,
        upstream_model: &'a str,
        cancel: bool,
    ) -> BoxFuture<'a, Result<Upstream, Failure>> {
        (**self).background_response(id, upstream_model, cancel)
    }
}

/// A stream of an answer's pieces; a failure ends it.
pub type Pieces<T> = BoxStream<'static, Result<T, Failure>>;

/// Reply of a provider.
#[non_exhaustive]
pub enum Reply {
    /// A typed product.
    Product(Product),
    /// The provider's own answer to a request that arrived in its dialect, verbatim.
    Verbatim(Upstream),
    /// A stream of bytes: the provider's event stream as it arrives, or the pieces of a custom task (see
    /// [`Streams`](crate::Streams)).
    Stream(Pieces<Bytes>),
    /// A text, piece by piece.
    Deltas(Pieces<TextDelta>),
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Product(product) => f.debug_tuple("Product").field(product).finish(),
            Self::Verbatim(upstream) => f.debug_tuple("Verbatim").field(upstream).finish(),
            Self::Stream(_) => f.write_str("Stream"),
            Self::Deltas(_) => f.write_str("Deltas"),
        }
    }
}

/// A successful attempt: the reply, and what it says about cost and rates.
#[derive(Debug)]
#[non_exhaustive]
pub struct Answer {
    /// The reply.
    pub reply: Reply,
    /// Tokens and price, where known already.
    pub usage: Usage,
    /// Actual cost in the task's units, where known; corrects what the tenant was charged.
    pub cost: Option<Cost>,
    /// Rate hints of the response's headers.
    pub hints: RateHints,
    /// Id and headers beside the answer.
    pub told: Told,
}

/// Id and headers of a provider's answer, for people and for clients of its own API.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Told {
    /// Its own name for the request, by which its support finds it.
    pub id: Option<Arc<str>>,
    /// Headers that go on to a caller that speaks the same API, in small letters.
    pub headers: Vec<(Box<str>, Box<str>)>,
}

impl Answer {
    /// Wraps a typed product, with its own usage.
    #[must_use]
    pub fn product(product: Product) -> Self {
        let usage = product.usage();
        Self { usage, ..Self::new(Reply::Product(product)) }
    }

    /// Wraps a reply of which nothing more is known.
    #[must_use]
    pub fn new(reply: Reply) -> Self {
        Self { reply, usage: Usage::default(), cost: None, hints: RateHints::default(), told: Told::default() }
    }
}

/// A factory that makes the client of a provider account from its settings.
pub type ProviderFactory = Arc<dyn Fn(&ProviderSettings) -> Result<Arc<dyn Provider>, ProviderError> + Send + Sync>;

/// A provider account whose client cannot be set up: what is missing or wrong, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ProviderError {
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl ProviderError {
    /// Builds an error for people; it must not hold a key.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), source: None }
    }

    /// Adds the error that it was made from.
    #[must_use]
    pub fn caused_by(self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { source: Some(error.into()), ..self }
    }
}

impl From<String> for ProviderError {
    fn from(message: String) -> Self {
        Self::new(message)
    }
}
