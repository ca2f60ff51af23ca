//! Whatever its embedder does, nothing leaks and nothing hangs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::time::Duration;

use fairflow::provider::{Failure, Outcome};
use fairflow::{Error, Fairflow};

use crate::{at_rest, own, start};

/// Says how many calls run at the same time.
#[derive(Default)]
struct Gauge(AtomicU32);

impl Gauge {
    fn enter(self: &Arc<Self>) -> Inside {
        self.0.fetch_add(1, Ordering::SeqCst);
        Inside(self.clone())
    }

    fn read(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }
}

struct Inside(Arc<Gauge>);

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Polls a future up to so many times, then drops it; returns what it gave until then.
async fn polled<T>(times: usize, future: impl Future<Output = T>) -> Option<T> {
    let (mut future, mut left) = (std::pin::pin!(future), times);
    std::future::poll_fn(|cx| {
        left -= 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(made) => Poll::Ready(Some(made)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Spawns calls that never return.
fn hang(fairflow: &Fairflow, gauge: &Arc<Gauge>, calls: usize) {
    for _ in 0..calls {
        let gauge = gauge.clone();
        let call = fairflow.call("m", move |_| {
            let inside = gauge.enter();
            async move {
                let _inside = inside;
                std::future::pending::<Result<(), Failure>>().await
            }
        });
        tokio::spawn(call.into_future());
    }
}

async fn full(fairflow: &Fairflow, in_flight: u32, waiting: usize) {
    let mut capacity = fairflow.watch("m");
    let full = capacity.wait_for(|now| now.in_flight == in_flight && now.queue_depth == waiting);
    tokio::time::timeout(Duration::from_secs(20), full).await.expect("they are dispatched").unwrap();
}

#[test]
fn a_runtime_that_shuts_down_takes_its_requests_along() {
    let (callers, observer) = (runtime(), runtime());
    let gauge = Arc::new(Gauge::default());
    let fairflow = observer.block_on(start(own(8)));
    callers.block_on(async { hang(&fairflow, &gauge, 500) });
    observer.block_on(full(&fairflow, 8, 492));
    callers.shutdown_timeout(Duration::from_secs(10));
    observer.block_on(async {
        at_rest(&fairflow).await;
        fairflow.call("m", |_| async { Ok::<_, Failure>(()) }).await.unwrap();
    });
    assert_eq!(gauge.read(), 0);
}

#[tokio::test]
async fn the_last_handle_ends_the_engine_once_its_requests_are_done() {
    let fairflow = start(own(1)).await;
    let mut events = fairflow.events();
    let call = fairflow.call("m", |_| async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        Ok::<_, Failure>(())
    });
    let waiting = fairflow.call("m", |_| async { Ok::<_, Failure>(()) });
    let (call, waiting) = (tokio::spawn(call.into_future()), tokio::spawn(waiting.into_future()));
    drop(fairflow);
    // A request holds a handle: it is served although nobody else has one.
    call.await.unwrap().unwrap();
    waiting.await.unwrap().unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(10), async { while events.next().await.is_some() {} }).await;
    ended.expect("the engine has stopped");
}

#[tokio::test]
async fn panics_of_closures_stay_with_their_callers() {
    let fairflow = start(own(2)).await;
    for number in 0..60 {
        let made = match number % 3 {
            0 => {
                let closure = |_| async { if true { panic!("in the future") } else { Ok::<_, Failure>(()) } };
                fairflow.call("m", closure).await
            }
            1 => {
                let closure = |_| -> std::future::Ready<Result<(), Failure>> { panic!("in the closure") };
                fairflow.call("m", closure).await
            }
            _ => {
                let call = fairflow.call("m", |_| async { Err::<(), _>(Failure::new(Outcome::Throttled, "busy")) });
                let reads = call.classify(|_| panic!("while classifying"));
                reads.await
            }
        };
        let made: Result<(), Error> = made;
        assert!(matches!(made, Err(Error::Internal(_))), "{made:?}");
    }
    at_rest(&fairflow).await;
    fairflow.call("m", |_| async { Ok::<_, Failure>(()) }).await.unwrap();
}

#[tokio::test]
async fn a_closure_that_never_returns_ends_with_the_attempts_timeout() {
    let mut config = own(4);
    config.models.get_mut("m").unwrap().timeout = Some(Duration::from_millis(40).into());
    let fairflow = start(config).await;
    let call = fairflow.call("m", |_| std::future::pending::<Result<(), Failure>>());
    let ended = tokio::time::timeout(Duration::from_secs(20), call.into_future()).await.expect("does not hang");
    assert!(matches!(ended, Err(Error::UpstreamTimeout { attempts: 4 })), "{ended:?}");
    at_rest(&fairflow).await;
}

/// `FAIRFLOW_EMBED_CALLS=1000000 cargo test --release --test embed -- many_calls` is the campaign.
#[test]
fn many_calls_of_a_thousand_tasks_all_end() {
    let calls: usize = std::env::var("FAIRFLOW_EMBED_CALLS").ok().map_or(50_000, |calls| calls.parse().unwrap());
    let runtime = runtime();
    let done = runtime.block_on(async {
        let fairflow = start(own(64)).await;
        let gauge = Arc::new(Gauge::default());
        let most = Arc::new(AtomicU32::new(0));
        let tasks: Vec<_> = (0..1_000)
            .map(|task| {
                let (fairflow, gauge, most) = (fairflow.clone(), gauge.clone(), most.clone());
                tokio::spawn(async move {
                    let mut done = 0;
                    for number in 0..calls / 1_000 {
                        let (gauge, most) = (gauge.clone(), most.clone());
                        let call = fairflow.call("m", move |attempt| {
                            let inside = gauge.enter();
                            most.fetch_max(gauge.read(), Ordering::SeqCst);
                            async move {
                                let _inside = inside;
                                tokio::task::yield_now().await;
                                // One in a hundred fails at first, one in a hundred is dropped half-way.
                                let fails = number % 100 == 7 && attempt.number() == 1;
                                if fails { Err(Failure::new(Outcome::Throttled, "busy")) } else { Ok(()) }
                            }
                        });
                        let call = call.tenant(format!("t{}", task % 10)).into_future();
                        if number % 100 == 3 {
                            // On its way into the queue, in the queue, or in the attempt.
                            let made = polled(1 + (task + number) % 3, call).await;
                            done += usize::from(made.is_none_or(|made| made.is_ok()));
                        } else {
                            call.await.unwrap();
                            done += 1;
                        }
                    }
                    done
                })
            })
            .collect();
        let mut done = 0;
        for task in tasks {
            done += task.await.unwrap();
        }
        at_rest(&fairflow).await;
        assert_eq!(gauge.read(), 0, "every closure has ended");
        assert!(most.load(Ordering::SeqCst) <= 64, "the window holds");
        done
    });
    assert_eq!(done, calls / 1_000 * 1_000);
}
