//! What growth costs, in the library: `cargo bench --bench scale`.
//!
//! Each part runs the same load while one thing grows, and prints what it gets of what the smallest gets. Sizes are taken
//! in turn, round by round; figures and ratios are medians of the rounds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, missing_docs, reason = "a benchmark")]
#![allow(clippy::disallowed_methods, reason = "it measures time")]
#![allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "figures for people")]
#![allow(unreachable_pub, missing_debug_implementations, reason = "a program")]

mod rig;

use std::convert::Infallible;
use std::fmt::Write;
use std::future::IntoFuture;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Instant;

use fairflow::{Config, Fairflow};
use rig::form::{Form, Part};
use rig::process::usage;
use rig::ratios::Ratios;
use rig::{median, until};
use tokio::runtime::Runtime;

/// Callers of a load.
const CALLERS: usize = 64;

const PARTS: [Part; 4] =
    [("models", true, models), ("tenants", true, tenants), ("routes", true, routes), ("queued", true, queued)];

fn main() {
    Form::read().run("scale", &PARTS);
}

/// A started engine, and the tenants that call.
struct World {
    fairflow: Fairflow,
    tenants: Arc<[Arc<str>]>,
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn start(runtime: &Runtime, models: usize, routes: usize, tenants: usize, settings: &str) -> World {
    let mut config = String::new();
    for route in 0..routes {
        writeln!(config, "[providers.sim-{route}]\nkind = \"sim\"").unwrap();
    }
    let list: Vec<_> = (0..routes).map(|route| format!("{{ provider = \"sim-{route}\" }}")).collect();
    for model in 0..models {
        writeln!(config, "[models.model-{model}]\nroutes = [{}]\n{settings}", list.join(", ")).unwrap();
    }
    let config: Config = Config::from_toml(&config).unwrap();
    let fairflow = runtime.block_on(Fairflow::builder(config).start()).unwrap();
    World { fairflow, tenants: (0..tenants).map(|tenant| format!("tenant-{tenant}").into()).collect() }
}

/// Makes `requests` calls of one model, and returns how many that were a second.
fn drive(runtime: &Runtime, world: &World, requests: usize) -> f64 {
    let (each, begun) = (requests / CALLERS, Instant::now());
    runtime.block_on(async {
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let (fairflow, tenants) = (world.fairflow.clone(), world.tenants.clone());
                tokio::spawn(async move {
                    for number in 0..each {
                        let tenant = tenants[(caller * each + number).wrapping_mul(7_919) % tenants.len()].clone();
                        let call = fairflow.call("model-0", |_| async { Ok::<_, Infallible>(()) });
                        call.tenant(tenant).await.unwrap();
                    }
                })
            })
            .collect();
        for caller in callers {
            caller.await.unwrap();
        }
    });
    (each * CALLERS) as f64 / begun.elapsed().as_secs_f64()
}

/// Compares the same load on worlds that differ in one size.
fn grow(form: &Form, ratios: &mut Ratios, what: &str, worlds: &[(usize, World)], runtime: &Runtime) {
    let requests = if form.short { 2_048 } else { 65_536 };
    for (_, world) in worlds {
        // Every tenant is known, and memory touched, before anything is measured.
        drive(runtime, world, world.tenants.len().max(2_048));
    }
    let rounds: Vec<Vec<f64>> =
        (0..form.rounds).map(|_| worlds.iter().map(|(_, world)| drive(runtime, world, requests)).collect()).collect();
    println!("| {what} | k requests/s | of the smallest's |\n|---:|---:|---:|");
    for (place, (size, _)) in worlds.iter().enumerate() {
        let ratio = median(rounds.iter().map(|round| round[place] / round[0]));
        println!("| {size} | {:.1} | {ratio:.2} |", median(rounds.iter().map(|round| round[place])) / 1e3);
        if place + 1 == worlds.len() {
            ratios.note(&format!("requests/s with {size} {what} of that with one"), ratio);
        }
    }
}

const OPEN: &str = "window = { initial = 256, min = 256, max = 256 }";

fn models(form: &Form, ratios: &mut Ratios) {
    let runtime = runtime();
    let sizes: &[usize] = if form.short { &[1, 1_000] } else { &[1, 100, 10_000] };
    let worlds: Vec<_> = sizes.iter().map(|models| (*models, start(&runtime, *models, 1, 8, OPEN))).collect();
    grow(form, ratios, "models", &worlds, &runtime);
}

fn tenants(form: &Form, ratios: &mut Ratios) {
    let runtime = runtime();
    let sizes: &[usize] = if form.short { &[1, 2_000] } else { &[1, 1_000, 1_000_000] };
    let worlds: Vec<_> = sizes.iter().map(|tenants| (*tenants, start(&runtime, 1, 1, *tenants, OPEN))).collect();
    grow(form, ratios, "tenants", &worlds, &runtime);
}

fn routes(form: &Form, ratios: &mut Ratios) {
    let runtime = runtime();
    let worlds: Vec<_> = [1, 4, 16].iter().map(|routes| (*routes, start(&runtime, 1, *routes, 8, OPEN))).collect();
    grow(form, ratios, "routes", &worlds, &runtime);
}

/// Memory of calls that wait, their futures on the heap, without a task each.
fn queued(form: &Form, ratios: &mut Ratios) {
    let runtime = runtime();
    let calls = if form.short { 20_000 } else { 1_000_000 };
    let settings = "window = { initial = 1, min = 1, max = 1 }\nqueue = { capacity = 2000000, max_wait = \"1h\" }";
    let world = start(&runtime, 1, 1, 1_000, settings);
    let _inside = runtime.enter();
    let mut held = Vec::with_capacity(calls);
    let before = usage(std::process::id()).resident;
    for number in 0..calls {
        let call = world.fairflow.call("model-0", |_| std::future::pending::<Result<(), Infallible>>());
        let mut call = Box::pin(call.tenant(world.tenants[number % world.tenants.len()].clone()).into_future());
        assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        held.push(call);
    }
    until("all to wait", || world.fairflow.capacity()[0].queue_depth >= calls - 1);
    let bytes = (usage(std::process::id()).resident - before) / calls as f64;
    println!("{calls} calls wait: {bytes:.0} bytes each");
    ratios.note("1000 bytes of what a queued call takes", 1_000.0 / bytes);
}
