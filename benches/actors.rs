//! What scheduling costs: submit → dispatch → settle through the actors, beside a bare tokio channel, semaphore and
//! spawn, and beside tower's buffer and concurrency limit, in turn, in one run. `cargo bench --bench actors`
//!
//! None does any work in the slot, so that nothing but the way there and back is measured. Figures and ratios are medians
//! of the rounds, each ratio of one round.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, missing_docs, reason = "a benchmark")]
#![allow(clippy::disallowed_methods, reason = "it measures time")]
#![allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "figures for people")]
#![allow(unreachable_pub, missing_debug_implementations, reason = "a program")]

mod rig;

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use fairflow::{Config, Fairflow};
use rig::form::{Form, Part};
use rig::median;
use rig::ratios::Ratios;
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tower::buffer::Buffer;
use tower::limit::ConcurrencyLimit;
use tower::{Service, ServiceExt, service_fn};

/// Slots, for all.
const SLOTS: usize = 256;
/// Callers at once.
const CALLERS: [usize; 3] = [1, 64, 1_024];

const PARTS: [Part; 2] = [
    ("one tenant", true, |form, ratios| compare(form, ratios, 1)),
    ("100000 tenants", false, |form, ratios| compare(form, ratios, 100_000)),
];

fn main() {
    Form::read().run("actors", &PARTS);
}

fn compare(form: &Form, ratios: &mut Ratios, tenants: usize) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let requests = if form.short { 2_048 } else { 65_536 };
    let bare = bare(&runtime);
    let tower = runtime.block_on(async {
        Buffer::new(ConcurrencyLimit::new(service_fn(|()| async { Ok::<_, Infallible>(()) }), SLOTS), 10_000)
    });
    let fairflow = fairflow(&runtime);
    let names: Arc<[Arc<str>]> = (0..tenants).map(|tenant| format!("tenant-{tenant}").into()).collect();
    let through_bare = move |_: usize| {
        let bare = bare.clone();
        async move {
            let (reply, answer) = oneshot::channel();
            bare.send(reply).await.unwrap();
            answer.await.unwrap();
        }
    };
    let through_tower = move |_: usize| {
        let mut tower = tower.clone();
        async move { tower.ready().await.unwrap().call(()).await.unwrap() }
    };
    let through_actors = move |number: usize| {
        let call = fairflow.call("m", |_| async { Ok::<_, Infallible>(()) });
        let call = call.tenant(names[number % names.len()].clone());
        async move { call.await.unwrap() }
    };
    // Each tenant is known before anything is measured.
    drive(&runtime, tenants.max(2_048), 64, through_actors.clone());
    println!(
        "| callers | bare tokio, k/s | tower, k/s | actors, k/s | of bare tokio | of tower |\n|---:|---:|---:|---:|---:|---:|"
    );
    for callers in CALLERS {
        let rounds: Vec<[f64; 3]> = (0..form.rounds)
            .map(|_| {
                [
                    drive(&runtime, requests, callers, through_bare.clone()),
                    drive(&runtime, requests, callers, through_tower.clone()),
                    drive(&runtime, requests, callers, through_actors.clone()),
                ]
            })
            .collect();
        let of = |figure: fn(&[f64; 3]) -> f64| median(rounds.iter().map(figure));
        let (ratio, of_tower) = (of(|round| round[2] / round[0]), of(|round| round[2] / round[1]));
        println!(
            "| {callers} | {:.0} | {:.0} | {:.1} | {ratio:.3} | {of_tower:.3} |",
            of(|round| round[0] / 1e3),
            of(|round| round[1] / 1e3),
            of(|round| round[2] / 1e3),
        );
        ratios.note(&format!("of bare tokio, {callers} callers, {tenants} tenants"), ratio);
    }
}

/// A task that waits for a slot and answers each request from a task of its own.
fn bare(runtime: &Runtime) -> mpsc::Sender<oneshot::Sender<()>> {
    let (submit, mut submitted) = mpsc::channel::<oneshot::Sender<()>>(10_000);
    runtime.spawn(async move {
        let slots = Arc::new(Semaphore::new(SLOTS));
        while let Some(reply) = submitted.recv().await {
            let permit = slots.clone().acquire_owned().await.unwrap();
            tokio::spawn(async move {
                drop(permit);
                reply.send(()).ok();
            });
        }
    });
    submit
}

fn fairflow(runtime: &Runtime) -> Fairflow {
    let config = format!(
        "[providers.sim]\nkind = \"sim\"\n[models.m]\nroutes = [{{ provider = \"sim\" }}]\n\
         window = {{ initial = {SLOTS}, min = {SLOTS}, max = {SLOTS} }}\n"
    );
    let config: Config = Config::from_toml(&config).unwrap();
    runtime.block_on(Fairflow::builder(config).start()).unwrap()
}

/// Runs `requests`, `callers` at a time, and returns how many that were a second.
fn drive<F, Fut>(runtime: &Runtime, requests: usize, callers: usize, request: F) -> f64
where
    F: Fn(usize) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + Send,
{
    let each = requests / callers;
    let begun = Instant::now();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..callers)
            .map(|caller| {
                let request = request.clone();
                tokio::spawn(async move {
                    for number in 0..each {
                        // Tenants in no order that a cache could know.
                        request((caller * each + number).wrapping_mul(7_919)).await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    (each * callers) as f64 / begun.elapsed().as_secs_f64()
}
