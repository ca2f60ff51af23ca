//! A batch of 10,000 prompts, with a progress bar, that is interrupted and goes on where it was.
//!
//!     cargo run --example batch
//!
//! Each finished prompt is a line of a file; whatever is in that file is not asked again. The first run is cut off at
//! 4,000 to show it. `batch FILE` uses a file of yours, is not cut off, and can be stopped with ctrl-c.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "an example")]

use std::collections::HashSet;
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use fairflow::config::{ModelConfig, ProviderConfig, SimConfig, WindowConfig};
use fairflow::task::TextInference;
use fairflow::{Class, Config, Fairflow};
use futures_util::stream::{StreamExt, iter};
use indicatif::{ProgressBar, ProgressStyle};

const PROMPTS: usize = 10_000;

/// Asks what is not in `file` yet, up to `most` prompts, and returns how many it asked.
async fn run(fairflow: &Fairflow, file: &Path, most: usize) -> Result<usize, Box<dyn std::error::Error>> {
    let mut output = OpenOptions::new().create(true).read(true).append(true).open(file)?;
    let done: HashSet<usize> = BufReader::new(&output)
        .lines()
        .map_while(Result::ok)
        .filter_map(|line| line.split('\t').next()?.parse().ok())
        .collect();
    let left: Vec<usize> = (0..PROMPTS).filter(|number| !done.contains(number)).take(most).collect();
    let bar = ProgressBar::new(PROMPTS as u64)
        .with_style(ProgressStyle::with_template("{bar:40} {pos}/{len} {per_sec} {eta} {msg}")?);
    bar.set_position(done.len() as u64);
    let asked = left.len();
    // As many as may be under way at the provider plus a few that wait: the window decides how many are sent.
    let mut answers = iter(left)
        .map(|number| async move {
            let task = TextInference::new("writer", format!("prompt {number}")).max_tokens(8);
            (number, fairflow.generate(task).tenant("batch").class(Class::Batch).await)
        })
        .buffer_unordered(512);
    let mut stop = std::pin::pin!(tokio::signal::ctrl_c());
    loop {
        let (number, answer) = tokio::select! {
            answer = answers.next() => match answer {
                Some(answer) => answer,
                None => break,
            },
            _ = &mut stop => break,
        };
        // One line a prompt, written whole: what is cut off by a crash is asked again.
        writeln!(output, "{number}\t{}", answer?.text)?;
        bar.inc(1);
        if number % 100 == 0 {
            bar.set_message(format!("window {}", fairflow.capacity()[0].window));
        }
    }
    bar.abandon();
    Ok(asked)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sim = SimConfig::new().capacity(200).service(Duration::from_millis(20));
    let model =
        ModelConfig::on("sim").window(WindowConfig::between(1..=512).starting_at(16)).timeout(Duration::from_secs(10));
    let config = Config::new().provider("sim", ProviderConfig::sim(sim)).model("writer", model);
    let fairflow = Fairflow::builder(config).start().await?;
    if let Some(file) = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).map(PathBuf::from) {
        run(&fairflow, &file, PROMPTS).await?;
        return Ok(());
    }
    let file = std::env::temp_dir().join(format!("fairflow-batch-{}.tsv", std::process::id()));
    let first = run(&fairflow, &file, 4_000).await?;
    println!("Cut off after {first}; the next run asks the rest.");
    let second = run(&fairflow, &file, PROMPTS).await?;
    let lines = BufReader::new(std::fs::File::open(&file)?).lines().count();
    println!("It asked {second}: {lines} lines for {PROMPTS} prompts, none twice.");
    std::fs::remove_file(&file)?;
    assert_eq!((first + second, lines), (PROMPTS, PROMPTS));
    Ok(())
}
