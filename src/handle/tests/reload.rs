//! Changes of the configuration while requests wait and are under way: none is lost.

use std::time::Duration;

use tokio::task::JoinHandle;

use crate::config::{Config, RouteConfig};
use crate::engine::view::error::Error;
use crate::handle::Fairflow;
use crate::handle::tests::{at_rest, config, engine};
use crate::task::TextInference;
use crate::testing::paused;

/// Submits `count` requests and waits until some are under way.
async fn submit(fairflow: &Fairflow, model: &str, count: usize) -> Vec<JoinHandle<Result<(), Error>>> {
    let calls = (0..count).map(|_| {
        let call = fairflow.generate(TextInference::new(model, "hi"));
        tokio::spawn(async move { call.await.map(drop) })
    });
    let calls = calls.collect();
    let mut capacity = fairflow.watch(model);
    let under_way = capacity.wait_for(|now| now.in_flight > 0 && now.queue_depth > 0);
    tokio::time::timeout(Duration::from_secs(30), under_way).await.expect("a snapshot shows it").expect("runs");
    calls
}

async fn all_served(calls: Vec<JoinHandle<Result<(), Error>>>) {
    for call in calls {
        call.await.expect("no panic").expect("served");
    }
}

fn two_providers() -> Config {
    let mut config = config(|sim| sim.capacity = 4);
    let other = config.providers["sim"].clone();
    config.providers.insert("other".into(), other);
    config
}

#[tokio::test]
async fn a_model_that_goes_serves_what_waits_and_takes_nothing_more() {
    let fairflow = engine(config(|sim| sim.capacity = 4)).await;
    let calls = submit(&fairflow, "sim-text", 60).await;
    let mut without = config(|sim| sim.capacity = 4);
    without.models.remove("sim-text");
    fairflow.reload(without).await.expect("valid");
    let late = fairflow.generate(TextInference::new("sim-text", "hi")).await;
    assert!(matches!(late, Err(Error::UnknownModel { .. })), "{late:?}");
    all_served(calls).await;
    // It may come back at once, under the same name, while the old one is leaving.
    fairflow.reload(config(|sim| sim.capacity = 4)).await.expect("valid");
    fairflow.generate(TextInference::new("sim-text", "hi")).await.expect("served");
    at_rest(&fairflow, "sim-text").await;
}

#[tokio::test]
async fn routes_come_and_go_and_what_waits_goes_on() {
    let fairflow = engine(two_providers()).await;
    let calls = submit(&fairflow, "sim-text", 120).await;
    let mut moved = two_providers();
    let to = |provider: &str| RouteConfig { provider: provider.into(), model: None };
    moved.models.get_mut("sim-text").expect("known").routes = vec![to("other"), to("sim")];
    fairflow.reload(moved.clone()).await.expect("valid");
    let mut capacity = fairflow.watch("sim-text");
    let at_other = capacity.wait_for(|now| now.routes.iter().any(|to| &*to.provider == "other" && to.in_flight > 0));
    tokio::time::timeout(Duration::from_secs(30), at_other).await.expect("the new route is used").expect("runs");
    moved.models.get_mut("sim-text").expect("known").routes = vec![to("other")];
    fairflow.reload(moved).await.expect("valid");
    all_served(calls).await;
    at_rest(&fairflow, "sim-text").await;
    let capacity = fairflow.capacity_of("sim-text", None).await.expect("known");
    assert_eq!(capacity.routes.iter().map(|route| &*route.provider).collect::<Vec<_>>(), ["other"]);
}

#[test]
fn a_provider_reached_otherwise_keeps_the_window_that_was_learned() {
    // What is learned is a matter of latency: in paused time, so that a busy machine teaches nothing else.
    paused(async {
        let started = Fairflow::builder(config(|sim| sim.capacity = 64)).seed(1).start_here().await;
        let fairflow = started.expect("starts");
        all_served(submit(&fairflow, "sim-text", 1_000).await).await;
        let window =
            |fairflow: &Fairflow| fairflow.capacity().iter().find(|m| &*m.model == "sim-text").map(|m| m.window);
        let learned = window(&fairflow).expect("known");
        assert!(learned > 4, "more than it began with: {learned}");
        let calls = submit(&fairflow, "sim-text", 1_500).await;
        let mut limited = config(|sim| sim.capacity = 64);
        limited.providers.get_mut("sim").expect("known").max_in_flight = Some(learned);
        fairflow.reload(limited).await.expect("valid");
        all_served(calls).await;
        at_rest(&fairflow, "sim-text").await;
        assert!(window(&fairflow).expect("known") >= learned / 2, "{:?} after {learned}", window(&fairflow));
    });
}

#[tokio::test]
async fn a_latency_target_comes_and_goes_by_reload() {
    let wished = |target: Option<Duration>| {
        let mut config = config(|sim| sim.capacity = 64);
        let model = config.models.get_mut("sim-text").expect("known");
        model.window.get_or_insert_default().latency_target = target.map(Into::into);
        config
    };
    let fairflow = engine(wished(None)).await;
    let state = async |fairflow: &Fairflow| {
        all_served(submit(fairflow, "sim-text", 600).await).await;
        at_rest(fairflow, "sim-text").await;
        let capacity = fairflow.capacity_of("sim-text", None).await.expect("known");
        (capacity.window, capacity.routes[0].misses_latency_target)
    };
    let (wide, missed) = state(&fairflow).await;
    assert!(wide > 4 && !missed, "{wide}");
    fairflow.reload(wished(Some(Duration::from_millis(1)))).await.expect("valid");
    assert_eq!(state(&fairflow).await, (1, true), "out of reach: the minimum, and said so");
    fairflow.reload(wished(None)).await.expect("valid");
    let (again, missed) = state(&fairflow).await;
    assert!(again > 4 && !missed, "{again}");
}

#[tokio::test]
async fn a_refused_change_changes_nothing() {
    let fairflow = engine(two_providers()).await;
    let mut wrong = config(|_| {});
    wrong.models.clear();
    wrong.providers.get_mut("sim").expect("known").max_in_flight = Some(0);
    let refused = fairflow.reload(wrong).await.expect_err("zero").to_string();
    assert!(refused.contains("max_in_flight"), "{refused}");
    fairflow.generate(TextInference::new("sim-text", "hi")).await.expect("still served");
}
