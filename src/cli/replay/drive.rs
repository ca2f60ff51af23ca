//! Plays a trace into an embedded scheduler: each arrival at its own time, as its own tenant.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::record::{Record, Sample};
use super::trace::{Arrival, Size, Trace};
use crate::task::{ImageInference, Task, TextInference};
use crate::{Error, Fairflow, Receipt};

/// How often windows and queues are looked at.
const SAMPLE_EVERY: Duration = Duration::from_millis(250);

/// Submits every arrival at its time divided by `speed` and waits for all of them to end.
#[allow(clippy::disallowed_methods, reason = "a replay has its own beginning")]
pub(super) async fn drive(fairflow: &Fairflow, trace: &Trace, speed: f64) -> (Vec<Record>, Vec<Sample>) {
    let began = Instant::now();
    let bar = ProgressBar::new(trace.arrivals.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} ended, {elapsed} {msg}") {
        bar.set_style(style);
    }
    let mut calls = JoinSet::new();
    let (mut records, mut samples) = (Vec::with_capacity(trace.arrivals.len()), Vec::new());
    let mut arrivals = trace.arrivals.iter().peekable();
    let mut ticks = tokio::time::interval(SAMPLE_EVERY);
    while arrivals.peek().is_some() || !calls.is_empty() {
        let next = arrivals.peek().map(|arrival| began + arrival.at.div_f64(speed));
        tokio::select! {
            () = tokio::time::sleep_until(next.unwrap_or(began)), if next.is_some() => {
                if let Some(arrival) = arrivals.next() {
                    calls.spawn(send(fairflow.clone(), arrival.clone(), began));
                }
            }
            Some(ended) = calls.join_next() => {
                records.extend(ended);
                bar.inc(1);
            }
            _ = ticks.tick() => samples.extend(look(fairflow, began.elapsed().as_secs_f64())),
        }
    }
    bar.finish();
    (records, samples)
}

async fn send(fairflow: Fairflow, arrival: Arrival, began: Instant) -> Record {
    match arrival.size {
        Size::Image { images, steps, .. } => {
            let task =
                ImageInference::new("sim-image", "replay").size(512, 512).steps(steps.into()).count(images.into());
            play(&fairflow, task, arrival.tenant, began).await
        }
        Size::Text { input_tokens, output_tokens } => {
            // Four bytes a token, so that the predicted cost is the trace's.
            let task = TextInference::new("sim-text", "word".repeat(input_tokens as usize));
            play(&fairflow, task.max_tokens(output_tokens.max(1).into()), arrival.tenant, began).await
        }
    }
}

async fn play<T: Task>(fairflow: &Fairflow, task: T, tenant: String, began: Instant) -> Record {
    let arrived = began.elapsed();
    let cost = f64::from(task.cost().units());
    let made = fairflow.generate(task).tenant(tenant.clone()).with_receipt().await;
    let total_ms = (began.elapsed() - arrived).as_secs_f64() * 1e3;
    let blank = Record {
        tenant,
        arrived: arrived.as_secs_f64(),
        queue_ms: 0.0,
        upstream_ms: 0.0,
        total_ms,
        attempts: 0,
        status: 200,
        reason: None,
        cost,
    };
    match made {
        Ok((_, Receipt { queued, upstream, attempts, .. })) => Record {
            queue_ms: queued.as_secs_f64() * 1e3,
            upstream_ms: upstream.as_secs_f64() * 1e3,
            attempts,
            ..blank
        },
        Err(error) => {
            let attempts = match &error {
                Error::RetriesExhausted { attempts, .. } | Error::UpstreamTimeout { attempts } => *attempts,
                _ => 0,
            };
            Record { attempts, status: error.status(), reason: Some(error.reason().to_owned()), ..blank }
        }
    }
}

fn look(fairflow: &Fairflow, t: f64) -> Vec<Sample> {
    let used = fairflow.capacity().into_iter().filter(|model| model.window > 0);
    let used = used.filter(|model| model.in_flight > 0 || model.throughput_per_second > 0.0);
    used.map(|model| Sample {
        t,
        model: model.model.to_string(),
        window: f64::from(model.window),
        in_flight: model.in_flight,
        queued: u32::try_from(model.queue_depth).unwrap_or(u32::MAX),
    })
    .collect()
}
