//! A typed task on its way: build it, then await it.

use std::future::IntoFuture;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, StreamExt};
use tokio::time::Instant;

use super::engine::Engine;
use crate::contract::provider::Reply;
use crate::contract::streams::Streams;
use crate::core::cost::Cost;
use crate::core::fair_queue::Class;
use crate::engine::caller::dispatch::dispatch;
use crate::engine::caller::plan::{Plan, setters};
use crate::engine::caller::stream::hold;
use crate::engine::view::error::Error;
use crate::engine::view::receipt::Receipt;
use crate::task::Task;
use crate::wire::Request;

/// A typed task about to be scheduled; await it.
#[derive(Debug)]
#[must_use = "nothing happens until it is awaited"]
pub struct Generate<T> {
    engine: Arc<Engine>,
    task: T,
    plan: Box<Plan>,
    job: Option<Arc<str>>,
}

impl<T: Task> Generate<T> {
    pub(crate) fn new(engine: Arc<Engine>, task: T) -> Self {
        let plan = Box::new(Plan::of(&task));
        Self { engine, task, plan, job: None }
    }

    #[cfg(feature = "actix-messages")]
    pub(crate) fn with_plan(engine: Arc<Engine>, task: T, plan: Box<Plan>) -> Self {
        Self { engine, task, plan, job: None }
    }

    setters!(plan);

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
        let (reply, settling, receipt) = dispatch(&self.engine.shared, self.plan, &request, self.job).await?;
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
        let mut plan = self.plan;
        plan.quote.streams = true;
        let (reply, settling, _) = dispatch(&self.engine.shared, plan, &request, self.job).await?;
        let pieces =
            T::pieces(reply).map_err(|other| Error::Internal(format!("the provider did not stream: {other:?}")))?;
        let pieces = hold::<T>(pieces, settling);
        Ok(pieces.map(|item| item.map_err(|failure| Error::Rejected(Box::new(failure)))).boxed())
    }
}

impl<T: Task> IntoFuture for Generate<T> {
    type Output = Result<T::Output, Error>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.with_receipt().await.map(|(output, _)| output) })
    }
}
