//! Whose fault an answer is, seen by callers: who is tried again, who ends, and who does not notice.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::config::Config;
use crate::contract::attempt::Attempt;
use crate::contract::failure::Failure;
use crate::core::outcome::Outcome;
use crate::core::verdict::{Matter, Scope, Verdict};
use crate::engine::view::error::Error;
use crate::handle::Fairflow;
use crate::testing::at_rest;

/// Two accounts; `one` has its route at the first, `two` at both, `third` at the first again.
async fn engine(max_wait: &str, attempts: u32) -> Fairflow {
    let text = format!(
        "[providers.a]\nkind = \"custom\"\n[providers.b]\nkind = \"custom\"\n\
         [defaults]\nqueue = {{ max_wait = {max_wait:?} }}\n\
         retry = {{ base = \"1ms\", max = \"5ms\", max_attempts = {attempts} }}\n\
         [models.one]\nroutes = [{{ provider = \"a\" }}]\n[models.third]\nroutes = [{{ provider = \"a\" }}]\n\
         [models.two]\nroutes = [{{ provider = \"a\" }}, {{ provider = \"b\" }}]\n"
    );
    Fairflow::builder(Config::from_toml(&text).expect("valid")).seed(1).start().await.expect("starts")
}

/// Counts calls by account.
#[derive(Debug, Clone, Default)]
struct Calls(Arc<Mutex<BTreeMap<String, u32>>>);

impl Calls {
    fn note(&self, attempt: &Attempt) {
        *self.0.lock().expect("no panic").entry(attempt.provider().to_owned()).or_default() += 1;
    }

    fn of(&self, provider: &str) -> u32 {
        self.0.lock().expect("no panic").get(provider).copied().unwrap_or_default()
    }
}

/// Calls a model; `answer` says what each account answers.
async fn call(
    fairflow: &Fairflow,
    model: &str,
    tenant: &str,
    calls: &Calls,
    answer: impl Fn(&Attempt) -> Result<(), Failure> + Send + Sync + Clone + 'static,
) -> Result<(), Error> {
    let calls = calls.clone();
    let made = fairflow.call(model, move |attempt| {
        calls.note(&attempt);
        let answer = answer(&attempt);
        async move {
            tokio::time::sleep(Duration::from_millis(if answer.is_ok() { 5 } else { 1 })).await;
            answer
        }
    });
    made.tenant(tenant.to_owned()).await
}

fn ok(_: &Attempt) -> Result<(), Failure> {
    Ok(())
}

/// Fails at the first account, as a status says.
fn bad_at_a(status: u16) -> impl Fn(&Attempt) -> Result<(), Failure> + Send + Sync + Clone + 'static {
    move |attempt| if attempt.provider() == "a" { Err(Failure::from_status(status)) } else { Ok(()) }
}

#[tokio::test]
async fn a_dead_route_that_fails_fast_costs_no_caller_its_answer() {
    for status in [500, 501, 520, 307, 200, 404, 403] {
        let (fairflow, calls) = (engine("20s", 4).await, Calls::default());
        let jobs: Vec<_> = (0..200)
            .map(|n| {
                let (fairflow, calls) = (fairflow.clone(), calls.clone());
                tokio::spawn(
                    async move { call(&fairflow, "two", &format!("t{}", n % 5), &calls, bad_at_a(status)).await },
                )
            })
            .collect();
        let mut lost = Vec::new();
        for job in jobs {
            lost.extend(job.await.expect("no panic").err());
        }
        assert!(lost.len() <= 2, "{status}: {} of 200 lost, {:?}", lost.len(), lost[0]);
        assert!(calls.of("a") < 60, "{status}: the dead route was asked {} times", calls.of("a"));
        at_rest(&fairflow, "two").await;
    }
}

#[tokio::test]
async fn what_another_route_may_take_is_tried_there_once_and_else_ends_in_the_providers_words() {
    let (fairflow, calls) = (engine("20s", 4).await, Calls::default());
    let region = || Failure::judged(Verdict::new(Scope::Request, Matter::Key), "not in your region");
    let refuse = move |attempt: &Attempt| if attempt.provider() == "b" { Ok(()) } else { Err(region()) };
    for _ in 0..5 {
        call(&fairflow, "two", "t", &calls, refuse).await.expect("the other account takes it");
    }
    let everywhere = move |_: &Attempt| Err(region());
    for (model, asked) in [("two", 2), ("one", 1)] {
        let calls = Calls::default();
        let error = call(&fairflow, model, "u", &calls, everywhere).await.expect_err("no account takes it");
        assert!(matches!(&error, Error::Rejected(failure) if failure.message.contains("region")), "{model}: {error}");
        assert_eq!(calls.of("a") + calls.of("b"), asked, "{model}");
    }
    call(&fairflow, "one", "u", &Calls::default(), ok).await.expect("nobody else notices");
}

#[tokio::test]
async fn a_poisoned_request_ends_after_two_tries_and_nobody_else_notices() {
    let (fairflow, calls) = (engine("20s", 4).await, Calls::default());
    let poison = |_: &Attempt| Err(Failure::new(Outcome::Failed, "CUDA out of memory"));
    for _ in 0..10 {
        call(&fairflow, "one", "good", &calls, ok).await.expect("served");
    }
    for _ in 0..20 {
        let calls = Calls::default();
        let error = call(&fairflow, "one", "bad", &calls, poison).await.expect_err("it fails");
        assert!(matches!(&error, Error::Rejected(failure) if failure.message.contains("memory")), "{error}");
        assert!(calls.of("a") <= 2, "{}", calls.of("a"));
        call(&fairflow, "one", "good", &calls, ok).await.expect("nobody else notices");
    }
    at_rest(&fairflow, "one").await;
    let capacity = fairflow.capacity_of("one", None).await.expect("known");
    assert_eq!((capacity.routes[0].state.as_str(), capacity.window >= 4), ("open", true), "{capacity:?}");
}

#[tokio::test]
async fn a_refused_connection_costs_no_attempt() {
    let (fairflow, calls) = (engine("20s", 2).await, Calls::default());
    let seen = calls.clone();
    let down = move |_: &Attempt| {
        let failure = Failure { unsent: true, ..Failure::new(Outcome::Overloaded, "connection refused") };
        if seen.of("a") <= 7 { Err(failure) } else { Ok(()) }
    };
    call(&fairflow, "one", "t", &calls, down).await.expect("it waits for the provider, as long as it may");
    assert_eq!(calls.of("a"), 8);
}

#[tokio::test]
async fn a_probe_that_fails_costs_no_attempt() {
    let (fairflow, calls) = (engine("60s", 3).await, Calls::default());
    // Two waves of four close the route, at two attempts a caller at most; what comes then is a probe.
    let seen = calls.clone();
    let down = move |_: &Attempt| if seen.of("a") <= 10 { Err(Failure::from_status(503)) } else { Ok(()) };
    let callers = (0..6).map(|n| {
        let (fairflow, calls, down) = (fairflow.clone(), calls.clone(), down.clone());
        tokio::spawn(async move { call(&fairflow, "one", &format!("t{n}"), &calls, down).await })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.expect("no panic").expect("served once the provider is back");
    }
    assert!(calls.of("a") >= 16, "{}", calls.of("a"));
}

#[tokio::test]
async fn who_finds_the_only_route_closed_for_long_hears_it_at_once_as_do_all_who_wait() {
    let (fairflow, calls) = (engine("3s", 4).await, Calls::default());
    let limited =
        |_: &Attempt| Err(Failure::new(Outcome::RateLimited, "requests per day").retry_after(Duration::from_secs(120)));
    let callers = (0..20).map(|n| {
        let (fairflow, calls) = (fairflow.clone(), calls.clone());
        tokio::spawn(async move { call(&fairflow, "one", &format!("t{n}"), &calls, limited).await })
    });
    for caller in callers.collect::<Vec<_>>() {
        let told = tokio::time::timeout(Duration::from_secs(2), caller).await.expect("long before its three seconds");
        let error = told.expect("no panic").expect_err("there is no other route");
        let Error::NoCapacity { retry_after } = error else { panic!("{error:?}") };
        assert!((100..140).contains(&retry_after.as_secs()), "{retry_after:?}");
    }
    call(&fairflow, "third", "t", &calls, ok).await.expect("it is the limit of that model");
}

#[tokio::test]
async fn an_account_without_money_is_held_and_says_so_while_others_serve() {
    let (fairflow, calls) = (engine("3s", 4).await, Calls::default());
    let broke = |attempt: &Attempt| match attempt.provider() {
        "a" => Err(Failure::judged(Verdict::new(Scope::Account, Matter::Money), "no money")),
        _ => Ok(()),
    };
    let error = call(&fairflow, "third", "t", &calls, broke).await.expect_err("its only account has no money");
    assert!(matches!(error, Error::NoCapacity { retry_after } if retry_after.as_secs() >= 25), "{error:?}");
    let mut capacity = fairflow.watch("one");
    let held = capacity.wait_for(|now| now.routes.first().is_some_and(|route| route.state.as_str() == "suspended"));
    drop(tokio::time::timeout(Duration::from_secs(10), held).await.expect("the account's other models are held"));
    let error = call(&fairflow, "one", "u", &calls, ok).await.expect_err("its only account is held");
    assert!(matches!(error, Error::NoCapacity { retry_after } if retry_after.as_secs() >= 25), "{error:?}");
    call(&fairflow, "two", "t", &calls, broke).await.expect("the other account serves");
    assert_eq!(calls.of("a"), 1, "nobody else had to find out");
    let capacity = fairflow.capacity_of("one", None).await.expect("known");
    let route = &capacity.routes[0];
    assert!(
        route.state.as_str() == "suspended" && route.reason.as_deref().is_some_and(|why| why.contains("quota")),
        "{route:?}"
    );
}

#[tokio::test]
async fn a_suspicion_against_an_account_needs_a_second_witness() {
    let (fairflow, calls) = (engine("3s", 4).await, Calls::default());
    let odd = |_: &Attempt| Err(Failure::from_status(403));
    for _ in 0..10 {
        let error = call(&fairflow, "one", "t", &calls, odd).await.expect_err("refused");
        assert!(matches!(error, Error::Rejected(_)), "one tenant's own: {error:?}");
    }
    call(&fairflow, "one", "other", &calls, ok).await.expect("nobody else notices");
    for tenant in ["t", "u"] {
        drop(call(&fairflow, "one", tenant, &calls, odd).await);
    }
    let held = async {
        while call(&fairflow, "third", "v", &calls, ok).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), held).await.expect("two tenants met the same: the account is held");
}

#[tokio::test]
async fn models_that_were_told_waits_keep_their_own() {
    let (fairflow, calls) = (engine("20s", 4).await, Calls::default());
    let once = |wait: u64| {
        move |attempt: &Attempt| {
            let failure = Failure::new(Outcome::RateLimited, "requests per min");
            if attempt.number() == 1 { Err(failure.retry_after(Duration::from_millis(wait))) } else { Ok(()) }
        }
    };
    let long = tokio::spawn({
        let (fairflow, calls) = (fairflow.clone(), calls.clone());
        async move { call(&fairflow, "third", "t", &calls, once(15_000)).await }
    });
    let others = async {
        call(&fairflow, "one", "t", &calls, once(300)).await.expect("after its own wait");
        call(&fairflow, "two", "t", &calls, ok).await.expect("at once");
    };
    tokio::time::timeout(Duration::from_secs(8), others).await.expect("they do not wait for the other model");
    long.abort();
}
