//! The state that all handlers of a gateway share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::web::Data;
use tokio::sync::watch;

use super::admin::dashboard::Dashboard;
use super::capacity::Feeds;
use super::http::door::Door;
use super::http::idempotency::Answers;
use super::openai::responses::Kept;
use super::openai::videos::Made;
use super::runware::{Done, Sessions};
use crate::Fairflow;
use crate::jobs::{Jobs, Webhooks};
use crate::telemetry::Telemetry;

/// The gateway behind its routes.
#[derive(Debug)]
pub(super) struct Gateway {
    pub(super) fairflow: Fairflow,
    pub(super) answers: Answers,
    pub(super) dashboard: Dashboard,
    pub(super) feeds: Feeds,
    pub(super) jobs: Jobs<Done>,
    pub(super) videos: Jobs<Made>,
    pub(super) responses: Jobs<Kept>,
    pub(super) webhooks: Webhooks,
    pub(super) sessions: Sessions,
    pub(super) telemetry: Telemetry,
    /// Whether the admin port is on loopback, where it may go without a key.
    pub(super) admin_on_loopback: bool,
    /// The counters of refusals that no model counts.
    pub(super) door: Data<Door>,
    leaving: AtomicBool,
    draining: watch::Sender<bool>,
}

impl Gateway {
    pub(super) fn new(fairflow: Fairflow, telemetry: Telemetry, admin_on_loopback: bool) -> Self {
        Self {
            answers: Answers::default(),
            dashboard: Dashboard::default(),
            feeds: Feeds::default(),
            jobs: Jobs::default(),
            videos: Jobs::default(),
            responses: Jobs::default(),
            webhooks: Webhooks::default(),
            sessions: Sessions::default(),
            telemetry,
            admin_on_loopback,
            door: Data::default(),
            leaving: AtomicBool::new(false),
            draining: watch::Sender::new(false),
            fairflow,
        }
    }

    /// Says that it is not ready any more, and after `delay` ends the feeds, which would never end by themselves, and
    /// drains the scheduler. Without a delay all that has begun when this returns.
    pub(super) fn drain(self: Arc<Self>, delay: Duration, timeout: Duration) -> impl Future<Output = bool> {
        self.leaving.store(true, Ordering::SeqCst);
        let begun = delay.is_zero().then(|| self.begin_drain(timeout));
        async move {
            let drained = match begun {
                Some(drained) => drained,
                None => {
                    tokio::time::sleep(delay).await;
                    self.begin_drain(timeout)
                }
            };
            let posted = async {
                let in_time = drained.await;
                while self.webhooks.pending() > 0 {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                in_time
            };
            tokio::time::timeout(timeout, posted).await.unwrap_or(false)
        }
    }

    fn begin_drain(&self, timeout: Duration) -> impl Future<Output = bool> + use<> {
        self.draining.send_replace(true);
        self.fairflow.drain(timeout)
    }

    /// Says whether requests should be sent here.
    pub(super) fn is_ready(&self) -> bool {
        !self.leaving.load(Ordering::SeqCst) && !self.fairflow.is_draining()
    }

    /// Returns what turns true when a drain begins.
    pub(super) fn draining(&self) -> watch::Receiver<bool> {
        self.draining.subscribe()
    }
}
