//! Requests as an embedder writes them: build, then await.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryFutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, StreamExt};
use tokio::time::Instant;

use super::error::Error;
use super::handle::Fairflow;
use super::provider::{Attempt, Failure, Reply, Source};
use super::run::{Receipt, Spec, Yield, run};
use super::slot::Slot;
use super::stream::hold;
use super::streams::Streams;
use crate::core::cost::Cost;
use crate::core::fair_queue::Class;
use crate::core::outcome::Outcome;
use crate::core::pacer::RateHints;
use crate::task::{Task, Usage};
use crate::wire::Request;

macro_rules! scheduling {
    () => {
        /// Names who pays; default `default`.
        pub fn tenant(mut self, tenant: impl Into<Arc<str>>) -> Self {
            self.spec.tenant = Some(tenant.into());
            self
        }

        /// Says how urgent it is; never more than the tenant's tier allows.
        pub fn class(mut self, class: Class) -> Self {
            self.spec.class = Some(class);
            self
        }

        /// Sets the predicted cost in the task's units; default what the task says, or 1.
        pub fn cost(mut self, units: u64) -> Self {
            self.spec.quote.units = Cost::new(units);
            self
        }

        /// Limits the wait for a slot, over all attempts; never longer than the model's `max_wait`, its default.
        pub fn max_wait(mut self, wait: Duration) -> Self {
            self.spec.max_wait = Some(wait);
            self
        }

        /// Limits the attempts, the first included, to fewer than the model allows: 1 where the work must not be done
        /// twice.
        pub fn max_attempts(mut self, attempts: u32) -> Self {
            self.spec.max_attempts = attempts.max(1);
            self
        }

        /// Sets by when the answer must be there, waiting and attempts together; default no such moment.
        ///
        /// What cannot make it is refused at once; what does not make it ends with [`Error::DeadlineExceeded`], its
        /// attempt abandoned. The provider is not blamed for it.
        pub fn deadline(mut self, deadline: Instant) -> Self {
            self.spec.deadline = Some(deadline);
            self
        }

        /// Names who is told how it went, once it has ended in whatever way.
        pub fn witness(mut self, witness: Arc<dyn crate::witness::Witness>) -> Self {
            self.spec.witness = Some(witness);
            self
        }
    };
}

#[cfg(feature = "actix-messages")]
pub(crate) use scheduling;

/// A typed task about to be scheduled; await it.
#[derive(Debug)]
#[must_use = "nothing happens until it is awaited"]
pub struct Generate<T> {
    fairflow: Fairflow,
    task: T,
    spec: Box<Spec>,
    job: Option<Arc<str>>,
}

impl<T: Task> Generate<T> {
    pub(crate) fn new(fairflow: Fairflow, task: T) -> Self {
        let spec = Box::new(Spec::of(&task));
        Self { fairflow, task, spec, job: None }
    }

    #[cfg(feature = "actix-messages")]
    pub(crate) fn with_spec(fairflow: Fairflow, task: T, spec: Box<Spec>) -> Self {
        Self { fairflow, task, spec, job: None }
    }

    scheduling!();

    /// Names the request, uniquely over all tenants. Providers with an idempotency key make it once; those that are
    /// polled take up, under the same name, what they were already doing before a restart.
    pub fn job(mut self, name: impl Into<Arc<str>>) -> Self {
        self.job = Some(name.into());
        self
    }

    /// Runs the task and also tells how it went.
    ///
    /// # Errors
    ///
    /// [`Error`]; its documentation says what each means and what to do.
    pub async fn with_receipt(self) -> Result<(T::Output, Receipt), Error> {
        let request = Request::Typed(self.task.into_work());
        let (reply, settling, receipt) = self.fairflow.dispatch_job(self.spec, &request, self.job).await?;
        settling.done();
        let Reply::Product(product) = reply else {
            return Err(Error::Internal("the provider answered a typed task in wire form".into()));
        };
        let output = T::output(product)
            .map_err(|other| Error::Internal(format!("the provider made something else: {other:?}")))?;
        Ok((output, receipt))
    }

    /// Runs the task and streams its result piece by piece; the slot is held until the stream ends or is dropped.
    ///
    /// # Errors
    ///
    /// [`Error`] before the first piece, [`Error::Internal`] where the provider does not stream such a task. After that an
    /// item of the stream may be one, and ends it.
    pub async fn stream(self) -> Result<BoxStream<'static, Result<T::Piece, Error>>, Error>
    where
        T: Streams,
    {
        let request = Request::Typed(self.task.into_streamed());
        let mut spec = self.spec;
        spec.quote.streams = true;
        let (reply, settling, _) = self.fairflow.dispatch_job(spec, &request, self.job).await?;
        let pieces =
            T::pieces(reply).map_err(|other| Error::Internal(format!("the provider did not stream: {other:?}")))?;
        let pieces = hold::<T>(pieces, settling);
        Ok(pieces.map(|item| item.map_err(|failure| Error::Rejected(Box::new(failure)))).boxed())
    }
}

impl<T: Task> IntoFuture for Generate<T> {
    type Output = Result<T::Output, Error>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture
    where
        T: Send,
    {
        Box::pin(async move { self.with_receipt().await.map(|(output, _)| output) })
    }
}

/// Says what an error of a closure means.
type Classify<E> = Box<dyn Fn(&E) -> Failure + Send + Sync>;

/// A call about to be scheduled; await it. Its closure may borrow, as long as the call is awaited where it is made.
#[must_use = "nothing happens until it is awaited"]
pub struct Call<'a, F, E> {
    fairflow: Fairflow,
    closure: F,
    spec: Box<Spec>,
    /// `None` takes a [`Failure`] at its word and any other error as the caller's own affair.
    classify: Option<Classify<E>>,
    /// What the closure may borrow.
    borrows: PhantomData<&'a ()>,
    error: PhantomData<fn() -> E>,
}

impl<F, E> fmt::Debug for Call<'_, F, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("spec", &self.spec).finish_non_exhaustive()
    }
}

impl<F, E: 'static> Call<'_, F, E> {
    pub(crate) fn new(fairflow: Fairflow, model: Arc<str>, closure: F) -> Self {
        let spec = Box::new(Spec::new(model));
        Self { fairflow, closure, spec, classify: None, borrows: PhantomData, error: PhantomData }
    }

    scheduling!();

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
        let (value, lease, receipt) = self.with_lease().await?;
        lease.settle();
        Ok((value, receipt))
    }

    /// Makes the call and returns its slot with it, still held: for answers that stream. Also tells how it went.
    ///
    /// # Errors
    ///
    /// [`Error`]; its documentation says what each means and what to do.
    pub async fn with_lease(self) -> Result<(T, HeldLease, Receipt), Error> {
        self.make().await
    }

    /// A block, since it waits by the hundred thousand: see [`run`].
    fn make(self) -> impl Future<Output = Result<(T, HeldLease, Receipt), Error>> {
        let Self { fairflow, mut closure, spec, classify, .. } = self;
        async move {
            let (value, slot, receipt) = run(&fairflow.engine, spec, |attempt| {
                let attempt = closure(attempt);
                async {
                    let value = attempt.await.map_err(|error| read_failure(error, classify.as_ref()))?;
                    Ok(Yield { value, hints: RateHints::default(), id: None })
                }
            })
            .await?;
            Ok((value, HeldLease(slot), receipt))
        }
    }
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
        Box::pin(self.make().map_ok(|(value, lease, _)| {
            lease.settle();
            value
        }))
    }
}
