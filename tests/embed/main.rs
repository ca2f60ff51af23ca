//! fairflow as an embedder sees it: its interface, its runtimes, and what it survives.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test")]

mod config;
mod contract;
mod events;
#[cfg(feature = "actix-messages")]
mod messages;
mod runtimes;
mod streams;
mod survival;
#[cfg(feature = "tower")]
mod tower;

use std::time::Duration;

use fairflow::config::{ModelConfig, ProviderConfig, WindowConfig};
use fairflow::{Config, Fairflow};

/// A model `m` whose calls the test makes itself, `window` at a time.
fn own(window: u32) -> Config {
    let model = ModelConfig::on("mine").window(WindowConfig::pinned(window));
    Config::new().provider("mine", ProviderConfig::custom()).model(
        "m",
        model.max_attempts(4).backoff(Duration::from_millis(1)..=Duration::from_millis(5)).retry_budget(1.0),
    )
}

async fn start(config: Config) -> Fairflow {
    Fairflow::builder(config).seed(1).start().await.unwrap()
}

/// Waits until nothing waits and nothing is in flight.
async fn at_rest(fairflow: &Fairflow) {
    let mut capacity = fairflow.watch("m");
    let rest = capacity.wait_for(|now| now.in_flight == 0 && now.queue_depth == 0);
    tokio::time::timeout(Duration::from_secs(20), rest).await.expect("a slot or a place leaked").unwrap();
}
