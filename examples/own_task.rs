//! A task of one's own: a typed message for something that fairflow does not know, here songs.
//!
//!     cargo run --example own_task
#![allow(clippy::print_stdout, reason = "an example")]

use fairflow::task::{Cost, Product, RawTask, Task, Work};
use fairflow::{Config, Fairflow};

/// A song about something, of some seconds.
struct Song {
    about: String,
    seconds: u64,
}

/// Where it can be heard.
struct Recording {
    url: String,
}

impl Task for Song {
    type Output = Recording;

    fn model(&self) -> &str {
        "sim-audio"
    }

    /// Seconds of song: what a tenant is charged for, in proportion.
    fn cost(&self) -> Cost {
        Cost::new(self.seconds)
    }

    fn into_work(self) -> Work {
        let task = RawTask::new("audioInference", self.model()).set("duration", self.seconds);
        Work::Raw(task.set("positivePrompt", self.about))
    }

    fn output(product: Product) -> Result<Recording, Product> {
        let Product::Raw(result) = &product else { return Err(product) };
        let url = result.items.first().and_then(|item| item.get("audioURL")?.as_str()).map(str::to_owned);
        url.map(|url| Recording { url }).ok_or(product)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let fairflow = Fairflow::builder(Config::demo()).start().await?;
    let song = Song { about: "a red fox at dawn".into(), seconds: 30 };
    let (recording, receipt) = fairflow.generate(song).tenant("acme").with_receipt().await?;
    println!("Listen to {} (made in {:?} after waiting {:?})", recording.url, receipt.upstream, receipt.queued);
    Ok(())
}
