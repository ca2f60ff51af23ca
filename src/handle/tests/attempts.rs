//! How attempts are counted: once, whoever dies meanwhile.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;

use super::{config, engine, restarted};
use crate::actor::supervisor::CrashIn;
use crate::config::{RetryConfig, Span};
use crate::contract::failure::Failure;
use crate::core::outcome::Outcome;
use crate::engine::view::error::Error;
use crate::engine::view::events::EventKind;
use crate::testing::at_rest;

#[tokio::test]
async fn attempts_are_counted_over_the_death_of_a_queue_and_of_a_dispatcher() {
    let mut config = config(|_| {});
    // So long a backoff that the queue dies first.
    let base = Some(Span(Duration::from_secs(3_600)));
    config.defaults.retry = Some(RetryConfig { max_attempts: Some(2), base, max: base, ..RetryConfig::default() });
    let fairflow = engine(config).await;
    let (seen, begun, end) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Notify::new()), Arc::new(Notify::new()));
    let call = fairflow.call("sim-text", {
        let (seen, begun, end) = (seen.clone(), begun.clone(), end.clone());
        move |attempt| {
            seen.lock().expect("no panic").push((attempt.number(), attempt.is_last()));
            let (begun, end) = (begun.clone(), end.clone());
            async move {
                begun.notify_one();
                end.notified().await;
                Err::<(), _>(Failure::new(Outcome::Overloaded, "down"))
            }
        }
    });
    let call = tokio::spawn(async move { call.await });
    begun.notified().await;
    end.notify_one();
    let mut capacity = fairflow.watch("sim-text");
    capacity.wait_for(|now| now.queue_depth == 1 && now.in_flight == 0).await.expect("runs");
    fairflow.engine.running.crash(CrashIn::Queue("sim-text".into()));
    begun.notified().await;
    fairflow.engine.running.crash(CrashIn::Dispatcher("sim-text".into(), 0));
    restarted(&fairflow, 2).await;
    end.notify_one();
    let failed = call.await.expect("no panic");
    assert!(matches!(failed, Err(Error::RetriesExhausted { attempts: 2, .. })), "{failed:?}");
    assert_eq!(*seen.lock().expect("no panic"), [(1, false), (2, true)]);
    at_rest(&fairflow, "sim-text").await;
}

#[tokio::test]
async fn a_retry_is_told_of_only_where_there_is_one() {
    let mut config = config(|_| {});
    let base = Some(Span(Duration::from_millis(1)));
    config.defaults.retry = Some(RetryConfig { max_attempts: Some(4), base, max: base, ..RetryConfig::default() });
    let fairflow = engine(config).await;
    let mut events = fairflow.events();
    let call = fairflow.call("sim-text", |_| async { Err::<(), _>(Failure::new(Outcome::Overloaded, "down")) });
    let failed = call.max_attempts(2).tenant("acme").await;
    assert!(matches!(failed, Err(Error::RetriesExhausted { attempts: 2, .. })), "{failed:?}");
    drop(fairflow);
    let mut told = Vec::new();
    while let Some(event) = events.next().await {
        match event.expect("few events").kind {
            EventKind::Retried { tenant, attempt, .. } => told.push(format!("{tenant} {attempt} retried")),
            EventKind::Settled { attempt, .. } => told.push(format!("{attempt} settled")),
            _ => {}
        }
    }
    assert_eq!(told, ["1 settled", "acme 1 retried", "2 settled"]);
}
