//! Plays a trace: each arrival at its own time, as its own tenant.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use super::ask::Ask;
use super::record::{Record, Sample};
use super::target::{Ending, Target};
use super::trace::Trace;
use crate::task::{Task, Work};

/// How often window and queue are looked at.
const SAMPLE_EVERY: Duration = Duration::from_millis(250);

/// Sends every arrival at its time divided by `speed` and waits for all of them to end; an interrupt ends it early.
#[allow(clippy::disallowed_methods, reason = "a replay has its own beginning")]
pub(super) async fn drive(target: &Target, ask: &Ask, trace: &Trace, speed: f64) -> (Vec<Record>, Vec<Sample>) {
    let began = Instant::now();
    let bar = ProgressBar::new(trace.arrivals.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} ended, {elapsed} of about {msg}") {
        bar.set_style(style);
    }
    let last = trace.arrivals.last().map_or(Duration::ZERO, |arrival| arrival.at.div_f64(speed));
    bar.set_message(humantime::format_duration(Duration::from_secs(last.as_secs())).to_string());
    let (stop, stopped) = oneshot::channel();
    let looks = tokio::spawn(watch(target.clone(), ask.model.clone(), began, stopped));
    let mut calls = JoinSet::new();
    let mut records = Vec::with_capacity(trace.arrivals.len());
    let mut arrivals = trace.arrivals.iter().peekable();
    let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
    while arrivals.peek().is_some() || !calls.is_empty() {
        let next = arrivals.peek().map(|arrival| began + arrival.at.div_f64(speed));
        tokio::select! {
            () = tokio::time::sleep_until(next.unwrap_or(began)), if next.is_some() => {
                if let Some(arrival) = arrivals.next() {
                    calls.spawn(play(target.clone(), ask.work(arrival), arrival.tenant.clone(), began));
                }
            }
            Some(ended) = calls.join_next() => {
                records.extend(ended);
                bar.inc(1);
            }
            _ = &mut interrupt => {
                bar.abandon_with_message("interrupted: what had ended is reported");
                break;
            }
        }
    }
    calls.shutdown().await;
    bar.finish();
    drop(stop);
    (records, looks.await.unwrap_or_default())
}

async fn play(target: Target, work: Work, tenant: String, began: Instant) -> Record {
    let arrived = began.elapsed();
    let cost = f64::from(work.cost().units());
    let Ending { queue_ms, upstream_ms, attempts, status, reason } = target.send(work, &tenant).await;
    let total_ms = (began.elapsed() - arrived).as_secs_f64() * 1e3;
    let arrived = arrived.as_secs_f64();
    Record { tenant, arrived, queue_ms, upstream_ms, total_ms, attempts, status, reason, cost }
}

/// Looks at the model until `stopped`.
async fn watch(target: Target, model: String, began: Instant, mut stopped: oneshot::Receiver<()>) -> Vec<Sample> {
    let mut samples = Vec::new();
    let mut ticks = tokio::time::interval(SAMPLE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = &mut stopped => return samples,
            _ = ticks.tick() => samples.extend(target.look(&model, began.elapsed().as_secs_f64()).await),
        }
    }
}
