//! Streams that run longer than was predicted, in paused time: their tenant pays while they do.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::config::Config;
use crate::handle::Fairflow;
use crate::handle::call::Leased;
use crate::task::Usage;
use crate::testing::paused;

/// Of a short call, and between two pieces of the stream: 10 units of work each.
const STEP: Duration = Duration::from_millis(100);
const UNITS: u64 = 10;

/// Keeps short calls of a tenant waiting for ever and counts those that are served.
fn flood(fairflow: &Fairflow, tenant: &'static str) -> Arc<AtomicU32> {
    let served = Arc::new(AtomicU32::new(0));
    for _ in 0..20 {
        let (fairflow, served) = (fairflow.clone(), served.clone());
        actix::spawn(async move {
            loop {
                let call = fairflow.call("m", |_| async {
                    tokio::time::sleep(STEP).await;
                    Ok::<_, Infallible>(())
                });
                // It says what it did cost: the stream's excess is no experience of short calls.
                let Ok(Leased { lease, .. }) = call.tenant(tenant).cost(UNITS).with_lease().await else { return };
                lease.settle_with(UNITS, Usage::default());
                served.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    served
}

/// Streams ten times what was predicted beside short calls of the same and of another tenant, on two slots. Returns
/// what the two were served of short calls meanwhile, and in the same time after.
async fn beside_a_stream(told: bool) -> [(u32, u32); 2] {
    let config = "[providers.sim]\nkind = \"sim\"\n[models.m]\nroutes = [{ provider = \"sim\" }]\n\
         window = { initial = 2, min = 2, max = 2 }\n";
    let config = Config::from_toml(config).expect("TOML");
    let fairflow = Fairflow::builder(config).seed(1).start_here().await.expect("starts");
    let stream = fairflow.call("m", |_| async { Ok::<_, Infallible>(()) }).tenant("streams").cost(10 * UNITS);
    let Leased { mut lease, .. } = stream.with_lease().await.expect("begins");
    let (own, other) = (flood(&fairflow, "streams"), flood(&fairflow, "calls"));
    let read = || (own.load(Ordering::Relaxed), other.load(Ordering::Relaxed));
    for _ in 0..100 {
        tokio::time::sleep(STEP).await;
        if told {
            lease.spend(UNITS);
        }
    }
    let meanwhile = read();
    lease.settle_with(100 * UNITS, Usage::default());
    tokio::time::sleep(STEP * 100).await;
    let all = read();
    [meanwhile, (all.0 - meanwhile.0, all.1 - meanwhile.1)]
}

#[test]
fn a_tenant_pays_for_a_stream_that_outgrows_its_prediction_while_it_runs() {
    paused(async {
        let [(own, other), (after, other_after)] = beside_a_stream(true).await;
        // The stream is half of what two slots can do, which is all that its tenant may have.
        assert!(other >= 80, "of a hundred short calls the other tenant gets {other}, the stream's {own}");
        // And no less: once it has ended, nothing is owed.
        assert!(after >= 80 && other_after >= 80, "each has its slot: {after} and {other_after}");
    });
}

#[test]
fn untold_it_takes_more_than_its_share_and_owes_it_afterwards() {
    paused(async {
        let [(own, other), (after, other_after)] = beside_a_stream(false).await;
        assert!(own >= 40, "the short calls share a slot, beside the stream: {own} and {other}");
        assert!(after + 40 <= other_after, "{after} and {other_after}");
    });
}
