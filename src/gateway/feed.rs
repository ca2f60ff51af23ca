//! The live feed of capacity: one event per change.
//!
//! Each model that is watched has one task, which writes each change once; all watchers are sent the same bytes. A
//! watcher that reads slowly misses changes, never the latest. So the feed has no `you`: it would differ per watcher.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix_web::web::Data;
use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::{StreamExt, select_all, unfold};
use serde_json::json;
use tokio::sync::watch;

use super::event_stream::KEEP_ALIVE;
use super::state::Gateway;
use crate::Error;
use crate::capacity::ModelCapacity;
use crate::config::TenantPolicy;

/// The models being watched, each with its latest event.
#[derive(Debug, Default)]
pub(super) struct Feeds {
    models: Mutex<HashMap<Arc<str>, watch::Sender<Bytes>>>,
    /// Events written so far, whoever was sent them.
    written: AtomicU64,
}

impl Feeds {
    fn models(&self) -> MutexGuard<'_, HashMap<Arc<str>, watch::Sender<Bytes>>> {
        self.models.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how many follow a model now.
    pub(super) fn watchers(&self) -> usize {
        self.models().values().map(watch::Sender::receiver_count).sum()
    }

    /// Returns how many events were written.
    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    fn event(&self, capacity: &ModelCapacity) -> Bytes {
        self.written.fetch_add(1, Ordering::Relaxed);
        Bytes::from(format!("data: {}\n\n", json!({"models": [capacity]})))
    }
}

/// Follows a model's events, the latest first.
///
/// # Errors
///
/// [`Error::UnknownModel`], or [`Error::ModelForbidden`] where `policy` does not allow it.
pub(super) fn subscribe(
    gateway: &Data<Gateway>,
    policy: &TenantPolicy,
    model: &str,
) -> Result<watch::Receiver<Bytes>, Error> {
    let mut snapshots = gateway.fairflow.snapshots(model, policy)?;
    let mut feeds = gateway.feeds.models();
    if let Some(sender) = feeds.get(model) {
        return Ok(sender.subscribe());
    }
    let (sender, receiver) = watch::channel(gateway.feeds.event(&snapshots.borrow_and_update()));
    let name: Arc<str> = model.into();
    feeds.insert(name.clone(), sender.clone());
    let gateway = gateway.clone();
    actix_web::rt::spawn(async move {
        loop {
            tokio::select! {
                changed = snapshots.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    sender.send_replace(gateway.feeds.event(&snapshots.borrow_and_update()));
                }
                () = sender.closed() => {}
            }
            // Under the lock nobody can subscribe between the look and the end.
            let mut feeds = gateway.feeds.models();
            if sender.receiver_count() == 0 {
                feeds.remove(&name);
                return;
            }
        }
        gateway.feeds.models().remove(&name);
    });
    Ok(receiver)
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
