//! Models rest until their first request, and show themselves as if they did not.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use futures_util::future::join;

use crate::config::Config;
use crate::engine::view::error::Error;
use crate::engine::view::learned::{Learned, LearnedRoute};
use crate::engine::view::overrides::Action;
use crate::handle::Fairflow;
use crate::testing::{at_rest, paused};

const TOML: &str = "[providers.p]\nkind = \"sim\"\n[models.m]\nroutes = [{ provider = \"p\" }]\n\
    [models.other]\nroutes = [{ provider = \"p\" }]\n";

fn config(toml: &str) -> Config {
    Config::from_toml(toml).expect("TOML")
}

async fn engine(learned: Learned) -> Fairflow {
    Fairflow::builder(config(TOML)).seed(1).remember(learned).start_here().await.expect("starts")
}

async fn call(fairflow: &Fairflow, model: &str) -> Result<(), Error> {
    fairflow.call(model, |_| async { Ok::<_, Infallible>(()) }).await
}

#[test]
fn a_model_looks_before_its_first_request_as_it_does_after() {
    paused(async {
        let fairflow = engine(Learned::default()).await;
        let before = fairflow.capacity_of("m", Some("t")).await.expect("known");
        let you = before.you.as_ref().expect("asked for");
        assert_eq!((you.queued, you.in_flight, before.queue_depth), (0, 0, 0));
        assert_eq!(before.window, before.routes[0].window);
        fairflow.operate("m", Action::Unpin).await.expect("its actors begin");
        at_rest(&fairflow, "m").await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(fairflow.capacity_of("m", Some("t")).await.expect("known"), before);
        call(&fairflow, "m").await.expect("served");
        call(&fairflow, "other").await.expect("served: nobody touched it before");
    });
}

#[test]
fn what_was_learned_of_a_model_is_kept_while_nobody_asks_for_it() {
    paused(async {
        let route = LearnedRoute { provider: "p".into(), model: "m".into(), window: Some(40), rate: Some(7.0) };
        let learned = Learned { models: BTreeMap::from([("m".into(), vec![route])]), ..Learned::default() };
        let fairflow = engine(learned.clone()).await;
        assert_eq!(fairflow.learned(), learned);
        fairflow.reload(config(&format!("{TOML}queue = {{ capacity = 5 }}\n"))).await.expect("valid");
        assert_eq!((fairflow.learned(), fairflow.capacity()[1].queue_capacity), (learned, 5));
        call(&fairflow, "m").await.expect("served");
        assert_eq!(fairflow.capacity()[0].window, 40, "it begins there");
    });
}

#[test]
fn what_an_operator_sets_holds_for_the_first_request() {
    paused(async {
        let fairflow = engine(Learned::default()).await;
        fairflow.operate("m", Action::Pause).await.expect("known");
        let mut first = Box::pin(call(&fairflow, "m"));
        let waits = tokio::time::timeout(Duration::from_secs(5), &mut first).await;
        assert!(waits.is_err(), "{waits:?}");
        assert!(fairflow.capacity()[0].paused);
        fairflow.operate("m", Action::Resume).await.expect("known");
        first.await.expect("served");
    });
}

#[test]
fn a_first_request_of_a_model_that_goes_meanwhile_is_told_so() {
    paused(async {
        let fairflow = engine(Learned::default()).await;
        let without = TOML.split("[models.other]").next().expect("text");
        // The reload is on its way when the request finds the model.
        let (reloaded, called) = join(fairflow.reload(config(without)), call(&fairflow, "other")).await;
        reloaded.expect("valid");
        assert!(matches!(called, Err(Error::UnknownModel { .. })), "{called:?}");
    });
}

#[test]
fn a_reload_that_reserves_slots_shows_them_before_the_first_request() {
    paused(async {
        let fairflow = engine(Learned::default()).await;
        fairflow.reload(config(&format!("{TOML}[tenants.t]\nreserve = {{ m = 2 }}\n"))).await.expect("valid");
        let you = fairflow.capacity_of("m", Some("t")).await.expect("known").you.expect("asked for");
        assert_eq!(you.reserve.map(|reserve| reserve.slots), Some(2));
    });
}
