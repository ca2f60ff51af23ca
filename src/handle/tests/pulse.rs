//! Tests of what a snapshot says of a model's health, in paused time.

use std::convert::Infallible;
use std::time::Duration;

use crate::contract::failure::Failure;
use crate::core::outcome::Outcome;
use crate::engine::view::capacity::Status;
use crate::handle::tests::reserve::engine;
use crate::testing::paused;

#[test]
fn throughput_fades_when_nothing_comes() {
    paused(async {
        let fairflow = engine("").await;
        for _ in 0..20 {
            let call = fairflow.call("m", |_| async {
                tokio::time::sleep(Duration::from_millis(100)).await;
                Ok::<_, Infallible>(())
            });
            call.await.expect("served");
        }
        let mut capacity = fairflow.watch("m");
        tokio::time::sleep(Duration::from_secs(1)).await;
        let busy = capacity.wait_for(|now| now.throughput_per_second > 1.0).await.expect("runs").throughput_per_second;
        tokio::time::sleep(Duration::from_secs(100)).await;
        let idle = capacity.wait_for(|_| true).await.expect("runs").throughput_per_second;
        assert!(busy > 1.0 && idle == 0.0, "{busy} a second, then {idle}");
    });
}

#[test]
fn refusals_for_a_cap_are_no_timeouts() {
    paused(async {
        let fairflow = engine("retry = { base = \"1ms\", max = \"1ms\" }").await;
        for outcome in [Outcome::Throttled, Outcome::Overloaded] {
            for _ in 0..40 {
                let call = fairflow.call("m", move |attempt| async move {
                    if attempt.number() == 1 { Err(Failure::new(outcome, "busy")) } else { Ok(()) }
                });
                call.await.expect("the second attempt");
            }
            let mut capacity = fairflow.watch("m");
            tokio::time::sleep(Duration::from_secs(1)).await;
            let status = capacity.wait_for(|_| true).await.expect("runs").status;
            let saturated = matches!(status, Status::Saturated);
            assert_eq!(saturated, outcome == Outcome::Overloaded, "{status:?} after {outcome:?}");
        }
    });
}
