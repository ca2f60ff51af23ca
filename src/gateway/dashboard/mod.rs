//! The dashboard: a page on the admin port, and what it reads.
//!
//! One task looks at all models once a second and remembers ten minutes ([`history`]) and the latest decisions
//! ([`decision`]); the page asks for them once a second while it is seen. Tenants are sampled only where somebody looks
//! ([`shares`]). The page itself is plain files in `assets`, within the binary, and asks nobody else for anything.

mod assets;
mod decision;
mod history;
mod pages;
mod recorder;
mod shares;

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use actix_web::web::Data;

pub(super) use self::assets::{asset, page};
pub(super) use self::pages::{model, overview, tenants};
use self::recorder::Recorder;
use self::shares::Shares;
use super::state::Gateway;
use crate::clock::unix_time;
use crate::events::{Event, Missed};

/// How often models are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What the page reads.
#[derive(Debug, Default)]
pub(super) struct Dashboard {
    recorder: Mutex<Recorder>,
    shares: Shares,
    public: OnceLock<SocketAddr>,
}

impl Dashboard {
    fn recorder(&self) -> MutexGuard<'_, Recorder> {
        self.recorder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns Unix time in seconds.
    fn now(&self) -> u32 {
        u32::try_from(unix_time()).unwrap_or(u32::MAX)
    }

    /// Tells where requests are taken, for the example on the page.
    pub(super) fn serves_at(&self, public: SocketAddr) {
        self.public.get_or_init(|| public);
    }

    fn public(&self) -> Option<String> {
        self.public.get().map(SocketAddr::to_string)
    }
}

/// Looks and remembers until the engine has stopped.
pub(super) async fn record(gateway: Data<Gateway>) {
    let mut decisions = gateway.fairflow.decisions();
    // Not at once: routes have not told their windows yet.
    tokio::time::sleep(LOOK_EVERY).await;
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            event = decisions.next() => match event {
                Some(Ok(event)) => decided(&gateway, event),
                Some(Err(Missed(missed))) => tracing::debug!(missed, "the dashboard missed decisions"),
                None => return,
            },
            _ = ticks.tick() => look(&gateway).await,
        }
    }
}

fn decided(gateway: &Gateway, event: Event) {
    let now = gateway.dashboard.now();
    gateway.dashboard.recorder().decided(now, event);
}

async fn look(gateway: &Gateway) {
    let now = gateway.dashboard.now();
    let mut stats = gateway.fairflow.stats().into_iter().peekable();
    // Both are in order of names; a model that came or went in between is in one of them only.
    let both = gateway.fairflow.capacity().into_iter().filter_map(|capacity| {
        while stats.next_if(|(name, _)| *name < capacity.model).is_some() {}
        let (_, stats) = stats.next_if(|(name, _)| *name == capacity.model)?;
        Some((capacity, stats))
    });
    let models: Vec<_> = both.collect();
    gateway.dashboard.recorder().look(now, &models);
    for model in gateway.dashboard.shares.due(now) {
        if let Ok(standings) = gateway.fairflow.standings(&model).await {
            gateway.dashboard.shares.sample(&model, standings);
        }
    }
}
