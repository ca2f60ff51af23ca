//! Paused time for tests of a service that embeds the scheduler: waits take no time, and figures are exact.
//!
//! ```
//! use fairflow::testing::{at_rest, paused};
//! use fairflow::{Config, Fairflow};
//! use std::time::Duration;
//!
//! paused(async {
//!     let fairflow = Fairflow::builder(Config::demo()).start_here().await.expect("starts");
//!     let call = fairflow.call("sim-text", |_| async {
//!         tokio::time::sleep(Duration::from_secs(60)).await; // at once
//!         Ok::<_, std::io::Error>("done")
//!     });
//!     assert_eq!(call.tenant("acme").await.expect("served"), "done");
//!     at_rest(&fairflow, "sim-text").await;
//! });
//! ```

use std::future::Future;
use std::time::Duration;

use crate::handle::Fairflow;

/// Time within which an engine must come to rest.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs a test on an actix system whose clock stands still while anything can be done, and else jumps to the next timer.
/// Start the engine there with [`Builder::start_here`](crate::Builder::start_here), so that it shares the clock.
///
/// # Panics
///
/// Where the test does, and where no runtime can be built.
pub fn paused<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    let runtime = runtime.expect("a runtime of one thread can be built");
    actix::System::with_tokio_rt(|| runtime).block_on(test)
}

/// Waits until no request of a model waits or is in flight.
///
/// # Panics
///
/// After 30 s: a slot or a place in the queue has leaked. Also where no such model runs.
pub async fn at_rest(fairflow: &Fairflow, model: &str) {
    let mut capacity = fairflow.watch(model);
    let rest = capacity.wait_for(|now| now.in_flight == 0 && now.queue_depth == 0);
    let rested = tokio::time::timeout(PATIENCE, rest).await.expect("a slot or a place in the queue leaked");
    drop(rested.expect("the model runs"));
}
