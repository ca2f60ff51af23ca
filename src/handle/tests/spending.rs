//! Budgets, tiers that are reached, and models that may not be used, in process.

use std::convert::Infallible;
use std::future::IntoFuture;
use std::time::Duration;

use futures_util::StreamExt;

use crate::config::Config;
use crate::engine::view::error::Error;
use crate::engine::view::learned::Learned;
use crate::engine::view::reason::{Reason, RequestOutcome};
use crate::handle::Fairflow;
use crate::handle::call::Leased;
use crate::task::{ImageInference, TextInference, Usage};
use crate::testing::at_rest;

async fn engine(rest: &str, learned: Learned) -> Fairflow {
    let config = format!(
        "[providers.sim]\nkind = \"sim\"\nsim = {{ service = \"5ms\" }}\n[models.m]\nroutes = [{{ provider = \"sim\" }}]\n\
         window = {{ initial = 8, min = 8, max = 8 }}\n[models.other]\nroutes = [{{ provider = \"sim\" }}]\n{rest}"
    );
    let config = Config::from_toml(&config).expect("TOML");
    Fairflow::builder(config).remember(learned).seed(1).start().await.expect("starts")
}

/// Makes an image, which the simulated provider sells for a tenth of a cent.
async fn image(fairflow: &Fairflow, tenant: &str) -> Result<(), Error> {
    fairflow.generate(ImageInference::new("m", "x")).tenant(tenant).await.map(drop)
}

/// Holds a slot for an answer that will cost `dollars`, and pays.
async fn pay(fairflow: &Fairflow, tenant: &str, dollars: f64) -> Result<(), Error> {
    let Leased { lease, .. } =
        fairflow.call("m", |_| async { Ok::<_, Infallible>(()) }).tenant(tenant).with_lease().await?;
    lease.settle_with(1, Usage { dollars: Some(dollars), ..Usage::default() });
    Ok(())
}

async fn budget(fairflow: &Fairflow, tenant: &str) -> crate::capacity::BudgetCapacity {
    let you = fairflow.capacity_of("m", Some(tenant)).await.expect("known").you.expect("asked for");
    you.budget.expect("it has one")
}

#[tokio::test]
async fn a_budget_ends_with_a_refusal_until_midnight_and_survives_a_restart() {
    let rest =
        "[tiers.t]\nbudget = { dollars_per_day = 0.0025 }\n[tenants.a]\ntier = \"t\"\n[tenants.b]\ntier = \"t\"\n";
    let fairflow = engine(rest, Learned::default()).await;
    for _ in 0..3 {
        image(&fairflow, "a").await.expect("below the budget");
    }
    let refused = image(&fairflow, "a").await.expect_err("spent");
    assert_eq!((refused.reason().as_str(), refused.status()), ("budget_exhausted", 429));
    let wait = refused.retry_after().expect("told");
    assert!(wait > Duration::from_secs(1) && wait <= Duration::from_secs(86_400), "{wait:?}");
    image(&fairflow, "b").await.expect("another tenant's money");
    image(&fairflow, "stranger").await.expect("no budget");
    let told = budget(&fairflow, "a").await;
    let budget = RequestOutcome::Refused(Reason::BudgetExhausted);
    assert!((told.spent - 0.003).abs() < 1e-9 && told.reserved == 0.0 && told.dollars_per_day == 0.0025, "{told:?}");
    let (_, stats) = fairflow.stats().into_iter().find(|(name, _)| &**name == "m").expect("it runs");
    assert_eq!(stats.requests().find(|(outcome, _)| *outcome == budget), Some((budget, 1)));
    assert!((stats.spent_dollars() - 0.005).abs() < 1e-9);
    at_rest(&fairflow, "m").await;

    let kept = serde_json::to_string(&fairflow.learned()).expect("JSON");
    assert!(!kept.contains("stranger"), "who has no budget is not kept: {kept}");
    let again = engine(rest, serde_json::from_str(&kept).expect("JSON")).await;
    assert_eq!(image(&again, "a").await.expect_err("still spent").reason().as_str(), "budget_exhausted");
    image(&again, "b").await.expect("below the budget");
}

#[tokio::test]
async fn requests_under_way_bound_by_how_much_a_budget_is_passed() {
    let fairflow = engine("[tenants.a]\nbudget = { dollars_per_day = 10 }\n", Learned::default()).await;
    pay(&fairflow, "a", 1.0).await.expect("the first tells what one costs");
    let hold = || fairflow.call("m", |_| async { Ok::<_, Infallible>(()) }).tenant("a").with_lease();
    let mut held = Vec::new();
    for _ in 0..8 {
        held.push(hold().await.expect("a slot, and budget").lease);
    }
    // Eight slots: the ninth waits for one, which the budget of ten still lets it do.
    let mut watch = fairflow.watch("m");
    tokio::select! {
        ninth = hold() => panic!("{ninth:?}"),
        waits = watch.wait_for(|now| now.queue_depth == 1) => waits.expect("the model runs"),
    };
    assert!((budget(&fairflow, "a").await.reserved - 8.0).abs() < 1e-6, "given back by the one that left");
    for lease in held.drain(..4) {
        lease.settle_with(1, Usage { dollars: Some(2.0), ..Usage::default() });
    }
    let refused = image(&fairflow, "a").await.expect_err("nine spent, four held");
    assert_eq!((refused.reason().as_str(), refused.retry_after()), ("budget_exhausted", Some(Duration::from_secs(1))));
    // Given up while the provider was at it: booked as it was expected.
    drop(held);
    let told = budget(&fairflow, "a").await;
    assert!(told.reserved == 0.0 && (told.spent - 13.0).abs() < 1e-6, "{told:?}");
    at_rest(&fairflow, "m").await;
}

#[tokio::test]
async fn a_failed_attempt_costs_nothing() {
    let fairflow = engine("[tenants.a]\nbudget = { dollars_per_day = 1 }\n", Learned::default()).await;
    pay(&fairflow, "a", 0.4).await.expect("below");
    for _ in 0..5 {
        let failed = fairflow.call("m", |_| async { "x".parse::<u32>() }).tenant("a").await;
        assert_eq!(failed.expect_err("no number").reason().as_str(), "rejected");
    }
    let told = budget(&fairflow, "a").await;
    assert!((told.spent - 0.4).abs() < 1e-9 && told.reserved == 0.0, "{told:?}");
}

#[tokio::test]
async fn an_answer_without_a_price_is_counted_as_such() {
    let fairflow = engine("[tenants.a]\nbudget = { dollars_per_day = 1 }\n", Learned::default()).await;
    fairflow.call("m", |_| async { Ok::<_, Infallible>(()) }).tenant("a").await.expect("served");
    let (_, stats) = fairflow.stats().into_iter().find(|(name, _)| &**name == "m").expect("it runs");
    assert_eq!((stats.unpriced(), budget(&fairflow, "a").await.spent), (1, 0.0));
}

#[tokio::test]
async fn a_tier_that_is_reached_is_in_force_for_what_waits_already() {
    let rest = "[tiers.free]\nmax_in_flight = 1\nupgrade = { to = \"paid\", after_dollars = 2, after_requests = 2 }\n\
        [tiers.paid]\nmax_in_flight = 4\nmodels = [\"m\"]\n[defaults]\ntier = \"free\"\n";
    let fairflow = engine(rest, Learned::default()).await;
    let tier = |fairflow: &Fairflow, tenant: &str| fairflow.policy(tenant).tier.as_deref().map(str::to_owned);
    pay(&fairflow, "a", 9.0).await.expect("served");
    assert_eq!(tier(&fairflow, "a").as_deref(), Some("free"), "one request is not two");
    let hold = || {
        let call = fairflow.call("m", |_| async { Ok::<_, Infallible>(()) }).tenant("a");
        tokio::spawn(call.with_lease())
    };
    let Leased { lease: first, .. } = hold().await.expect("no panic").expect("granted");
    let waiting: Vec<_> = (0..3).map(|_| hold()).collect();
    let mut watch = fairflow.watch("m");
    watch.wait_for(|now| now.queue_depth == 3).await.expect("its tier lets one go at a time");
    first.settle_with(1, Usage { dollars: Some(0.0), ..Usage::default() });
    watch.wait_for(|now| now.queue_depth == 0 && now.in_flight == 3).await.expect("the next tier lets four go");
    let you = fairflow.capacity_of("m", Some("a")).await.expect("known").you.expect("asked for");
    assert_eq!((you.tier.as_deref(), you.max_in_flight), (Some("paid"), Some(4)));
    for call in waiting {
        call.await.expect("no panic").expect("granted").lease.settle();
    }
    let refused = fairflow.generate(ImageInference::new("other", "x")).tenant("a").await.expect_err("not in this tier");
    assert_eq!((refused.reason().as_str(), refused.status()), ("model_forbidden", 403));
    assert_eq!(tier(&fairflow, "b").as_deref(), Some("free"), "another tenant");
    let again = engine(rest, fairflow.learned()).await;
    assert_eq!((tier(&again, "a").as_deref(), tier(&again, "b").as_deref()), (Some("paid"), Some("free")));
}

#[tokio::test]
async fn a_model_that_is_not_allowed_is_neither_used_nor_told_of() {
    let rest = "[tenants.a]\nmodels = [\"m\"]\n";
    let fairflow = engine(rest, Learned::default()).await;
    let ask = async |model: &'static str| {
        fairflow.generate(ImageInference::new(model, "x")).tenant("a").await.map(drop).expect_err("not allowed")
    };
    assert!(matches!(ask("other").await, Error::ModelForbidden { model } if model == "other"));
    assert!(matches!(ask("othr").await, Error::UnknownModel { near: None, .. }), "not even by its name");
    let capacity = fairflow.capacity_of("other", Some("a")).await.expect_err("not allowed");
    assert_eq!(capacity.reason().as_str(), "model_forbidden");
    image(&fairflow, "a").await.expect("allowed");
    // Where any model may appear, a forbidden one does not.
    let open = engine(&format!("{rest}[defaults]\nunknown_models = \"sim\"\n"), Learned::default()).await;
    let refused = open.generate(ImageInference::new("new", "x")).tenant("a").await.expect_err("not allowed");
    assert_eq!(refused.reason().as_str(), "model_forbidden");
    assert!(open.capacity().iter().all(|model| &*model.model != "new"), "it was not started");
}

/// Starts an engine with models of a simulated provider that takes 20 ms, and tenants.
async fn engine_with(models: &str, tenants: &str) -> Fairflow {
    let config =
        format!("[providers.sim]\nkind = \"sim\"\nsim = {{ service = \"20ms\", sigma = 0.0 }}\n{models}{tenants}");
    Fairflow::builder(Config::from_toml(&config).expect("TOML")).seed(1).start().await.expect("starts")
}

#[tokio::test]
async fn a_configured_price_is_known_from_the_first_request() {
    let models = "[models.m]\nroutes = [{ provider = \"sim\" }]\nwindow = { initial = 64, min = 64, max = 64 }\n\
        price = { output_per_million = 1000 }\n";
    let fairflow = engine_with(models, "[tenants.a]\nbudget = { dollars_per_day = 0.5 }\n").await;
    // A tenth of a dollar each.
    let ask = || fairflow.generate(TextInference::new("m", "x").max_tokens(100)).tenant("a").into_future();
    let answers = futures_util::future::join_all((0..60).map(|_| ask())).await;
    let served = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(served, 5, "sixty at once");
    let refused = answers.into_iter().find_map(Result::err).expect("the others");
    assert_eq!((refused.reason().as_str(), refused.retry_after()), ("budget_exhausted", Some(Duration::from_secs(1))));
    let told = budget(&fairflow, "a").await;
    assert!((told.spent - 0.5).abs() < 1e-9 && told.reserved == 0.0, "{told:?}");
}

#[tokio::test]
async fn who_leaves_a_stream_pays_for_what_came_before_any_price_is_learned() {
    let models = "[models.m]\nroutes = [{ provider = \"sim\" }]\n\
        price = { input_per_million = 1000, output_per_million = 1000 }\n";
    let fairflow = engine_with(models, "[tenants.a]\nbudget = { dollars_per_day = 100 }\n").await;
    let task = TextInference::new("m", "x".repeat(400)).max_tokens(500);
    let mut pieces = fairflow.generate(task).tenant("a").stream().await.expect("begins");
    for _ in 0..3 {
        pieces.next().await.expect("a piece").expect("a word");
    }
    assert!(budget(&fairflow, "a").await.reserved > 0.59, "a hundred tokens in, and up to five hundred out");
    drop(pieces);
    let told = budget(&fairflow, "a").await;
    assert!(told.reserved == 0.0 && (0.103..0.11).contains(&told.spent), "a hundred in, three or more out: {told:?}");
    let stats = fairflow.stats_of("m").expect("it runs");
    assert!((stats.estimated_dollars() - told.spent).abs() < 1e-9 && (stats.spent_dollars() - told.spent).abs() < 1e-9);
    at_rest(&fairflow, "m").await;
}

#[tokio::test]
async fn an_answer_whose_provider_tells_nothing_costs_what_was_expected() {
    let models =
        "[models.m]\nroutes = [{ provider = \"sim\" }]\nprice = { request = 0.25, output_per_million = 1000 }\n";
    let fairflow = engine_with(models, "[tenants.a]\nbudget = { dollars_per_day = 1 }\n").await;
    let call = || fairflow.call("m", |_| async { Ok::<_, Infallible>(()) }).tenant("a").into_future();
    for spent in [0.25, 0.5, 0.75, 1.0] {
        call().await.expect("below the budget");
        assert!((budget(&fairflow, "a").await.spent - spent).abs() < 1e-9);
    }
    assert_eq!(call().await.expect_err("spent").reason().as_str(), "budget_exhausted");
    let stats = fairflow.stats_of("m").expect("it runs");
    assert_eq!((stats.unpriced(), stats.estimated_dollars()), (0, 1.0));
}

#[tokio::test]
async fn what_is_free_is_served_though_the_budget_is_spent() {
    let models = "[models.m]\nroutes = [{ provider = \"sim\" }]\nprice = { request = 1 }\n\
        [models.free]\nroutes = [{ provider = \"sim\" }]\nprice = { request = 0 }\n";
    let fairflow = engine_with(models, "[tenants.a]\nbudget = { dollars_per_day = 1 }\n").await;
    pay(&fairflow, "a", 2.0).await.expect("below");
    assert_eq!(pay(&fairflow, "a", 2.0).await.expect_err("spent").reason().as_str(), "budget_exhausted");
    let text = || fairflow.generate(TextInference::new("free", "x")).tenant("a").into_future();
    text().await.expect("free");
    // Until its provider asks for money all the same.
    let call = fairflow.call("free", |_| async { Ok::<_, Infallible>(()) }).tenant("a");
    call.with_lease().await.expect("free").lease.settle_with(1, Usage { dollars: Some(0.1), ..Usage::default() });
    assert_eq!(text().await.expect_err("not free").reason().as_str(), "budget_exhausted");
}

#[tokio::test]
async fn what_was_spent_and_what_answers_cost_outlive_reloads_and_restarts() {
    let tenants = "[tenants.a]\nbudget = { dollars_per_day = 10 }\n";
    let fairflow = engine(tenants, Learned::default()).await;
    pay(&fairflow, "a", 4.0).await.expect("below");
    let other = "[providers.sim]\nkind = \"sim\"\n[models.m]\nroutes = [{ provider = \"sim\" }]\nprice = { request = 2 }\n\
        [tenants.a]\nbudget = { dollars_per_day = 5 }\n";
    fairflow.reload(Config::from_toml(other).expect("TOML")).await.expect("valid");
    let told = budget(&fairflow, "a").await;
    assert!((told.spent - 4.0).abs() < 1e-9 && told.dollars_per_day == 5.0, "{told:?}");
    let again = engine(tenants, fairflow.learned()).await;
    let Leased { lease, .. } =
        again.call("m", |_| async { Ok::<_, Infallible>(()) }).tenant("a").with_lease().await.expect("below");
    let told = budget(&again, "a").await;
    assert!((told.spent - 4.0).abs() < 1e-9 && (told.reserved - 4.0).abs() < 1e-9, "as its like did cost: {told:?}");
    lease.settle();
}
