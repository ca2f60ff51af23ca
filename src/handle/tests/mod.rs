//! The actors end to end, in process: fairness, retries, crashes, cancels. Every test ends with nothing in flight.

mod attempts;
mod long_stream;
mod overrun;
mod pulse;
mod quotas;
mod reload;
mod reserve;
mod resting;
mod spending;
mod verdicts;

use std::future::IntoFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use crate::actor::supervisor::CrashIn;
use crate::config::{Config, SimConfig, Span};
use crate::contract::failure::Failure;
use crate::core::outcome::Outcome;
use crate::engine::view::error::Error;
use crate::engine::view::overrides::{Action, Override};
use crate::engine::view::stats::{ActorKind, ExitCause};
use crate::handle::Fairflow;
use crate::task::TextInference;
use crate::testing::at_rest;

fn config(change: impl FnOnce(&mut SimConfig)) -> Config {
    let mut config = Config::demo();
    let provider = config.providers.get_mut("sim").expect("the demo has it");
    let mut sim = SimConfig { service: Span(Duration::from_millis(20)), ..SimConfig::default() };
    change(&mut sim);
    provider.sim = Some(sim);
    config
}

async fn engine(config: Config) -> Fairflow {
    Fairflow::builder(config).seed(1).start().await.expect("starts")
}

/// Waits until actors have been restarted so many times; a fault that nobody sees runs into the guard.
async fn restarted(fairflow: &Fairflow, times: u64) {
    let all = || fairflow.restarts().iter().map(|restarts| restarts.count).sum::<u64>();
    let wait = async {
        while all() < times {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.expect("a death was not seen");
}

#[tokio::test]
async fn a_task_goes_all_the_way_and_says_how_it_went() {
    let fairflow = engine(config(|_| {})).await;
    let (text, receipt) =
        fairflow.generate(TextInference::new("sim-text", "hi")).tenant("a").with_receipt().await.expect("made");
    assert!(!text.text.is_empty());
    assert_eq!((receipt.attempts, &*receipt.provider), (1, "sim"));
    at_rest(&fairflow, "sim-text").await;
}

#[tokio::test]
async fn no_caller_sees_the_refusals_of_a_capped_provider() {
    let fairflow = engine(config(|sim| sim.capacity = 5)).await;
    let jobs = (0..200).map(|n| {
        let call = fairflow.generate(TextInference::new("sim-text", "hi")).tenant(format!("t{}", n % 7));
        tokio::spawn(async move { call.await.map(drop) })
    });
    let jobs: Vec<_> = jobs.collect();
    for job in jobs {
        job.await.expect("no panic").expect("no refusal reaches a caller");
    }
    at_rest(&fairflow, "sim-text").await;
}

#[tokio::test]
async fn what_fails_is_retried_and_what_is_the_callers_fault_is_not() {
    let fairflow = engine({
        let mut config = config(|_| {});
        config.defaults.retry =
            Some(crate::config::RetryConfig { base: Some(Span(Duration::from_millis(1))), ..Default::default() });
        config
    })
    .await;
    let tries = Arc::new(AtomicU32::new(0));
    let seen = tries.clone();
    let made = fairflow
        .call("sim-text", move |attempt| {
            seen.fetch_add(1, Ordering::SeqCst);
            async move {
                if attempt.number() < 3 { Err(Failure::new(Outcome::Throttled, "busy")) } else { Ok(attempt.number()) }
            }
        })
        .await;
    assert_eq!(made.expect("the third attempt"), 3);
    let refused =
        fairflow.call("sim-text", |_| async { Err::<(), _>(Failure::new(Outcome::Rejected, "bad prompt")) }).await;
    assert!(matches!(refused, Err(Error::Rejected(_))), "{refused:?}");
    let failed = fairflow.call("sim-text", |_| async { Err::<(), _>(Failure::new(Outcome::Overloaded, "down")) }).await;
    assert!(matches!(failed, Err(Error::RetriesExhausted { attempts: 4, .. })), "{failed:?}");
    at_rest(&fairflow, "sim-text").await;
}

#[tokio::test]
async fn a_panic_stays_with_the_caller_that_brought_it() {
    let fairflow = engine(config(|_| {})).await;
    let made = fairflow
        .call("sim-text", |attempt| async move {
            assert!(attempt.number() > 1, "a fault of the closure");
            Ok::<_, std::io::Error>(())
        })
        .await;
    assert!(matches!(made, Err(Error::Internal(_))), "{made:?}");
    at_rest(&fairflow, "sim-text").await;
}

#[tokio::test]
async fn callers_that_leave_free_their_place_and_their_slot() {
    let fairflow = engine(config(|sim| sim.hang = 1.0)).await;
    let calls: Vec<_> = (0..1_000)
        .map(|_| {
            let call = fairflow.generate(TextInference::new("sim-text", "hi"));
            tokio::spawn(async move { call.await.map(drop) })
        })
        .collect();
    let mut capacity = fairflow.watch("sim-text");
    capacity.wait_for(|now| now.in_flight > 0 && now.queue_depth > 900).await.expect("runs");
    for call in calls {
        call.abort();
    }
    at_rest(&fairflow, "sim-text").await;
}

#[tokio::test]
async fn crashed_actors_come_back_and_lose_no_request() {
    let fairflow = engine(config(|sim| sim.capacity = 4)).await;
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let call = fairflow.generate(TextInference::new("sim-text", "hi"));
            tokio::spawn(async move { call.await.map(drop) })
        })
        .collect();
    let mut capacity = fairflow.watch("sim-text");
    capacity.wait_for(|now| now.in_flight > 0).await.expect("runs");
    fairflow.engine.running.crash(CrashIn::Queue("sim-text".into()));
    restarted(&fairflow, 1).await;
    fairflow.engine.running.crash(CrashIn::Dispatcher("sim-text".into(), 0));
    for call in calls {
        call.await.expect("no panic").expect("served after the restart");
    }
    restarted(&fairflow, 2).await;
    let panics =
        |actor| fairflow.restarts().iter().any(|of| (of.actor, of.cause, of.count) == (actor, ExitCause::Panic, 1));
    assert!(panics(ActorKind::Queue) && panics(ActorKind::Dispatcher), "{:?}", fairflow.restarts());
    at_rest(&fairflow, "sim-text").await;
}

#[tokio::test]
async fn a_drain_finishes_what_it_has_and_admits_nothing_more() {
    let fairflow = engine(config(|_| {})).await;
    let (entered, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (inside, end) = (entered.clone(), release.clone());
    let call = fairflow.call("sim-text", move |_| {
        let (inside, end) = (inside.clone(), end.clone());
        async move {
            inside.notify_one();
            end.notified().await;
            Ok::<_, Failure>(())
        }
    });
    let before = tokio::spawn(call.into_future());
    entered.notified().await;
    // It begins with the call, not with the first look at its future.
    let drained = fairflow.drain(Duration::from_secs(30));
    let meanwhile = fairflow.generate(TextInference::new("sim-text", "hi")).await;
    assert!(matches!(meanwhile, Err(Error::NoCapacity { .. })), "{meanwhile:?}");
    release.notify_one();
    assert!(drained.await);
    before.await.expect("no panic").expect("finished");
    let after = fairflow.generate(TextInference::new("sim-text", "hi")).await;
    assert!(matches!(after, Err(Error::NoCapacity { .. })), "{after:?}");
}

#[tokio::test]
async fn an_account_with_a_ceiling_shares_it_between_its_models() {
    let mut config = config(|sim| sim.capacity = 3);
    config.providers.get_mut("sim").expect("known").max_in_flight = Some(3);
    let fairflow = engine(config).await;
    let calls: Vec<_> = (0..60)
        .map(|n| {
            let call = fairflow.generate(TextInference::new(["sim-text", "sim-video"][n % 2], "hi"));
            tokio::spawn(async move { call.with_receipt().await.map(|(_, receipt)| receipt.attempts) })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.expect("no panic").expect("served"), 1, "the ceiling kept the provider from refusing");
    }
    at_rest(&fairflow, "sim-text").await;
    at_rest(&fairflow, "sim-video").await;
}

#[tokio::test]
async fn an_unknown_model_names_the_nearest() {
    let fairflow = engine(config(|_| {})).await;
    let refused = fairflow.generate(TextInference::new("sim-txt", "hi")).await.expect_err("unknown");
    assert!(refused.to_string().contains("did you mean \"sim-text\"?"), "{refused}");
}

#[tokio::test]
async fn an_operators_wish_outlives_reloads_and_crashes() {
    let fairflow = engine(config(|_| {})).await;
    let mut capacity = fairflow.watch("sim-text");
    assert!(matches!(fairflow.operate("nobody", Action::Pause).await, Err(Error::UnknownModel { .. })));
    fairflow.operate("sim-text", Action::Pause).await.expect("known");
    let standing = fairflow.operate("sim-text", Action::Pin(7)).await.expect("known");
    assert_eq!(standing, Override { paused: true, window: Some(7) });
    let call = fairflow.generate(TextInference::new("sim-text", "hi"));
    let waiting = tokio::spawn(async move { call.await.map(drop) });
    capacity.wait_for(|now| now.queue_depth == 1 && now.window == 7).await.expect("runs");
    let mut other = config(|_| {});
    other.defaults.timeout = Some(Span(Duration::from_secs(77)));
    fairflow.reload(other).await.expect("taken");
    fairflow.engine.running.crash(CrashIn::Dispatcher("sim-text".into(), 0));
    restarted(&fairflow, 1).await;
    let as_before = |now: &crate::capacity::ModelCapacity| now.window == 7 && now.routes[0].state.as_str() == "paused";
    let view = capacity.wait_for(as_before).await.expect("runs").clone();
    assert_eq!((view.in_flight, view.queue_depth), (0, 1));
    fairflow.operate("sim-text", Action::Resume).await.expect("known");
    waiting.await.expect("no panic").expect("served");
    let standing = fairflow.operate("sim-text", Action::Unpin).await.expect("known");
    assert_eq!(standing, Override::default());
    at_rest(&fairflow, "sim-text").await;
}
