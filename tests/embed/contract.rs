//! The interface that is promised, line by line.

use std::time::Duration;

use fairflow::provider::{Failure, Outcome};
use fairflow::stats::RequestOutcome;
use fairflow::task::{ImageInference, TextInference};
use fairflow::{Class, Config, Error, Fairflow, Leased, Reason};
use futures_util::StreamExt;
use tokio::time::Instant;

use crate::{at_rest, own, start};

const FILE: &str = r#"
[providers.sim]
kind = "sim"
sim = { service = "5ms" }
[models."runware:101@1"]
routes = [{ provider = "sim" }]
[models."gpt-test"]
routes = [{ provider = "sim" }]
"#;

#[derive(Clone)]
struct MyClient;

impl MyClient {
    async fn complete(&self, prompt: String, deadline: Instant) -> Result<String, std::io::Error> {
        assert!(deadline > Instant::now());
        Ok(prompt.to_uppercase())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_promised_compiles_and_runs() -> Result<(), Box<dyn std::error::Error>> {
    let file = std::env::temp_dir().join(format!("fairflow-contract-{}.toml", std::process::id()));
    std::fs::write(&file, FILE)?;
    let (my_client, prompt) = (MyClient, "hello".to_owned());
    let new_config = Config::from_path(&file)?;

    let fairflow = Fairflow::builder(Config::from_path(&file)?).start().await?;
    let image = fairflow
        .generate(ImageInference::new("runware:101@1", "a red fox at dawn").size(1024, 1024))
        .tenant("acme")
        .class(Class::Interactive)
        .max_wait(Duration::from_secs(20))
        .await?;
    let reply = fairflow
        .call("gpt-test", move |attempt| {
            let (client, prompt) = (my_client.clone(), prompt.clone());
            async move { client.complete(prompt, attempt.deadline()).await }
        })
        .tenant("acme")
        .cost(812)
        .await?;
    let mut capacity = fairflow.watch("gpt-test");
    let now = capacity.next().await?;
    fairflow.reload(new_config).await?;
    let drained = fairflow.drain(Duration::from_secs(60)).await;

    std::fs::remove_file(&file)?;
    assert_eq!((image.images.len(), reply.as_str(), drained), (1, "HELLO", true));
    assert_eq!(&*now.model, "gpt-test");
    Ok(())
}

/// The line of the contract as it stands there: the client is borrowed, so the call is awaited where it is made.
#[tokio::test]
async fn a_call_may_borrow_its_client() {
    let fairflow = start(own(4)).await;
    let (my_client, prompt) = (MyClient, "hello".to_owned());
    let reply = fairflow
        .call("m", |attempt| my_client.complete(prompt.clone(), attempt.deadline()))
        .tenant("acme")
        .cost(812)
        .await
        .unwrap();
    assert_eq!(reply, "HELLO");
}

#[cfg(feature = "testing")]
#[test]
fn a_deadline_ends_the_wait_and_the_attempt_and_blames_nobody() {
    fairflow::testing::paused(deadlines());
}

#[cfg(feature = "testing")]
async fn deadlines() {
    let fairflow = Fairflow::builder(own(1)).start_here().await.unwrap();
    let soon = || Instant::now() + Duration::from_millis(50);
    let never = || fairflow.call("m", |_| std::future::pending::<Result<(), Failure>>()).deadline(soon());
    let (first, second) = tokio::join!(never().into_future(), never().into_future());
    assert!(matches!(first, Err(Error::DeadlineExceeded)), "{first:?}");
    assert!(matches!(second, Err(Error::DeadlineExceeded)), "{second:?}");
    at_rest(&fairflow).await;
    let ended: Vec<_> = fairflow.stats_of("m").expect("it runs").requests().filter(|(_, count)| *count > 0).collect();
    assert_eq!(
        ended,
        [(RequestOutcome::Refused(Reason::DeadlineExceeded), 2)],
        "an outcome of its own, in the queue and in the attempt"
    );
    let blamed: u64 = fairflow
        .stats_of("m")
        .expect("it runs")
        .attempts()
        .filter(|(o, _)| *o == Outcome::Overloaded)
        .map(|(_, n)| n)
        .sum();
    assert_eq!(blamed, 0);
    let past = fairflow.call("m", |_| async { Ok::<_, Failure>(()) }).deadline(Instant::now() - Duration::from_secs(1));
    assert!(past.await.is_err());
}

#[tokio::test]
async fn errors_say_what_to_do_and_keep_their_causes() {
    let fairflow = start(own(1)).await;
    let refused = fairflow.call("m", |_| async { "x".parse::<u8>() }).await.unwrap_err();
    assert!(refused.cause::<std::num::ParseIntError>().is_some() && !refused.is_retryable());
    let mut chain = std::iter::successors(std::error::Error::source(&refused), |error| error.source());
    assert!(chain.any(|error| error.is::<std::num::ParseIntError>()), "the chain of sources leads to it");

    let busy = || Failure::new(Outcome::Throttled, "busy").caused_by(std::io::Error::other("their words"));
    let failed = fairflow.call("m", move |_| async move { Err::<(), _>(busy()) }).await.unwrap_err();
    assert!(failed.is_retryable() && failed.retry_after().is_some() && failed.reason().as_str() == "retries_exhausted");
    assert_eq!(failed.cause::<std::io::Error>().unwrap().to_string(), "their words");

    let once = fairflow.call("m", |_| async { Err::<(), _>(Failure::from_status(503)) }).max_attempts(1).await;
    assert!(matches!(once, Err(Error::RetriesExhausted { attempts: 1, .. })), "{once:?}");

    // Errors that are no std errors, as many clients return them.
    let words = fairflow.call("m", |_| async { Err::<(), _>(String::from("no")) }).await.unwrap_err();
    assert!(words.to_string().contains("no"), "{words}");
    let unknown = fairflow.call("mm", |_| async { Ok::<_, Failure>(()) }).await.unwrap_err();
    assert!(matches!(&unknown, Error::UnknownModel { near: Some(near), .. } if near == "m"), "{unknown}");
    at_rest(&fairflow).await;
}

#[tokio::test]
async fn a_held_lease_keeps_its_slot_until_it_is_settled_or_dropped() {
    let fairflow = start(own(1)).await;
    let call = || fairflow.call("m", |_| async { Ok::<_, Failure>(()) });
    let Leased { lease, receipt, .. } = call().with_lease().await.unwrap();
    assert_eq!(receipt.attempts, 1);
    let waits = call().max_wait(Duration::from_millis(50)).await;
    assert!(matches!(waits, Err(Error::QueueTimeout { .. } | Error::DeadlineUnreachable { .. })), "{waits:?}");
    lease.settle_with(3, fairflow::task::Usage::default());
    let Leased { lease, .. } = call().with_lease().await.unwrap();
    drop(lease);
    call().await.unwrap();
    at_rest(&fairflow).await;
}

#[tokio::test]
async fn a_text_streams_and_holds_its_slot_meanwhile() {
    let fairflow = start(Config::demo()).await;
    let mut text = fairflow.generate(TextInference::new("sim-text", "hello").max_tokens(3)).stream().await.unwrap();
    let mut pieces = 0;
    while let Some(piece) = text.next().await {
        pieces += usize::from(!piece.unwrap().text.is_empty());
    }
    assert_eq!(pieces, 3);
}

#[tokio::test]
async fn a_watch_goes_on_through_reloads_and_says_when_there_is_nothing_to_watch() {
    let fairflow = start(own(1)).await;
    let mut capacity = fairflow.watch("m");
    assert_eq!(&*capacity.next().await.unwrap().model, "m");
    let mut without = own(1);
    without.models.clear();
    fairflow.reload(without).await.unwrap();
    let gone = tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            match capacity.next().await {
                Ok(_) => {}
                Err(error) => break error,
            }
        }
    });
    assert!(matches!(gone.await.unwrap(), Error::UnknownModel { .. }));
    fairflow.reload(own(2)).await.unwrap();
    let back = tokio::time::timeout(Duration::from_secs(10), capacity.wait_for(|now| now.window == 2)).await;
    back.expect("it is there again").unwrap();
    drop(fairflow);
    let stopped = tokio::time::timeout(Duration::from_secs(10), async { while capacity.next().await.is_ok() {} }).await;
    stopped.expect("a watch does not keep the engine running");
}
