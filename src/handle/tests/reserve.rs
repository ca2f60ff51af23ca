//! Reservations, groups and learned costs through the actors, in paused time: figures are exact.

use std::convert::Infallible;
use std::time::Duration;

use tokio::time::Instant;

use crate::config::Config;
use crate::handle::Fairflow;
use crate::testing::paused;

const SERVICE: Duration = Duration::from_millis(400);

pub(super) async fn engine(rest: &str) -> Fairflow {
    let config = format!(
        "[providers.sim]\nkind = \"sim\"\n[models.m]\nroutes = [{{ provider = \"sim\" }}]\n\
         window = {{ initial = 10, min = 10, max = 10 }}\n{rest}"
    );
    let config = Config::from_toml(&config).expect("TOML");
    Fairflow::builder(config).seed(1).start_here().await.expect("starts")
}

/// Keeps `clients` of a tenant busy for ever.
fn flood(fairflow: &Fairflow, tenant: &'static str, clients: usize) {
    for _ in 0..clients {
        let fairflow = fairflow.clone();
        actix::spawn(async move {
            loop {
                let served = fairflow.call("m", |_| async {
                    tokio::time::sleep(SERVICE).await;
                    Ok::<_, Infallible>(())
                });
                if served.tenant(tenant).await.is_err() {
                    return;
                }
            }
        });
    }
}

#[allow(clippy::disallowed_methods, reason = "the clock of the test")]
/// Sends `count` at once and returns the longest wait for a slot.
async fn longest_wait(fairflow: &Fairflow, tenant: &'static str, count: usize) -> Duration {
    let sent = Instant::now();
    let calls = (0..count).map(|_| {
        let call = fairflow.call("m", move |_| async move {
            let waited = sent.elapsed();
            tokio::time::sleep(SERVICE).await;
            Ok::<_, Infallible>(waited)
        });
        actix::spawn(async move { call.tenant(tenant).await.expect("served") })
    });
    let calls: Vec<_> = calls.collect();
    let mut longest = Duration::ZERO;
    for call in calls {
        longest = longest.max(call.await.expect("no panic"));
    }
    longest
}

async fn in_flight(fairflow: &Fairflow, tenant: &str) -> u32 {
    fairflow.capacity_of("m", Some(tenant)).await.expect("known").you.expect("asked for").in_flight
}

#[test]
fn reserved_slots_are_there_within_one_service_time_and_lent_meanwhile() {
    paused(async {
        let fairflow = engine("[tenants.acme]\nreserve = { m = 4 }\n").await;
        flood(&fairflow, "others", 200);
        tokio::time::sleep(SERVICE * 10).await;
        assert_eq!(in_flight(&fairflow, "others").await, 10, "what is not used is lent");
        let wait = longest_wait(&fairflow, "acme", 4).await;
        assert!(wait <= SERVICE, "{wait:?}");
        let you = fairflow.capacity_of("m", Some("acme")).await.expect("known").you.expect("asked for");
        let reserve = you.reserve.expect("it has one");
        assert_eq!((reserve.slots, reserve.granted, reserve.state.as_str()), (4, 4, "full"));
    });
}

#[test]
fn without_a_reservation_the_same_waits_for_its_share() {
    paused(async {
        let fairflow = engine("").await;
        for tenant in ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r"] {
            flood(&fairflow, tenant, 10);
        }
        tokio::time::sleep(SERVICE * 10).await;
        let wait = longest_wait(&fairflow, "acme", 4).await;
        assert!(wait > SERVICE * 2, "{wait:?}");
    });
}

#[test]
fn what_is_promised_beyond_the_slots_is_cut_by_weight_and_said() {
    paused(async {
        let rest = "[tenants.a]\nreserve = { m = 8 }\n[tenants.b]\nreserve = { m = 8 }\n";
        let fairflow = engine(rest).await;
        longest_wait(&fairflow, "a", 1).await;
        let you = fairflow.capacity_of("m", Some("a")).await.expect("known").you.expect("asked for");
        let reserve = you.reserve.expect("it has one");
        assert_eq!((reserve.slots, reserve.granted, reserve.state.as_str()), (8, 4, "scaled"), "0.8 of ten slots");
    });
}

#[test]
fn the_tenants_of_a_group_share_as_one() {
    paused(async {
        let rest = "[groups.big]\n[tenants.one]\ngroup = \"big\"\n[tenants.two]\ngroup = \"big\"\n";
        let fairflow = engine(rest).await;
        for tenant in ["one", "two", "alone"] {
            flood(&fairflow, tenant, 40);
        }
        tokio::time::sleep(SERVICE * 20).await;
        let alone = in_flight(&fairflow, "alone").await;
        assert_eq!(alone, 5, "half of ten slots");
    });
}
