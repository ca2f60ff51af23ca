//! Waiting for what comes by itself, with an end.

use std::time::Duration;

use tokio::time::{sleep, timeout};

/// Longest wait: far more than anything here takes, on a busy machine too.
const LONGEST: Duration = Duration::from_secs(60);

/// Waits until a condition holds; a test that waits in vain fails with `what`.
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    found(what, async || holds().await.then_some(())).await;
}

/// Waits until something is found and returns it; a test that waits in vain fails with `what`.
pub async fn found<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(LONGEST, looking).await.unwrap_or_else(|_| panic!("waited {LONGEST:?} in vain: {what}"))
}
