//! What all handlers of one gateway share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use super::dashboard::Dashboard;
use super::feed::Feeds;
use super::foreign::Pages;
use super::idempotency::Answers;
use super::openai::kept::Kept;
use super::openai::videos::Made;
use super::refusal::Refusal;
use super::runware::{Done, Sessions};
use crate::jobs::{Jobs, Webhooks};
use crate::telemetry::{self, Telemetry};
use crate::{Fairflow, Reason};

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
    /// The pages that may use the public port.
    pub(super) pages: Pages,
    leaving: AtomicBool,
    draining: watch::Sender<bool>,
    refused: [AtomicU64; Reason::ALL.len()],
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
            pages: Pages::new(&fairflow.settings().server),
            leaving: AtomicBool::new(false),
            draining: watch::Sender::new(false),
            refused: std::array::from_fn(|_| AtomicU64::new(0)),
            fairflow,
        }
    }

    /// Counts a refusal that no model counts, and logs it: no story is told of it.
    pub(super) fn count(&self, refusal: &Refusal) {
        if !refusal.is_counted() {
            telemetry::refused(refusal.reason, refusal.status, refusal.param.as_deref());
            self.refused[refusal.reason.index()].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns how many refusals no model counts, by reason.
    pub(super) fn refused(&self) -> impl Iterator<Item = (Reason, u64)> {
        Reason::ALL.iter().copied().zip(&self.refused).map(|(reason, count)| (reason, count.load(Ordering::Relaxed)))
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
