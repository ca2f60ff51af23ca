//! The live feed of capacity: one event per change.
//!
//! Each model that is watched has one task, which writes each change once; all watchers are sent the same bytes. A
//! watcher that reads slowly misses changes, never the latest. So the feed has no `you`: it would differ per watcher.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
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

/// The models being watched, each with its latest event.
#[derive(Debug, Default)]
pub(super) struct Feeds(Mutex<HashMap<Arc<str>, watch::Sender<Bytes>>>);

fn event(capacity: &ModelCapacity) -> Bytes {
    Bytes::from(format!("data: {}\n\n", json!({"models": [capacity]})))
}

/// Follows a model's events, the latest first.
///
/// # Errors
///
/// [`Error::UnknownModel`].
pub(super) fn subscribe(gateway: &Data<Gateway>, model: &str) -> Result<watch::Receiver<Bytes>, Error> {
    let mut snapshots = gateway.fairflow.snapshots(model)?;
    let mut feeds = gateway.feeds.0.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(sender) = feeds.get(model) {
        return Ok(sender.subscribe());
    }
    let (sender, receiver) = watch::channel(event(&snapshots.borrow_and_update()));
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
                    sender.send_replace(event(&snapshots.borrow_and_update()));
                }
                () = sender.closed() => {}
            }
            // Under the lock nobody can subscribe between the look and the end.
            let mut feeds = gateway.feeds.0.lock().unwrap_or_else(PoisonError::into_inner);
            if sender.receiver_count() == 0 {
                feeds.remove(&name);
                return;
            }
        }
        gateway.feeds.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
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
