//! Live capacity in a terminal, while the provider has an outage.
//!
//!     cargo run --example live_capacity
#![allow(clippy::print_stdout, reason = "an example")]

use std::time::Duration;

use fairflow::config::{ModelConfig, ProviderConfig, SimConfig};
use fairflow::events::EventKind;
use fairflow::task::TextInference;
use fairflow::{Config, Fairflow};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sim = SimConfig::new()
        .capacity(30)
        .service(Duration::from_millis(100))
        .outage(Duration::from_secs(2), Duration::from_millis(800));
    let model = ModelConfig::on("sim")
        .max_attempts(9)
        .backoff(Duration::from_millis(100)..=Duration::from_secs(1))
        .retry_budget(1.0);
    let config = Config::new().provider("sim", ProviderConfig::sim(sim)).model("writer", model);
    let fairflow = Fairflow::builder(config).start().await?;
    println!(
        "The window climbs to about 30, an outage after two seconds cuts it and closes the route, and it comes back.\n"
    );

    let callers: Vec<_> = (0..60)
        .map(|number| {
            let fairflow = fairflow.clone();
            tokio::spawn(async move {
                loop {
                    let task = TextInference::new("writer", "hello");
                    let made = fairflow.generate(task).tenant(format!("t{}", number % 5)).await;
                    if let Some(wait) = made.err().and_then(|error| error.retry_after()) {
                        tokio::time::sleep(wait).await;
                    }
                }
            })
        })
        .collect();

    let (mut capacity, mut events) = (fairflow.watch("writer"), fairflow.events());
    let (mut retried, mut next) = (0, tokio::time::interval(Duration::from_millis(250)));
    let end = tokio::time::sleep(Duration::from_secs(6));
    tokio::pin!(end);
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(Ok(event)) => retried += u32::from(matches!(event.kind, EventKind::Retried { .. })),
                Some(Err(missed)) => println!("{missed}"),
                None => break,
            },
            _ = next.tick() => {
                let now = capacity.wait_for(|_| true).await?;
                let bar: String = (0..now.window.max(now.in_flight)).map(|n| if n < now.in_flight { '█' } else { '░' }).collect();
                println!(
                    "{:9} {:>4.0}/s  wait {:>5} ms  {:>3} queued  {retried:>4} retried  {:>3} {bar}",
                    format!("{:?}", now.status), now.throughput_per_second, now.estimated_wait_ms.p50, now.queue_depth, now.window,
                );
            }
            () = &mut end => break,
        }
    }
    callers.iter().for_each(tokio::task::JoinHandle::abort);
    println!("\nDrained in time: {}", fairflow.drain(Duration::from_secs(5)).await);
    Ok(())
}
