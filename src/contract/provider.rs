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
///             Ok(Answer::product(Product::Text(TextResult { text, ..TextResult::default() })))
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

    /// Forgets a response that the provider keeps under that id for later turns, at once and outside any schedule. One
    /// that it does not know is forgotten. Who keeps nothing has nothing to do, as here.
    ///
    /// # Errors
    ///
    /// A [`Failure`] where it may be kept still.
    fn forget_response<'a>(&'a self, _id: &'a str, _upstream_model: &'a str) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Asks how a response stands that the provider makes in the background, at once and outside any schedule; with
    /// `cancel`, after it has been told to stop. Who makes none refuses, as here.
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

/// A stream of an answer's pieces; a failure ends it.
pub type Pieces<T> = BoxStream<'static, Result<T, Failure>>;

/// What came back.
pub enum Reply {
    /// A typed product.
    Product(Product),
    /// The provider's own answer to a request that arrived in its dialect, verbatim.
    Verbatim(Upstream),
    /// Bytes, chunk by chunk: an event stream as the provider sends it, or what else a task of one's own
    /// [`Streams`](crate::Streams).
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
pub struct Answer {
    /// The reply.
    pub reply: Reply,
    /// Tokens and price, where known already.
    pub usage: Usage,
    /// Actual cost in the task's units, where known; corrects what the tenant was charged.
    pub cost: Option<Cost>,
    /// What the response's headers say about rates.
    pub hints: RateHints,
    /// What the provider says beside its answer.
    pub told: Told,
}

/// What a provider says beside its answer, for people and for clients of its own API.
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

/// Makes the client of a provider account.
pub type ProviderFactory = Arc<dyn Fn(&ProviderSettings) -> Result<Arc<dyn Provider>, String> + Send + Sync>;
