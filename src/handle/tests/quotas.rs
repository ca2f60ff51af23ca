//! Quotas of an account and holds of a route, in paused time: what goes, what is told, and what an operator lifts.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::FutureExt;

use crate::config::Config;
use crate::contract::failure::Failure;
use crate::core::outcome::Outcome;
use crate::core::verdict::{Matter, Scope, Verdict};
use crate::engine::view::capacity::RouteCapacity;
use crate::engine::view::events::EventKind;
use crate::engine::view::overrides::Action;
use crate::handle::Fairflow;
use crate::handle::call::Leased;
use crate::task::Usage;
use crate::testing::paused;

const DAY: Duration = Duration::from_secs(86_400);

async fn engine(rate: &str) -> Fairflow {
    let config = format!(
        "[providers.p]\nkind = \"sim\"\n{rate}\n[models.m]\nroutes = [{{ provider = \"p\" }}]\n\
         window = {{ initial = 64, min = 64, max = 64 }}\nqueue = {{ max_wait = \"48h\" }}\n\
         [models.other]\nroutes = [{{ provider = \"p\" }}]\n"
    );
    Fairflow::builder(Config::from_toml(&config).expect("TOML")).seed(1).start_here().await.expect("starts")
}

async fn route(fairflow: &Fairflow, model: &str) -> RouteCapacity {
    // Snapshots follow within 50 ms.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let found = fairflow.capacity().into_iter().find(|known| &*known.model == model);
    found.expect("it runs").routes[0].clone()
}

/// Calls that go on for ever beside the test; returns the count of those that were made.
fn crowd(fairflow: &Fairflow, model: &'static str, callers: usize, usage: Usage) -> Arc<AtomicU32> {
    let made = Arc::new(AtomicU32::new(0));
    for _ in 0..callers {
        let (fairflow, made) = (fairflow.clone(), made.clone());
        actix::spawn(async move {
            loop {
                let made = made.clone();
                let call = fairflow.call(model, move |_| {
                    let made = made.clone();
                    async move {
                        made.fetch_add(1, Ordering::SeqCst);
                        tokio::time::sleep(Duration::from_millis(500)).await;
                        Ok::<_, Infallible>(())
                    }
                });
                let Ok(Leased { lease, .. }) = call.cost(10 + 2 * 490).with_lease().await else { return };
                lease.settle_with(10 + 2 * 490, usage);
            }
        });
    }
    made
}

#[test]
fn written_tokens_count_once_against_a_limit_on_tokens() {
    paused(async {
        let fairflow = engine("rate = { tokens_per_minute = 60000 }").await;
        let usage = Usage { input_tokens: Some(10), output_tokens: Some(490), dollars: None };
        let made = crowd(&fairflow, "m", 20, usage);
        tokio::time::sleep(Duration::from_secs(120)).await;
        let made = made.load(Ordering::SeqCst);
        assert!((225..=245).contains(&made), "two minutes of 60,000 tokens are 240 answers of 500, not {made}");
    });
}

#[test]
fn a_day_is_used_at_once_then_held_and_an_operator_can_try_again() {
    paused(async {
        let fairflow = engine("rate = { requests_per_day = 30 }").await;
        let made = crowd(&fairflow, "m", 10, Usage::default());
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(made.load(Ordering::SeqCst), 30, "all at once, and no more");
        let held = route(&fairflow, "m").await;
        assert_eq!(
            (held.state.as_str(), held.reason.as_deref()),
            ("suspended", Some("the account's budget of the day is spent"))
        );
        assert!(held.hold_until_ms > 86_390_000 && held.hold_until_ms <= 86_401_000, "{held:?}");
        assert_eq!(route(&fairflow, "other").await.state.as_str(), "suspended", "it is the account's");
        fairflow.operate("m", Action::Release).await.expect("known");
        let again = crowd(&fairflow, "m", 10, Usage::default());
        tokio::time::sleep(Duration::from_secs(60)).await;
        let all = made.load(Ordering::SeqCst) + again.load(Ordering::SeqCst);
        assert_eq!(all, 60, "the budget counts as unspent");
    });
}

#[test]
fn what_is_held_is_tried_again_at_once_when_an_operator_says_so() {
    for action in [Action::Release, Action::Resume] {
        paused(async {
            let fairflow = engine("").await;
            let calls = Arc::new(AtomicU32::new(0));
            let seen = calls.clone();
            let call = fairflow.call("m", move |_| {
                let first = seen.fetch_add(1, Ordering::SeqCst) == 0;
                async move {
                    let failure = Failure::new(Outcome::RateLimited, "come back tomorrow").retry_after(DAY);
                    if first { Err(failure) } else { Ok(()) }
                }
            });
            let call = actix::spawn(async move { call.await.map(drop) });
            let held = route(&fairflow, "m").await;
            assert_eq!((held.state.as_str(), calls.load(Ordering::SeqCst)), ("suspended", 1));
            assert!(held.reason.is_some());
            assert!(held.hold_until_ms <= 86_401_000, "a day is a day: {held:?}");
            tokio::time::sleep(Duration::from_secs(10)).await;
            assert_eq!(calls.load(Ordering::SeqCst), 1, "nothing inside a stated wait");
            fairflow.operate("m", action).await.expect("known");
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert_eq!(calls.load(Ordering::SeqCst), 2, "{action:?}");
            call.await.expect("no panic").expect("served");
            assert_eq!(route(&fairflow, "m").await.state.as_str(), "open");
        });
    }
}

#[test]
fn an_account_that_was_held_is_lifted_for_all_of_its_models() {
    paused(async {
        let fairflow = engine("").await;
        let call = fairflow.call("other", |_| async {
            Err::<(), _>(Failure::judged(Verdict::new(Scope::Key, Matter::Key), "the key is revoked").retry_after(DAY))
        });
        let call = actix::spawn(async move { call.await.map(drop) });
        for model in ["m", "other"] {
            assert_eq!(route(&fairflow, model).await.state.as_str(), "suspended", "{model}");
        }
        call.abort();
        let mut decisions = fairflow.decisions();
        fairflow.operate("m", Action::Release).await.expect("known");
        for model in ["m", "other"] {
            assert_eq!(route(&fairflow, model).await.state.as_str(), "open", "{model}");
        }
        // Said of each route that was held, and once.
        fairflow.operate("m", Action::Release).await.expect("known");
        assert_eq!(route(&fairflow, "m").await.state.as_str(), "open");
        let mut lifted: Vec<_> = std::iter::from_fn(|| decisions.next().now_or_never().flatten())
            .filter_map(|event| event.ok().filter(|event| matches!(event.kind, EventKind::Lifted { .. })))
            .map(|event| event.model.to_string())
            .collect();
        lifted.sort();
        assert_eq!(lifted, ["m", "other"]);
    });
}
