//! Following one model's capacity.

use std::sync::{Arc, Weak};

use futures_util::stream::{Stream, unfold};
use tokio::sync::watch;

use crate::engine::shared::registry::Shared;
use crate::engine::view::capacity::ModelCapacity;
use crate::engine::view::error::Error;

/// Follows a model's snapshots by its name, at most twenty a second; see [`Fairflow::watch`](crate::Fairflow::watch).
///
/// It does not keep the engine running, and goes on where a reload takes the model away and brings it back.
#[derive(Debug)]
pub struct Watch {
    shared: Weak<Shared>,
    model: Arc<str>,
    receiver: Option<watch::Receiver<ModelCapacity>>,
}

impl Watch {
    pub(crate) fn new(shared: &Arc<Shared>, model: &str) -> Self {
        Self { shared: Arc::downgrade(shared), model: model.into(), receiver: None }
    }

    /// Waits for a snapshot that this watch has not returned yet: at first the latest, then the next that differs. A
    /// slow caller misses snapshots, never the latest. Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownModel`] where no such model runs (now), [`Error::Stopped`] where the engine does not.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use fairflow::{Config, Fairflow};
    /// let fairflow = Fairflow::builder(Config::demo()).start().await?;
    /// let mut capacity = fairflow.watch("sim-text");
    /// let now = capacity.next().await?;
    /// println!("{} of {} in flight, {} waiting", now.in_flight, now.window, now.queue_depth);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn next(&mut self) -> Result<ModelCapacity, Error> {
        loop {
            let receiver = match &mut self.receiver {
                Some(receiver) => receiver,
                None => self.receiver.insert(self.subscribe()?),
            };
            if receiver.changed().await.is_ok() {
                return Ok(receiver.borrow_and_update().clone());
            }
            // The model has been taken away, or the engine has stopped.
            self.receiver = None;
        }
    }

    /// Waits for a snapshot of which `wanted` is true, which may be the latest.
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    pub async fn wait_for(&mut self, mut wanted: impl FnMut(&ModelCapacity) -> bool) -> Result<ModelCapacity, Error> {
        if let Some(receiver) = &mut self.receiver {
            receiver.mark_changed();
        }
        loop {
            let now = self.next().await?;
            if wanted(&now) {
                return Ok(now);
            }
        }
    }

    /// Turns the watch into a stream of snapshots. It ends after its first error.
    pub fn into_stream(self) -> impl Stream<Item = Result<ModelCapacity, Error>> + Send + 'static {
        unfold(Some(self), |watch| async move {
            let mut watch = watch?;
            let next = watch.next().await;
            let rest = next.is_ok().then_some(watch);
            Some((next, rest))
        })
    }

    fn subscribe(&self) -> Result<watch::Receiver<ModelCapacity>, Error> {
        let shared = self.shared.upgrade().ok_or(Error::Stopped)?;
        let mut receiver = shared.subscribe(&self.model)?;
        receiver.mark_changed();
        Ok(receiver)
    }
}
