//! A provider of one's own: here a printer that takes two jobs at a time and says so when there are more.
//!
//!     cargo run --example own_provider
#![allow(clippy::print_stdout, reason = "an example")]

use std::time::Duration;

use fairflow::config::ModelConfig;
use fairflow::provider::{Answer, Attempt, BoxFuture, Failure, Outcome, Provider};
use fairflow::task::{Product, TextInference, TextResult, Work};
use fairflow::wire::Request;
use fairflow::{Config, Fairflow};
use tokio::sync::Semaphore;

#[derive(Debug)]
struct Printer {
    trays: Semaphore,
}

impl Provider for Printer {
    fn call<'a>(&'a self, request: &'a Request, attempt: &'a Attempt) -> BoxFuture<'a, Result<Answer, Failure>> {
        Box::pin(async move {
            // Never wait for capacity in a provider: say that it is used up. Waiting is the scheduler's work.
            let busy = |_| Failure::new(Outcome::Throttled, "both trays are in use");
            let _tray = self.trays.try_acquire().map_err(busy)?;
            let Ok(Work::Text(task)) = request.work() else {
                return Err(Failure::new(Outcome::Rejected, "it prints text only"));
            };
            tokio::time::sleep(Duration::from_millis(20)).await;
            let prompt = task.messages[0].content.as_str().unwrap_or_default();
            let text = format!("{prompt} for {} (attempt {})", attempt.tenant(), attempt.number());
            Ok(Answer::product(Product::Text(TextResult::new(text))))
        })
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = Config::new().model("print", ModelConfig::on("printer"));
    let printer = Printer { trays: Semaphore::new(2) };
    let fairflow = Fairflow::builder(config).provider("printer", printer).start().await?;

    println!("Twelve pages of two tenants; nobody told the scheduler about the two trays.");
    let pages = (1..=12).map(|page| {
        let task = TextInference::new("print", format!("page {page}"));
        let page = fairflow.generate(task).tenant(if page % 3 == 0 { "acme" } else { "globex" });
        tokio::spawn(page.with_receipt())
    });
    for page in pages.collect::<Vec<_>>() {
        let (text, receipt) = page.await??;
        println!("{}: waited {:?}", text.text, receipt.queued);
    }
    let capacity = fairflow.capacity_of("print", None).await?;
    println!(
        "Look at the window: it found {} for 2 trays; attempts beyond 1 are refusals it took on itself.",
        capacity.window
    );
    Ok(())
}
