//! What the gateway costs over HTTP beside others, in one run that starts everything itself: `cargo bench --bench gateway`.
//!
//! A part runs alone by its name: `cargo bench --bench gateway -- requests`; the parts are in [`PARTS`]. Under `cargo test
//! --all-features --bench gateway` it is the short form, which fails where a ratio falls by a third
//! (`benches/ratios.toml`).
//!
//! Each rival is a process of its own before the same provider, asked by the same generator, in turn.
//! `FAIRFLOW_BENCH_BEFORE=PATH` adds another build of `fairflow` to compare with, `FAIRFLOW_BENCH_SECONDS` (2) and
//! `FAIRFLOW_BENCH_ROUNDS` (5) say how long. Figures are medians of the rounds, and so are the ratios, each of one round: a
//! machine that others use moves all that run within seconds of each other. Any answer but 200 ends the run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, missing_docs, reason = "a benchmark")]
#![allow(clippy::disallowed_methods, reason = "it measures time")]
#![allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "figures for people")]
#![allow(unreachable_pub, missing_debug_implementations, reason = "a program")]

mod bodies;
mod connection;
mod flood;
mod load;
mod requests;
#[path = "../rig/mod.rs"]
mod rig;
mod rivals;
mod roles;
mod served;
mod start;
mod streams;
mod waiting;

use rig::form::{Form, Part};

const ROLE: &str = "FAIRFLOW_BENCH_ROLE";
const UPSTREAM: &str = "FAIRFLOW_BENCH_UPSTREAM";

const PARTS: [Part; 6] = [
    ("requests", true, requests::run),
    ("streams", true, streams::run),
    ("bodies", false, bodies::run),
    ("waiting", true, waiting::run),
    ("flood", false, flood::run),
    ("start", true, start::run),
];

fn main() {
    match std::env::var(ROLE).as_deref() {
        Ok("provider") => roles::provide(),
        Ok("forwarder") => roles::forward(),
        _ => Form::read().run("gateway", &PARTS),
    }
}
