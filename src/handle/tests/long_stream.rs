//! Streams that outlast the timeout of their attempt, in paused time: their lease lives as long as pieces come.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::config::Config;
use crate::handle::Fairflow;
use crate::handle::call::Leased;
use crate::task::Usage;
use crate::testing::paused;

/// Says whether a tenant that may have one request in flight is served another while it streams for `steps` of `step`,
/// and whether it is once the stream has ended. An attempt may take 1 s.
async fn beside_a_stream(steps: u32, step: Duration) -> (bool, bool) {
    let config = "[tiers.one]\nmax_in_flight = 1\n[tenants.streams]\ntier = \"one\"\n[providers.sim]\nkind = \"sim\"\n\
         [models.m]\nroutes = [{ provider = \"sim\" }]\ntimeout = \"1s\"\nqueue = { max_wait = \"10m\" }\n";
    let config = Config::from_toml(config).expect("TOML");
    let fairflow = Fairflow::builder(config).seed(1).start_here().await.expect("starts");
    let call = || fairflow.call("m", |_| async { Ok::<_, Infallible>(()) }).tenant("streams");
    let Leased { mut lease, .. } = call().with_lease().await.expect("begins");
    let served = Arc::new(AtomicBool::new(false));
    let (other, told) = (call().into_future(), served.clone());
    actix::spawn(async move { told.store(other.await.is_ok(), Ordering::Relaxed) });
    for _ in 0..steps {
        tokio::time::sleep(step).await;
        lease.spend(1);
    }
    let meanwhile = served.load(Ordering::Relaxed);
    lease.settle_with(1, Usage::default());
    tokio::time::sleep(Duration::from_millis(100)).await;
    (meanwhile, served.load(Ordering::Relaxed))
}

#[test]
fn a_stream_keeps_its_lease_as_long_as_pieces_come() {
    paused(async {
        assert_eq!(beside_a_stream(600, Duration::from_millis(100)).await, (false, true), "quick pieces");
        assert_eq!(beside_a_stream(20, Duration::from_secs(4)).await, (false, true), "slow pieces");
    });
}

#[test]
fn a_stream_that_has_stopped_loses_its_lease() {
    paused(async {
        assert_eq!(beside_a_stream(1, Duration::from_secs(7)).await, (true, true), "beyond timeout and grace");
    });
}
