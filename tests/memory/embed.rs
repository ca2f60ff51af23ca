//! Bytes per queued call.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use fairflow::config::{ModelConfig, ProviderConfig, WindowConfig};
use fairflow::provider::Failure;
use fairflow::{Config, Fairflow, Leased};
use stats_alloc::Region;

use crate::ALLOCATOR;

const CALLS: usize = 100_000;
/// Bytes per queued call, apart from its closure; this one captures nothing.
const MOST: usize = 890;

#[tokio::main(flavor = "current_thread")]
pub async fn a_hundred_thousand_queued_calls_cost_less_than_a_kilobyte_each() {
    let model = ModelConfig::on("mine")
        .window(WindowConfig::pinned(1))
        .queue_capacity(200_000)
        .max_wait(Duration::from_secs(3_600));
    let config = Config::new().provider("mine", ProviderConfig::custom()).model("m", model);
    let fairflow = Fairflow::builder(config).start().await.unwrap();
    let Leased { lease: blocker, .. } =
        fairflow.call("m", |_| async { Ok::<_, Failure>(()) }).with_lease().await.unwrap();

    let region = Region::new(ALLOCATOR);
    let mut queued: Vec<Pin<Box<dyn Future<Output = _> + Send>>> = Vec::with_capacity(CALLS);
    let mut cx = Context::from_waker(Waker::noop());
    for number in 0..CALLS {
        let call = fairflow.call("m", |_| async { Ok::<_, Failure>(()) });
        let mut call = call.tenant(format!("tenant-{}", number % 100)).into_future();
        assert!(matches!(call.as_mut().poll(&mut cx), Poll::Pending));
        queued.push(call);
    }
    let mut capacity = fairflow.watch("m");
    capacity.wait_for(|now| now.queue_depth == CALLS).await.unwrap();
    let change = region.change();
    let each = (change.bytes_allocated - change.bytes_deallocated) / CALLS;
    let future = std::mem::size_of_val(&*queued[0]);
    println!("{each} bytes a queued call, {future} of them its future");
    drop(queued);
    capacity.wait_for(|now| now.queue_depth == 0).await.unwrap();
    let left = region.change();
    let kept = left.bytes_allocated.saturating_sub(left.bytes_deallocated) / CALLS;
    println!("{kept} bytes a call kept in the queue's own tables for the next crowd");
    drop(blocker);
    assert!(each < MOST, "{each} bytes a queued call");
    assert!(kept < each / 2, "{kept} bytes a call are not given back");
}
