//! Tuning a window by reload, without losing a request: pinned too low, then too high, then left to learn.
//!
//!     cargo run --example tune_window
#![allow(clippy::print_stdout, reason = "an example")]

use std::time::Duration;

use fairflow::config::{ModelConfig, ProviderConfig, SimConfig, WindowConfig};
use fairflow::provider::Outcome;
use fairflow::task::TextInference;
use fairflow::{Config, Fairflow};

/// A provider that serves 20 at a time, and refuses the 21st.
fn config(initial: u32, min: u32, max: u32) -> Config {
    let sim = SimConfig::new().capacity(20).service(Duration::from_millis(50));
    let model = ModelConfig::on("sim").window(WindowConfig::between(min..=max).starting_at(initial)).retry_budget(1.0);
    let model = model.max_attempts(20).backoff(Duration::from_millis(10)..=Duration::from_millis(100));
    Config::new().provider("sim", ProviderConfig::sim(sim)).model("writer", model)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let fairflow = Fairflow::builder(config(5, 5, 5)).start().await?;
    for _ in 0..100 {
        let fairflow = fairflow.clone();
        tokio::spawn(async move { while fairflow.generate(TextInference::new("writer", "hello")).await.is_ok() {} });
    }
    println!("The provider serves 20 at a time.\n{:24} {:>8} {:>9} {:>7}", "window", "served/s", "refused/s", "now");
    for (name, new) in [
        ("pinned at 5: too low", config(5, 5, 5)),
        ("pinned at 60: too high", config(60, 60, 60)),
        ("1 to 256: left to learn", config(4, 1, 256)),
    ] {
        fairflow.reload(new).await?;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let before = counts(&fairflow);
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        let after = counts(&fairflow);
        let window = fairflow.capacity_of("writer", None).await?.window;
        let per_second = |count: u64| count as f64 / 1.5;
        println!(
            "{name:24} {:>8.0} {:>9.0} {window:>7}",
            per_second(after.0 - before.0),
            per_second(after.1 - before.1)
        );
    }
    println!(
        "\nToo low wastes capacity; too high turns into refusals; left alone it serves nearly as much with few of them."
    );
    fairflow.drain(Duration::from_secs(5)).await;
    Ok(())
}

/// Attempts that succeeded and that were refused so far.
fn counts(fairflow: &Fairflow) -> (u64, u64) {
    let stats = fairflow.stats_of("writer").expect("it runs");
    let count = |wanted| stats.attempts().filter(|(seen, _)| *seen == wanted).map(|(_, count)| count).sum();
    (count(Outcome::Success), count(Outcome::Throttled))
}
