//! Traces and metrics by OTLP: protobuf over HTTP, by the HTTP client that is there anyway.
//!
//! The messages are made of opentelemetry-proto's types and sent by a task of our own, instead of through the SDK: its
//! instruments do not take histograms that are summed up already, and its spans are made as things happen, not from a
//! story. What is sent is exactly what `/metrics` and the headers say.

mod export;
mod metrics;
mod order;
mod setup;
mod spans;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, oneshot};

use self::order::{Order, Told};
use self::setup::Setup;
use super::{Context, Origin};
use crate::Fairflow;
use crate::witness::Story;

/// Requests that wait to be sent; further ones are dropped, so that a collector that is away costs this much at most.
const MOST_WAITING: usize = 4_096;

/// Sends spans and metrics in the background.
#[derive(Debug)]
pub(super) struct Exporter {
    orders: mpsc::Sender<Order>,
    dropped: Arc<AtomicU64>,
    sample_ratio: f64,
}

impl Exporter {
    /// Begins to export, where the configuration or the environment names an endpoint.
    ///
    /// # Errors
    ///
    /// A sentence, where the endpoint or a header cannot be used.
    pub(super) fn start(fairflow: &Fairflow) -> Result<Option<Self>, String> {
        let Some(setup) = Setup::read(&fairflow.settings().telemetry, |name| std::env::var(name).ok())? else {
            return Ok(None);
        };
        let (orders, receiver) = mpsc::channel(MOST_WAITING);
        let dropped = Arc::new(AtomicU64::new(0));
        let sample_ratio = setup.sample_ratio;
        tracing::info!(endpoint = %setup.shown(), sample_ratio, "traces and metrics are sent by OTLP");
        tokio::spawn(export::run(setup, fairflow.clone(), receiver, dropped.clone()));
        Ok(Some(Self { orders, dropped, sample_ratio }))
    }

    /// Begins the trace of a request, or its part of the caller's: the caller decides then whether it is recorded.
    pub(super) fn trace(&self, caller: Option<&Context>) -> Trace {
        let (high, low) = uuid::Uuid::new_v4().as_u64_pair();
        let context = match caller {
            Some(caller) => Context { span: low | 1, ..caller.clone() },
            None => {
                let trace = uuid::Uuid::new_v4().as_u128();
                Context { trace, span: low | 1, sampled: is_sampled(high, self.sample_ratio), state: None }
            }
        };
        let parent = caller.map(|caller| caller.span);
        Trace { context, parent, orders: self.orders.clone(), dropped: self.dropped.clone() }
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    pub(super) async fn flush(&self, limit: Duration) {
        let flushed = async {
            let (done, wait) = oneshot::channel();
            if self.orders.send(Order::Flush(done)).await.is_ok() {
                // An error says that the task has ended: nothing is left to wait for.
                drop(wait.await);
            }
        };
        if tokio::time::timeout(limit, flushed).await.is_err() {
            tracing::warn!("the collector did not take the last traces in time; they are lost");
        }
    }
}

/// Draws whether a trace is recorded; `random` has all bits but version and variant random.
fn is_sampled(random: u64, ratio: f64) -> bool {
    #[allow(clippy::cast_precision_loss, reason = "a share")]
    let drawn = (random >> 16) as f64 / (1_u64 << 48) as f64;
    drawn < ratio
}

/// The trace of one request.
#[derive(Debug)]
pub(super) struct Trace {
    context: Context,
    parent: Option<u64>,
    orders: mpsc::Sender<Order>,
    dropped: Arc<AtomicU64>,
}

impl Trace {
    /// Returns the place of an attempt in the trace, which its provider is told.
    pub(super) fn attempt(&self, number: u32) -> Context {
        Context { span: spans::attempt_id(self.context.span, number), ..self.context.clone() }
    }

    /// Hands a request that has ended over to be sent, or drops it where too many wait.
    pub(super) fn tell(&self, origin: &Origin, operation: &str, task: Option<&Arc<str>>, story: Story) {
        if !self.context.sampled {
            return;
        }
        let told = Told {
            context: self.context.clone(),
            parent: self.parent,
            request_id: origin.id.clone(),
            operation: operation.into(),
            task: task.cloned(),
            story,
            at: SystemTime::now(),
        };
        if self.orders.try_send(Order::Tell(Box::new(told))).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_that_is_sampled_is_the_ratio() {
        let drawn = |ratio| (0..4_000).filter(|_| is_sampled(uuid::Uuid::new_v4().as_u64_pair().0, ratio)).count();
        assert_eq!((drawn(0.0), drawn(1.0)), (0, 4_000));
        let half = drawn(0.5);
        assert!((1_800..2_200).contains(&half), "{half}");
    }
}
