//! Any async call on its way: build it, then await it.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryFutureExt;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::engine::Engine;
use crate::contract::attempt::Attempt;
use crate::contract::failure::{Failure, Source};
use crate::core::cost::Cost;
use crate::core::fair_queue::Class;
use crate::core::outcome::Outcome;
use crate::core::pacer::RateHints;
use crate::engine::caller::plan::{Plan, setters};
use crate::engine::caller::run::{Yield, run};
use crate::engine::caller::slot::Slot;
use crate::engine::view::error::Error;
use crate::engine::view::receipt::Receipt;
use crate::task::Usage;

/// Says what an error of a closure means.
type Classify<E> = Box<dyn Fn(&E) -> Failure + Send + Sync>;

/// A call about to be scheduled; await it. Its closure may borrow, as long as the call is awaited where it is made.
#[must_use = "nothing happens until it is awaited"]
pub struct Call<'a, F, E> {
    engine: Arc<Engine>,
    closure: F,
    plan: Box<Plan>,
    /// `None` takes a [`Failure`] at its word and any other error as the caller's own affair.
    classify: Option<Classify<E>>,
    /// Lifetime of what the closure may borrow.
    borrows: PhantomData<&'a ()>,
    error: PhantomData<fn() -> E>,
}

impl<F, E> fmt::Debug for Call<'_, F, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("plan", &self.plan).finish_non_exhaustive()
    }
}

impl<F, E: 'static> Call<'_, F, E> {
    pub(crate) fn new(engine: Arc<Engine>, plan: Plan, closure: F) -> Self {
        let plan = Box::new(plan);
        Self { engine, closure, plan, classify: None, borrows: PhantomData, error: PhantomData }
    }

    setters!(plan);

    /// Says what an error of the closure means to the scheduler; the error itself is kept for [`Error::cause`].
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use fairflow::{Config, Fairflow};
    /// use fairflow::provider::{Failure, Outcome};
    ///
    /// let fairflow = Fairflow::builder(Config::demo()).start().await?;
    /// let answered = fairflow
    ///     .call("sim-text", |attempt| async move {
    ///         if attempt.number() == 1 { Err(std::io::Error::other("busy")) } else { Ok("answered") }
    ///     })
    ///     .classify(|error| Failure::new(Outcome::Throttled, error.to_string()))
    ///     .await?;
    /// assert_eq!(answered, "answered");
    /// # Ok(())
    /// # }
    /// ```
    pub fn classify(mut self, classify: impl Fn(&E) -> Failure + Send + Sync + 'static) -> Self {
        self.classify = Some(Box::new(classify));
        self
    }
}

/// Makes a failure of an error of the closure, which it keeps.
fn read_failure<E>(error: E, classify: Option<&Classify<E>>) -> Failure
where
    E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
{
    let known = match classify {
        Some(classify) => Some(classify(&error)),
        None => {
            let any: &dyn std::any::Any = &error;
            any.downcast_ref::<Failure>().cloned()
        }
    };
    let source = Source::new(error);
    match known {
        Some(failure) if failure.source.is_some() || source.get().is::<Failure>() => failure,
        Some(failure) => Failure { source: Some(source), ..failure },
        None => Failure { source: Some(source.clone()), ..Failure::new(Outcome::Rejected, source.get().to_string()) },
    }
}

impl<F, Fut, T, E> Call<'_, F, E>
where
    F: FnMut(Attempt) -> Fut,
    Fut: Future<Output = Result<T, E>>,
    E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
{
    /// Makes the call and also tells how it went.
    ///
    /// # Errors
    ///
    /// [`Error`]; its documentation says what each means and what to do.
    pub async fn with_receipt(self) -> Result<(T, Receipt), Error> {
        let Leased { value, lease, receipt } = self.with_lease().await?;
        lease.settle();
        Ok((value, receipt))
    }

    /// Makes the call and returns its slot with its value, still held: for answers that stream.
    ///
    /// # Errors
    ///
    /// [`Error`]; its documentation says what each means and what to do.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use fairflow::{Config, Fairflow};
    /// use fairflow::Leased;
    ///
    /// let fairflow = Fairflow::builder(Config::demo()).start().await?;
    /// let pieces = || async { Ok::<_, std::io::Error>(vec!["a fox", " at dawn"]) };
    /// let Leased { value, mut lease, receipt, .. } = fairflow.call("sim-text", |_| pieces()).with_lease().await?;
    /// assert_eq!(receipt.attempts, 1);
    /// for piece in value {
    ///     lease.spend(piece.len() as u64 / 4); // and send the piece on
    /// }
    /// lease.settle();
    /// # Ok(())
    /// # }
    /// ```
    pub async fn with_lease(self) -> Result<Leased<T>, Error> {
        self.make().await
    }

    /// A block, since it waits by the hundred thousand: see [`run`].
    fn make(self) -> impl Future<Output = Result<Leased<T>, Error>> {
        let Self { engine, mut closure, plan, classify, .. } = self;
        async move {
            let (value, slot, receipt) = run(&engine.shared, plan, |attempt, _| {
                let attempt = closure(attempt);
                async {
                    let value = attempt.await.map_err(|error| read_failure(error, classify.as_ref()))?;
                    Ok(Yield { value, hints: RateHints::default(), id: None })
                }
            })
            .await?;
            Ok(Leased { value, lease: HeldLease(slot), receipt })
        }
    }
}

/// The value of a finished [`Call`] and the slot that the call still holds.
#[derive(Debug)]
#[non_exhaustive]
#[must_use = "a lease that is dropped unsettled counts as cancelled"]
pub struct Leased<T> {
    /// The closure's value.
    pub value: T,
    /// The slot, to be settled when the answer has ended.
    pub lease: HeldLease,
    /// How the call went until its value was there.
    pub receipt: Receipt,
}

/// A slot that a finished [`Call`] still holds. Dropped unsettled it counts as cancelled.
#[derive(Debug)]
#[must_use = "dropped unsettled it counts as cancelled"]
pub struct HeldLease(Slot);

impl HeldLease {
    /// Tells of work done so far beyond what was told before, in the units of [`Call::cost`]. Where it exceeds what was
    /// predicted, the tenant is charged for more while the answer streams, not when it has ended.
    pub fn spend(&mut self, units: u64) {
        self.0.spend(units);
    }

    /// Ends it well: the answer is complete.
    pub fn settle(self) {
        self.0.succeed(None, Usage::default());
    }

    /// Ends it well, with what it turned out to cost, in the units of [`Call::cost`], and what it used.
    pub fn settle_with(self, cost: u64, usage: Usage) {
        self.0.succeed(Some(Cost::new(cost)), usage);
    }

    /// Ends it badly: the answer broke off.
    pub fn fail(self, failure: &Failure) {
        self.0.fail(failure);
    }
}

impl<'a, F, Fut, T, E> IntoFuture for Call<'a, F, E>
where
    F: FnMut(Attempt) -> Fut + Send + 'a,
    Fut: Future<Output = Result<T, E>> + Send + 'a,
    T: Send + 'a,
    E: Into<Box<dyn std::error::Error + Send + Sync>> + Send + 'static,
{
    type Output = Result<T, Error>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.make().map_ok(|Leased { value, lease, .. }| {
            lease.settle();
            value
        }))
    }
}
