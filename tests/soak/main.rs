//! A gateway before a provider that misbehaves in every way known, at random, beside well-behaved tenants on the same
//! accounts: these lose nothing but the capacity that is really gone, and nothing is left over.
//!
//! `FAIRFLOW_SOAK_SECONDS=600 cargo test --release --test soak -- --ignored --nocapture` is the campaign;
//! `FAIRFLOW_SOAK_SEED` replays one, `FAIRFLOW_SOAK_LOG=PATH` keeps both gateways' logs and metrics.
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

use crate::plan::{MEASURED, Plan, UNMET};
use crate::world::{Report, World};

/// Reads a number from the environment.
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text:?} is no number")))
}

/// Which share the well-behaved used of what there was for them.
#[derive(Debug, Clone, Copy)]
struct Goodput {
    /// Of all that the odd did not hold at the provider.
    raw: f64,
    /// Of that, less what a fair scheduler cannot take from the odd: see [`pool::Meter::fair`].
    fair: f64,
}

impl Goodput {
    fn of(report: &Report, model: &str) -> Self {
        let of_model = report.meters.iter().filter(|(name, _)| name.ends_with(&format!("/{model}")));
        let all: Vec<_> = of_model.map(|(_, meter)| meter).collect();
        let sum = |part: fn(&pool::Meter) -> f64| all.iter().map(|meter| part(meter)).sum::<f64>();
        Self {
            raw: sum(|meter| meter.used) / sum(|meter| meter.offered),
            fair: sum(|meter| meter.fairly_used) / sum(|meter| meter.fair),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claims {
    /// Everybody hears an end, nothing is left over, memory is bounded, no storm, and models that the odd do not ask for
    /// keep half of what the control has at the very least.
    Ends,
    /// All of it: true ends, the due words, and 0.95 of the control's goodput for every model.
    All,
}

/// Runs the plan twice at the same time: with a provider as odd as it is, and with an honest one as the control.
/// What is claimed says how much of it must hold: everything, or what a short run on a busy machine can show.
async fn soak(plan: Plan, claims: Claims) {
    println!("FAIRFLOW_SOAK_SEED={} for {:?}", plan.seed, plan.length);
    mischief::prepare();
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
    let (mut wrong, all) = (Vec::new(), claims == Claims::All);
    for model in MEASURED {
        let (seen, beside) = (Goodput::of(&report, model), Goodput::of(&calm, model));
        let ((served, refused), (calmly, _)) = (report.tally.good(model), calm.tally.good(model));
        let (share, raw) = (seen.fair / beside.fair, seen.raw / beside.raw);
        println!(
            " {model}: goodput {:.3}, control {:.3}: {share:.3}; with all that the odd did not hold {:.3}, {:.3}: {raw:.3}; \
             {served} served, control {calmly}; {refused} refused",
            seen.fair, beside.fair, seen.raw, beside.raw
        );
        let least = if all { 0.95 } else { 0.5 };
        if all || UNMET.contains(&model) {
            check(&mut wrong, share >= least, || format!("{model}: {share:.3} of the control's goodput, not {least}"));
        }
        check(&mut wrong, !all || refused * 100 <= served, || format!("{model}: {refused} well-behaved were refused"));
    }
    let ((untrue, unheard), due) = (report.tally.wrong(), report.tally.due());
    println!(" {due:.3} of the odd heard what is due");
    check(&mut wrong, !all || untrue == 0, || format!("{untrue} requests ended untruly"));
    check(&mut wrong, unheard == 0, || format!("{unheard} requests had no end"));
    check(&mut wrong, !all || due >= 0.9, || format!("{due:.3} of the odd heard what is due"));
    let (third, end) = report.resident;
    check(&mut wrong, end <= third + third / 4 + (16 << 20), || format!("memory grew from {third} to {end} bytes"));
    let sockets = report.met.get("socket opened").copied().unwrap_or_default();
    let most = 20 + 3 * plan.length.as_secs();
    check(&mut wrong, sockets <= most, || format!("{sockets} sockets were opened, more than {most}"));
    odd.leaves_nothing().await;
    control.leaves_nothing().await;
    assert!(wrong.is_empty(), "{}; what was heard stands above; FAIRFLOW_SOAK_SEED={}", wrong.join("; "), plan.seed);
}

fn check(wrong: &mut Vec<String>, holds: bool, what: impl FnOnce() -> String) {
    if !holds {
        wrong.push(what());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_provider_does_requests_end_and_nothing_is_left_over() {
    soak(Plan::short(setting("FAIRFLOW_SOAK_SEED").unwrap_or(13)), Claims::Ends).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes"]
async fn for_minutes() {
    let seed = setting("FAIRFLOW_SOAK_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    soak(Plan::long(seed, setting("FAIRFLOW_SOAK_SECONDS").unwrap_or(600)), Claims::All).await;
}
