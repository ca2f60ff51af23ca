//! A gateway before a provider that misbehaves in every way known, at random, beside well-behaved tenants on the same
//! accounts: these lose nothing but the capacity that is really gone, and nothing is left over.
//!
//! `FAIRFLOW_SOAK_SECONDS=600 cargo test --release --test soak -- --ignored --nocapture` is the campaign;
//! `FAIRFLOW_SOAK_SEED` replays one.
#![cfg(all(feature = "gateway", feature = "websocket"))]
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::let_underscore_must_use, reason = "a test")]

mod dice;
mod door;
mod heard;
mod load;
mod mischief;
mod plan;
mod pool;
mod provider;
mod script;
mod services;
mod socket;
mod stream_mischief;
#[path = "../support/mod.rs"]
mod support;
mod tally;
mod world;

use std::time::Duration;

use tokio::time::Instant;

use crate::plan::{MEASURED, Plan};
use crate::world::{Report, World};

/// Reads a number from the environment.
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text:?} is no number")))
}

/// Returns which share the well-behaved used of what there was for them.
fn goodput(report: &Report, model: &str) -> f64 {
    let of_model = report.meters.iter().filter(|(name, _)| name.ends_with(&format!("/{model}")));
    let (used, offered) =
        of_model.fold((0.0, 0.0), |(used, offered), (_, meter)| (used + meter.used, offered + meter.offered));
    used / offered
}

/// Runs the plan twice at the same time: with a provider as odd as it is, and with an honest one as the control.
async fn soak(plan: Plan, least: f64) {
    println!("FAIRFLOW_SOAK_SEED={} for {:?}", plan.seed, plan.length);
    // Both gateways are up by then.
    let begun = Instant::now() + Duration::from_secs(1);
    let (odd, control) = (World::start(&plan, false, begun).await, World::start(&plan, true, begun).await);
    let (report, calm) = tokio::join!(odd.run(&plan, begun), control.run(&plan, begun));
    println!(" the odd provider:");
    report.tally.print();
    println!(" the control:");
    calm.tally.print();
    let ways = report.met.len();
    println!(
        " {ways} ways met, {} times; resident {:?}, control {:?}",
        report.met.values().sum::<u64>(),
        report.resident,
        calm.resident
    );
    for (name, meter) in &report.meters {
        println!(" {name}: {meter:.2?}; control {:.2?}", calm.meters[name]);
    }
    let mut kept = true;
    for model in MEASURED {
        let (seen, calm) = (goodput(&report, model), goodput(&calm, model));
        let (served, refused) = report.tally.good(model);
        println!(
            " {model}: goodput {seen:.3}, control {calm:.3}: {:.3}; {served} served, {refused} refused",
            seen / calm
        );
        kept &= seen >= least * calm && refused * 100 <= served;
    }
    println!(" {:.3} of the odd heard what is due", report.tally.due());
    odd.leaves_nothing().await;
    control.leaves_nothing().await;
    assert_eq!(report.tally.wrong(), 0, "untrue ends, see above; FAIRFLOW_SOAK_SEED={}", plan.seed);
    assert!(kept, "the well-behaved lost capacity, see above; FAIRFLOW_SOAK_SEED={}", plan.seed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "until answers are judged by whose matter they are"]
async fn odd_answers_to_some_cost_the_others_nothing() {
    soak(Plan::short(setting("FAIRFLOW_SOAK_SEED").unwrap_or(13)), 0.85).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes"]
async fn for_minutes() {
    let seed = setting("FAIRFLOW_SOAK_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    soak(Plan::long(seed, setting("FAIRFLOW_SOAK_SECONDS").unwrap_or(600)), 0.95).await;
}
