//! The task that sends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use reqwest::{Client, Url};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::order::{Order, Told};
use super::setup::Setup;
use super::{metrics, spans};
use crate::Fairflow;
use crate::provider::http;

/// Most requests in one message.
const BATCH: usize = 256;
/// Longest that a request waits for others to go with it.
const LINGER: Duration = Duration::from_secs(2);
/// Longest that a collector may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Waits before a message is sent again, where the collector is away or says that it should be.
const RETRIES: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(2)];

pub(super) async fn run(setup: Setup, fairflow: Fairflow, mut orders: mpsc::Receiver<Order>, dropped: Arc<AtomicU64>) {
    let client = match http::client(setup.traces.as_str(), None, setup.headers.clone()) {
        Ok(client) => client,
        Err(error) => return tracing::error!("nothing is sent by OTLP: {error}"),
    };
    let resource = Resource {
        attributes: setup.resource.iter().map(|(name, value)| spans::text(name, value.as_str())).collect(),
        ..Resource::default()
    };
    let mut collector = Collector { client, setup, resource, dropped, is_away: false };
    let since = spans::nanos(std::time::SystemTime::now());
    let every = |span| {
        let mut ticks = tokio::time::interval(span);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.reset();
        ticks
    };
    let (mut linger, mut measure) = (every(LINGER), every(collector.setup.metrics_interval));
    let mut batch = Vec::new();
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                Some(Order::Tell(told)) => {
                    batch.push(*told);
                    if batch.len() >= BATCH {
                        collector.traces(&mut batch, &fairflow, true).await;
                    }
                }
                Some(Order::Flush(done)) => {
                    // One try each: a drain does not wait for a collector that is away.
                    collector.traces(&mut batch, &fairflow, false).await;
                    collector.metrics(&fairflow, since, false).await;
                    if done.send(()).is_err() {
                        // Whoever asked has given up, and the process ends.
                        return;
                    }
                }
                None => return,
            },
            _ = linger.tick() => collector.traces(&mut batch, &fairflow, true).await,
            _ = measure.tick() => collector.metrics(&fairflow, since, true).await,
        }
    }
}

/// The endpoint of an export.
struct Collector {
    client: Client,
    setup: Setup,
    resource: Resource,
    dropped: Arc<AtomicU64>,
    /// Whether the last message was not taken: it is logged once, not with each message.
    is_away: bool,
}

impl Collector {
    async fn traces(&mut self, batch: &mut Vec<Told>, fairflow: &Fairflow, patiently: bool) {
        if batch.is_empty() {
            return;
        }
        let count = batch.len() as u64;
        let message = spans::message(std::mem::take(batch), &fairflow.settings(), &self.resource);
        if !self.send(self.setup.traces.clone(), message.encode_to_vec(), patiently).await {
            self.dropped.fetch_add(count, Ordering::Relaxed);
        }
    }

    async fn metrics(&mut self, fairflow: &Fairflow, since: u64, patiently: bool) {
        let dropped = self.dropped.load(Ordering::Relaxed);
        let message = metrics::message(fairflow, since, dropped, &self.resource);
        self.send(self.setup.metrics.clone(), message.encode_to_vec(), patiently).await;
    }

    /// Sends a message and says whether it was taken.
    async fn send(&mut self, url: Url, body: Vec<u8>, patiently: bool) -> bool {
        let body = bytes::Bytes::from(body);
        let mut waits = RETRIES.iter().filter(|_| patiently && !self.is_away);
        let problem = loop {
            let request = self.client.post(url.clone()).header("content-type", "application/x-protobuf");
            let problem = match request.timeout(TIMEOUT).body(body.clone()).send().await {
                Ok(response) if response.status().is_success() => {
                    if std::mem::replace(&mut self.is_away, false) {
                        tracing::info!(endpoint = %self.setup.shown(), "the collector takes OTLP again");
                    }
                    return true;
                }
                Ok(response) => match response.status().as_u16() {
                    status @ (429 | 502 | 503 | 504) => format!("it answered {status}"),
                    status => break format!("it answered {status}"),
                },
                Err(error) if error.is_timeout() => "it did not answer in time".to_owned(),
                Err(error) if error.is_connect() => "it cannot be reached".to_owned(),
                Err(_) => "the connection broke".to_owned(),
            };
            match waits.next() {
                Some(wait) => tokio::time::sleep(*wait).await,
                None => break problem,
            }
        };
        if !std::mem::replace(&mut self.is_away, true) {
            tracing::warn!(endpoint = %self.setup.shown(), "the collector does not take OTLP, which is dropped: {problem}");
        }
        false
    }
}
