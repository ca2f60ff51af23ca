//! Requests as an embedder writes them: build, then await.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, StreamExt};

use super::error::Error;
use super::handle::Fairflow;
use super::provider::{Attempt, Failure, Reply};
use super::run::{Receipt, Spec, Yield, run};
use crate::core::cost::Cost;
use crate::core::fair_queue::Class;
use crate::core::outcome::Outcome;
use crate::core::pacer::RateHints;
use crate::task::{Request, Task, TextDelta, TextInference, Usage};

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
            self.spec.cost = Cost::new(units);
            self
        }

        /// Limits the wait for a slot; never longer than the model's `max_wait`.
        pub fn max_wait(mut self, wait: Duration) -> Self {
            self.spec.max_wait = Some(wait);
            self
        }
    };
}

/// A typed task about to be scheduled; await it.
#[derive(Debug)]
#[must_use = "nothing happens until it is awaited"]
pub struct Generate<T> {
    fairflow: Fairflow,
    task: T,
    spec: Spec,
    job: Option<Arc<str>>,
}

impl<T: Task> Generate<T> {
    pub(crate) fn new(fairflow: Fairflow, task: T) -> Self {
        let spec = Spec { model: task.model().into(), tenant: None, class: None, cost: task.cost(), max_wait: None };
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
}

impl Generate<TextInference> {
    /// Streams the text piece by piece; the slot is held until the stream ends or is dropped.
    ///
    /// # Errors
    ///
    /// [`Error`] before the first piece; after that an item of the stream may be one.
    pub async fn stream(mut self) -> Result<BoxStream<'static, Result<TextDelta, Error>>, Error> {
        self.task.stream = true;
        let request = Request::Typed(self.task.into_work());
        let (reply, settling, _) = self.fairflow.dispatch(self.spec, &request).await?;
        let Reply::Deltas(deltas) = reply else {
            return Err(Error::Internal("the provider did not stream".into()));
        };
        Ok(super::stream::hold_deltas(deltas, settling)
            .map(|item| item.map_err(|failure| Error::Rejected(Box::new(failure))))
            .boxed())
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

/// A call about to be scheduled; await it.
#[must_use = "nothing happens until it is awaited"]
pub struct Call<F, E> {
    fairflow: Fairflow,
    closure: F,
    spec: Spec,
    classify: Box<dyn Fn(&E) -> Failure + Send + Sync>,
    error: PhantomData<fn() -> E>,
}

impl<F, E> fmt::Debug for Call<F, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("spec", &self.spec).finish_non_exhaustive()
    }
}

impl<F, E: std::error::Error + Send + Sync + 'static> Call<F, E> {
    pub(crate) fn new(fairflow: Fairflow, model: Arc<str>, closure: F) -> Self {
        let spec = Spec { model, tenant: None, class: None, cost: Cost::ONE, max_wait: None };
        Self { fairflow, closure, spec, classify: Box::new(read_failure), error: PhantomData }
    }

    scheduling!();

    /// Says what an error of the closure means to the scheduler.
    pub fn classify(mut self, classify: impl Fn(&E) -> Failure + Send + Sync + 'static) -> Self {
        self.classify = Box::new(classify);
        self
    }
}

/// Takes a [`Failure`] at its word; any other error is the caller's own affair.
fn read_failure<E: std::error::Error + 'static>(error: &E) -> Failure {
    let any: &dyn std::any::Any = error;
    any.downcast_ref::<Failure>().cloned().unwrap_or_else(|| Failure::new(Outcome::Rejected, error.to_string()))
}

impl<F, Fut, T, E> IntoFuture for Call<F, E>
where
    F: FnMut(Attempt) -> Fut + Send + 'static,
    Fut: Future<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: std::error::Error + Send + Sync + 'static,
{
    type Output = Result<T, Error>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Self { fairflow, mut closure, spec, classify, .. } = self;
            let classify = &classify;
            let (value, slot, _) = run(&fairflow.engine, spec, |attempt| {
                let attempt = closure(attempt);
                async move {
                    let value = attempt.await.map_err(|error| classify(&error))?;
                    Ok(Yield { value, hints: RateHints::default() })
                }
            })
            .await?;
            slot.succeed(None, Usage::default());
            Ok(value)
        })
    }
}
