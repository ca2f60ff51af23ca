//! Looks once a second at all models that do something, and remembers what it saw and what was decided.

use std::time::Duration;

use actix_web::web::Data;

use crate::events::{Event, Missed};
use crate::gateway::app::Gateway;

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Looks and remembers until the engine has stopped.
pub(in crate::gateway) async fn record(gateway: Data<Gateway>) {
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
    let (touched, count) = gateway.fairflow.touched();
    gateway.dashboard.recorder().look(now, touched, count, |model| gateway.fairflow.seen(model));
    for model in gateway.dashboard.shares.due(now) {
        if let Ok(standings) = gateway.fairflow.standings(&model).await {
            gateway.dashboard.shares.sample(&model, standings);
        }
    }
}
