//! Any tokio runtime, an actix system, and several engines beside each other.

use std::time::Duration;

use fairflow::provider::{Failure, Provider};
use fairflow::task::TextInference;
use fairflow::{Config, Fairflow, Leased};

use crate::{at_rest, own, start};

async fn answers(fairflow: &Fairflow) {
    let text = fairflow.generate(TextInference::new("sim-text", "hello")).tenant("acme").await.unwrap();
    assert!(!text.text.is_empty());
}

#[test]
fn it_starts_and_answers_in_every_kind_of_runtime() {
    let mut current = tokio::runtime::Builder::new_current_thread();
    let mut multi = tokio::runtime::Builder::new_multi_thread();
    for builder in [&mut current, multi.worker_threads(2)] {
        let runtime = builder.enable_all().build().unwrap();
        runtime.block_on(async { answers(&start(Config::demo()).await).await });
    }
    actix::System::new().block_on(async {
        answers(&start(Config::demo()).await).await;
        let here = Fairflow::builder(Config::demo()).start_here().await.unwrap();
        answers(&here).await;
    });
}

#[tokio::test]
async fn start_here_outside_an_actix_system_is_an_error() {
    let started = Fairflow::builder(Config::demo()).start_here().await;
    assert!(started.unwrap_err().to_string().contains("no actix system"));
}

/// A handle made in one runtime serves callers in another, also after the first is gone.
#[test]
fn a_handle_outlives_the_runtime_that_started_it() {
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let first = runtime();
    let fairflow = first.block_on(start(Config::demo()));
    drop(first);
    runtime().block_on(answers(&fairflow));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn engines_in_one_process_do_not_know_each_other() {
    let (one, two) = (start(own(1)).await, start(own(1)).await);
    let Leased { lease: held, .. } = one.call("m", |_| async { Ok::<_, Failure>(()) }).with_lease().await.unwrap();
    two.call("m", |_| async { Ok::<_, Failure>(()) }).max_wait(Duration::from_secs(5)).await.unwrap();
    one.drain(Duration::ZERO).await;
    two.call("m", |_| async { Ok::<_, Failure>(()) }).await.unwrap();
    assert!(one.is_draining() && !two.is_draining());
    drop(held);
    at_rest(&one).await;
    at_rest(&two).await;
}

#[test]
fn the_faces_of_the_library_cross_threads() {
    fn is<T: Send + Sync + Clone + 'static>() {}
    fn moves<T: Send + 'static>() {}
    is::<Fairflow>();
    is::<fairflow::Error>();
    is::<fairflow::events::Event>();
    moves::<fairflow::events::Events>();
    moves::<fairflow::Watch>();
    moves::<fairflow::HeldLease>();
    moves::<Box<dyn Provider>>();
}
