//! The scheduler as a middleware of a tower stack.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use fairflow::config::{ModelConfig, ProviderConfig, WindowConfig};
use fairflow::provider::{Failure, Outcome};
use fairflow::tower::{BoxError, FairflowLayer, Plan, Policy, http_failure};
use fairflow::{Config, Error, Fairflow};
use http::{Request, Response};
use tower::{Layer, Service, ServiceBuilder, ServiceExt};

async fn engine(window: u32) -> Fairflow {
    let model = ModelConfig::on("mine").window(WindowConfig::pinned(window)).timeout(Duration::from_millis(300));
    let model = model.max_attempts(3).backoff(Duration::from_millis(1)..=Duration::from_millis(5)).retry_budget(1.0);
    let config = Config::new().provider("mine", ProviderConfig::custom()).model("m", model);
    Fairflow::builder(config).seed(1).start().await.unwrap()
}

fn plan(_: &u32) -> Plan {
    Plan::new("m").tenant("acme")
}

/// Sends requests again, and reads responses as HTTP.
struct Http;

impl Policy<Request<u32>, Response<u32>, Infallible> for Http {
    fn plan(&self, request: &Request<u32>) -> Plan {
        plan(request.body())
    }

    fn clone_request(&self, request: &Request<u32>) -> Option<Request<u32>> {
        Some(request.clone())
    }

    fn classify(&self, result: Result<&Response<u32>, &Infallible>) -> Option<Failure> {
        result.map_or(None, http_failure)
    }
}

/// Answers with `status` the first `times` times, then with 200; the body counts the requests.
fn failing(
    status: u16,
    times: u32,
) -> impl Service<Request<u32>, Response = Response<u32>, Error = Infallible, Future: Send> + Clone + Send {
    let seen = Arc::new(AtomicU32::new(0));
    tower::service_fn(move |_| {
        let number = seen.fetch_add(1, Ordering::SeqCst) + 1;
        let status = if number <= times { status } else { 200 };
        std::future::ready(Ok(Response::builder().status(status).body(number).unwrap()))
    })
}

/// Waits until that many attempts have ended that way, and nothing is in flight.
async fn settled(fairflow: &Fairflow, outcome: Outcome, expected: u64) {
    let count = || -> u64 {
        let stats = &fairflow.stats_of("m").expect("it runs");
        stats.attempts().filter(|(seen, _)| *seen == outcome).map(|(_, count)| count).sum()
    };
    for _ in 0..1_000 {
        if count() == expected && fairflow.capacity()[0].in_flight == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{} attempts ended as {outcome:?}, not {expected}; or something leaked", count());
}

#[tokio::test]
async fn no_more_than_the_window_reach_the_inner_service() {
    let fairflow = engine(3).await;
    let (now, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (inside, peak) = (now.clone(), most.clone());
    let service = ServiceBuilder::new().layer(FairflowLayer::new(fairflow.clone(), plan)).service_fn(move |n: u32| {
        let (inside, peak) = (inside.clone(), peak.clone());
        async move {
            peak.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(2)).await;
            inside.fetch_sub(1, Ordering::SeqCst);
            Ok::<_, Infallible>(n)
        }
    });
    let calls: Vec<_> = (0..60).map(|n| tokio::spawn(service.clone().oneshot(n))).collect();
    for (n, call) in (0..).zip(calls) {
        assert_eq!(call.await.unwrap().unwrap(), n);
    }
    assert_eq!(most.load(Ordering::SeqCst), 3);
    settled(&fairflow, Outcome::Success, 60).await;
}

#[tokio::test]
async fn what_can_be_copied_is_retried_and_the_last_response_is_the_services_own() {
    let fairflow = engine(3).await;
    let layer = FairflowLayer::new(fairflow.clone(), Http);
    let served = layer.layer(failing(503, 2)).oneshot(Request::new(1)).await.unwrap();
    assert_eq!((served.status().as_u16(), *served.body()), (200, 3));
    settled(&fairflow, Outcome::Overloaded, 2).await;
    let refused = layer.layer(failing(429, 9)).oneshot(Request::new(1)).await.unwrap();
    assert_eq!((refused.status().as_u16(), *refused.body()), (429, 3));
    settled(&fairflow, Outcome::Throttled, 3).await;
    let wrong = layer.layer(failing(400, 9)).oneshot(Request::new(1)).await.unwrap();
    assert_eq!((wrong.status().as_u16(), *wrong.body()), (400, 1));
    settled(&fairflow, Outcome::Rejected, 1).await;
}

/// An error of the inner service that is not to be mistaken for one of the scheduler's.
#[derive(Debug, thiserror::Error)]
#[error("inner")]
struct Inner;

#[tokio::test]
async fn errors_of_both_sides_arrive_as_they_are() {
    let fairflow = engine(1).await;
    let layer = FairflowLayer::new(fairflow.clone(), plan);
    let error = layer.layer(tower::service_fn(|_: u32| async { Err::<(), _>(Inner) })).oneshot(1).await.unwrap_err();
    assert!(error.is::<Inner>());
    let never = tower::service_fn(|_: u32| std::future::pending::<Result<(), Inner>>());
    let error = layer.layer(never).oneshot(1).await.unwrap_err();
    let timed_out = error.downcast_ref::<Error>();
    assert!(matches!(timed_out, Some(Error::UpstreamTimeout { attempts: 1 })), "not copied, so not retried: {error}");
    let unknown = FairflowLayer::new(fairflow.clone(), |_: &u32| Plan::new("mm"));
    let error = unknown.layer(never).oneshot(1).await.unwrap_err();
    assert_eq!(error.downcast_ref::<Error>().unwrap().reason().as_str(), "unknown_model");
    settled(&fairflow, Outcome::Overloaded, 1).await;
}

/// Ready once, and then not again: what a service may be that was not asked for readiness.
#[derive(Clone)]
struct Strict {
    ready: bool,
}

impl Service<u32> for Strict {
    type Response = u32;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<u32, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u32) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called without being asked for readiness");
        Box::pin(std::future::ready(Ok(request)))
    }
}

#[tokio::test]
async fn the_inner_service_is_asked_for_readiness_and_a_stopped_engine_is_not_ready() -> Result<(), BoxError> {
    let fairflow = engine(1).await;
    let mut service = FairflowLayer::new(fairflow.clone(), plan).layer(Strict { ready: false });
    for request in 0..3 {
        assert_eq!(service.ready().await?.call(request).await?, request);
    }
    // A service made again from the same layer shares the engine.
    drop(service.clone());
    fairflow.drain(Duration::from_secs(1)).await;
    let refused = service.ready().await?.call(1).await.unwrap_err();
    assert_eq!(refused.downcast_ref::<Error>().unwrap().reason().as_str(), "no_capacity");
    Ok(())
}

#[tokio::test]
async fn dropping_the_response_future_frees_the_slot() {
    let fairflow = engine(1).await;
    let layer = FairflowLayer::new(fairflow.clone(), plan);
    let mut never = layer.layer(tower::service_fn(|_: u32| std::future::pending::<Result<(), Inner>>()));
    let call = never.call(1);
    assert!(tokio::time::timeout(Duration::from_millis(50), call).await.is_err());
    settled(&fairflow, Outcome::Cancelled, 1).await;
}
