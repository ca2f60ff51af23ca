//! The live feed of capacity: one event per change.
//!
//! Each model that is watched has one task, which writes each change once; all watchers are sent the same bytes. A
//! watcher that reads slowly misses changes, never the latest. So the feed has no `you`: it would differ per watcher.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::{StreamExt, select_all, unfold};
use serde_json::json;
use tokio::sync::watch;

use crate::capacity::ModelCapacity;
use crate::config::TenantPolicy;
use crate::gateway::http::sse::KEEP_ALIVE;
use crate::{Error, Fairflow};

/// The feeds of models that are watched.
#[derive(Debug, Default, Clone)]
pub(in crate::gateway) struct Feeds(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Each model with its latest event.
    models: Mutex<HashMap<Arc<str>, watch::Sender<Bytes>>>,
    /// Events written so far, to however many watchers.
    written: AtomicU64,
}

impl Feeds {
    fn models(&self) -> MutexGuard<'_, HashMap<Arc<str>, watch::Sender<Bytes>>> {
        self.0.models.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how many follow a model now.
    pub(in crate::gateway) fn watchers(&self) -> usize {
        self.models().values().map(watch::Sender::receiver_count).sum()
    }

    /// Returns how many events were written.
    pub(in crate::gateway) fn written(&self) -> u64 {
        self.0.written.load(Ordering::Relaxed)
    }

    fn event(&self, capacity: &ModelCapacity) -> Bytes {
        self.0.written.fetch_add(1, Ordering::Relaxed);
        Bytes::from(format!("data: {}\n\n", json!({"models": [capacity]})))
    }

    /// Follows a model's events, the latest first.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownModel`], or [`Error::ModelForbidden`] where `policy` does not allow it.
    pub(super) fn subscribe(
        &self,
        fairflow: &Fairflow,
        policy: &TenantPolicy,
        model: &str,
    ) -> Result<watch::Receiver<Bytes>, Error> {
        let mut snapshots = fairflow.snapshots(model, policy)?;
        let mut models = self.models();
        if let Some(sender) = models.get(model) {
            return Ok(sender.subscribe());
        }
        let (sender, receiver) = watch::channel(self.event(&snapshots.borrow_and_update()));
        let name: Arc<str> = model.into();
        models.insert(name.clone(), sender.clone());
        let feeds = self.clone();
        actix_web::rt::spawn(async move {
            loop {
                tokio::select! {
                    changed = snapshots.changed() => {
                        if changed.is_err() {
                            break;
                        }
                        sender.send_replace(feeds.event(&snapshots.borrow_and_update()));
                    }
                    () = sender.closed() => {}
                }
                // Under the lock nobody can subscribe between the look and the end.
                let mut models = feeds.models();
                if sender.receiver_count() == 0 {
                    models.remove(&name);
                    return;
                }
            }
            feeds.models().remove(&name);
        });
        Ok(receiver)
    }
}

/// Sends the events of `feeds`, and a comment where there are none for `keep_alive`, until a drain begins.
pub(super) fn events(
    feeds: Vec<watch::Receiver<Bytes>>,
    draining: watch::Receiver<bool>,
    keep_alive: Duration,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let changes = select_all(feeds.into_iter().map(|mut feed| {
        feed.mark_changed();
        unfold(feed, |mut feed| async move {
            feed.changed().await.ok()?;
            let event = feed.borrow_and_update().clone();
            Some((event, feed))
        })
        .boxed_local()
    }));
    unfold((changes, draining), move |(mut changes, mut draining)| async move {
        let event = tokio::select! {
            biased;
            _ = draining.wait_for(|on| *on) => return None,
            event = tokio::time::timeout(keep_alive, changes.next()) => event,
        };
        let event = event.map_or(Some(KEEP_ALIVE), |event| event);
        event.map(|event| (Ok(event), (changes, draining)))
    })
}
