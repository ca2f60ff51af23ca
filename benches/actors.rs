//! What scheduling costs: submit → dispatch → settle through the actors, beside a bare tokio channel, semaphore and
//! spawn, in one run. `cargo bench --bench actors`
//!
//! Both do no work in the slot, so that nothing but the way there and back is measured. `items/s` are requests.
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark")]

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;

use divan::counter::ItemsCount;
use fairflow::{Config, Fairflow};
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, mpsc, oneshot};

/// Requests of one sample.
const REQUESTS: usize = 20_000;
/// Slots, for both.
const SLOTS: usize = 256;
/// Callers at once.
const CALLERS: [usize; 3] = [1, 64, 1_024];

fn main() {
    divan::main();
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Runs `REQUESTS` requests, `callers` at a time.
async fn drive<F, Fut>(callers: usize, request: F)
where
    F: Fn(usize) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + Send,
{
    let each = REQUESTS / callers;
    let tasks: Vec<_> = (0..callers)
        .map(|caller| {
            let request = request.clone();
            tokio::spawn(async move {
                for _ in 0..each {
                    request(caller).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

#[divan::bench(args = CALLERS, sample_count = 15, sample_size = 1)]
fn bare_tokio(bencher: divan::Bencher<'_, '_>, callers: usize) {
    let runtime = runtime();
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
    bencher.counter(ItemsCount::new(REQUESTS / callers * callers)).bench_local(|| {
        let submit = submit.clone();
        runtime.block_on(drive(callers, move |_| {
            let submit = submit.clone();
            async move {
                let (reply, answer) = oneshot::channel();
                submit.send(reply).await.unwrap();
                answer.await.unwrap();
            }
        }));
    });
}

#[divan::bench(args = CALLERS, sample_count = 15, sample_size = 1)]
fn actors(bencher: divan::Bencher<'_, '_>, callers: usize) {
    let runtime = runtime();
    let config = format!(
        "[providers.sim]\nkind = \"sim\"\n[models.m]\nroutes = [{{ provider = \"sim\" }}]\n\
         window = {{ initial = {SLOTS}, min = {SLOTS}, max = {SLOTS} }}\n"
    );
    let config: Config = Config::from_toml(&config).unwrap();
    let fairflow = runtime.block_on(Fairflow::builder(config).start()).unwrap();
    bencher.counter(ItemsCount::new(REQUESTS / callers * callers)).bench_local(|| {
        let fairflow = fairflow.clone();
        runtime.block_on(drive(callers, move |caller| {
            // Eight tenants, so that there is something to choose from.
            let call = fairflow.call("m", |_| async { Ok::<_, Infallible>(()) });
            let call = call.tenant(["a", "b", "c", "d", "e", "f", "g", "h"][caller % 8]);
            async move { call.await.unwrap() }
        }));
    });
}
