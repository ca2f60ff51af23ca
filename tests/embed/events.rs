//! The event stream tells what happened, in order, and never holds anything up.

use std::time::Duration;

use fairflow::events::{EventKind, Events};
use fairflow::provider::{Failure, Outcome};

use crate::{at_rest, own, start};

/// Waits for so many events and words them.
async fn heard(events: &mut Events, count: usize) -> Vec<String> {
    let mut words = Vec::new();
    while words.len() < count {
        let event = tokio::time::timeout(Duration::from_secs(30), events.next()).await;
        let event = event.unwrap_or_else(|_| panic!("no more than {words:?}")).expect("the engine runs");
        words.push(match event {
            Ok(event) => match event.kind {
                EventKind::Dispatched { tenant, provider, attempt, .. } => {
                    format!("dispatched {tenant} {provider} {attempt}")
                }
                EventKind::Settled { attempt, outcome, .. } => format!("settled {attempt} {}", outcome.as_str()),
                EventKind::Retried { attempt, outcome, .. } => format!("retried {attempt} {}", outcome.as_str()),
                EventKind::WindowChanged { from, to, kind, .. } => format!("window {from} {to} {}", kind.as_str()),
                EventKind::Held { .. } => "held".to_owned(),
                EventKind::Rejected { reason, .. } => format!("rejected {reason}"),
                EventKind::Shed { reason, .. } => format!("shed {reason}"),
                other => format!("{other:?}"),
            },
            Err(missed) => format!("missed {}", missed.0),
        });
    }
    words
}

#[tokio::test]
async fn each_step_of_a_request_is_told() {
    let fairflow = start(own(1)).await;
    let mut events = fairflow.events();
    let call = fairflow.call("m", |attempt| async move {
        let wait = Duration::from_millis(1);
        if attempt.number() == 1 { Err(Failure::new(Outcome::RateLimited, "slow").retry_after(wait)) } else { Ok(()) }
    });
    call.tenant("acme").await.unwrap();
    at_rest(&fairflow).await;
    let mut words = heard(&mut events, 6).await;
    // `settled` comes from the engine's thread, the caller's own words from the caller's.
    assert_eq!(words.remove(0), "dispatched acme mine 1");
    words[..3].sort();
    assert_eq!(words[..3], ["held", "retried 1 rate_limited", "settled 1 rate_limited"]);
    assert_eq!(words[3..], ["dispatched acme mine 2", "settled 2 success"]);
}

#[tokio::test]
async fn windows_and_refusals_are_told() {
    let fairflow = start(own(4)).await;
    let mut events = fairflow.events();
    fairflow.reload(own(1)).await.unwrap();
    assert_eq!(heard(&mut events, 1).await, ["window 4 1 reconfigured"]);
    let blocker = fairflow.call("m", |_| async { Ok::<_, Failure>(()) }).with_lease().await.unwrap();
    let shed = fairflow.call("m", |_| async { Ok::<_, Failure>(()) }).max_wait(Duration::from_millis(20)).await;
    assert!(shed.is_err());
    fairflow.drain(Duration::from_millis(10)).await;
    assert!(fairflow.call("m", |_| async { Ok::<_, Failure>(()) }).await.is_err());
    drop(blocker);
    let words = heard(&mut events, 4).await;
    assert_eq!(
        words,
        ["dispatched default mine 1", "shed queue_timeout", "rejected no_capacity", "settled 1 cancelled"]
    );
}

#[tokio::test]
async fn a_slow_listener_is_told_what_it_missed_and_the_end() {
    let fairflow = start(own(64)).await;
    let mut slow = fairflow.events();
    let other = fairflow.events();
    drop(other);
    let calls: Vec<_> = (0..2_000)
        .map(|_| {
            let call = fairflow.call("m", |_| async { Ok::<_, Failure>(()) });
            tokio::spawn(call.into_future())
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    // The last settlements are told after their callers have gone on, and a snapshot may be from before.
    let settled = || fairflow.stats_of("m").expect("it runs").attempts().map(|(_, count)| count).sum::<u64>();
    tokio::time::timeout(Duration::from_secs(30), async {
        while settled() < 2_000 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // An answer of the engine's thread: what it was at has been told.
        fairflow.capacity_of("m", Some("anybody")).await.unwrap();
    })
    .await
    .expect("all attempts settle");
    let first = slow.next().await.unwrap();
    // Two events a request; at most 1,024 are kept.
    assert_eq!(first.unwrap_err().0, 4_000 - 1_024);
    drop(fairflow);
    let ended = tokio::time::timeout(Duration::from_secs(10), async {
        let mut left = 0;
        while let Some(event) = slow.next().await {
            event.unwrap();
            left += 1;
        }
        left
    });
    assert_eq!(ended.await.expect("the stream ends with the engine"), 1_024);
}
