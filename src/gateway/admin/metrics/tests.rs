use std::convert::Infallible;
use std::time::Duration;

use super::*;
use crate::Leased;
use crate::config::{Config, ModelConfig, ProviderConfig};
use crate::telemetry::Telemetry;

#[path = "../../../../tests/support/prometheus.rs"]
mod prometheus;

#[test]
fn tenants_beyond_the_largest_are_one() {
    let name = |n| if n == 1 { "other".to_owned() } else { format!("t{n}\"") };
    let load = |n| TenantLoad { tenant: name(n).into(), queued: 0, in_flight: if n == 0 { 11 } else { 1 } };
    let busy = ModelTenants { in_flight: 40, model: "m".into(), tenants: (0..NAMED_TENANTS).map(load).collect() };
    let idle = ModelTenants { in_flight: 0, model: "idle".into(), tenants: Vec::new() };
    let mut page = Page(String::new());
    page.tenants(&[busy, idle]).expect("written");
    let samples: Vec<&str> = page.0.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(samples.len(), NAMED_TENANTS + 1);
    assert_eq!(samples[0], r#"fairflow_tenant_share{model="m",tenant="t0\""} 0.275"#);
    assert_eq!(samples.iter().collect::<std::collections::BTreeSet<_>>().len(), samples.len(), "each once");
    assert_eq!(samples[NAMED_TENANTS], r#"fairflow_tenant_share{model="m",tenant="other",sum="true"} 0.25"#);
}

/// A gateway with models that are busy, and tenants of which each has a request waiting or in flight.
async fn busy(models: usize, tenants: usize) -> (Gateway, Vec<tokio::task::JoinHandle<()>>) {
    let model = |config: Config, n: usize| config.model(format!("vendor/model-{n:03}"), ModelConfig::on("own"));
    let config = (0..models).fold(Config::new().provider("own", ProviderConfig::custom()), model);
    let fairflow = crate::Fairflow::builder(config).start().await.expect("starts");
    for n in 0..models {
        // Every histogram has something in it.
        let call = fairflow.call(format!("vendor/model-{n:03}"), |_| async { Ok::<_, Infallible>(()) });
        let Leased { lease, .. } = call.tenant("first").with_lease().await.expect("served");
        // Half of them answer in text, and tell of tokens.
        let [input_tokens, output_tokens] = [5, 9].map(|tokens| (n % 2 == 0).then_some(tokens));
        lease.settle_with(7, crate::task::Usage { input_tokens, output_tokens, dollars: Some(0.01) });
    }
    let calls = (0..tenants).map(|n| {
        let call = fairflow
            .call(format!("vendor/model-{:03}", n % models), |_| std::future::pending::<Result<(), Infallible>>());
        let call = call.tenant(format!("tenant-\"{n:05}\"\n-of-a-usual-length"));
        tokio::spawn(async move { drop(call.await) })
    });
    let calls: Vec<_> = calls.collect();
    for _ in 0..400 {
        let capacity = fairflow.capacity();
        if capacity.iter().map(|model| model.queue_depth + model.in_flight as usize).sum::<usize>() == tenants {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    let telemetry = Telemetry::start(&fairflow).expect("nothing is configured");
    (Gateway::new(fairflow, telemetry, true), calls)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a figure for people, not checked")]
async fn a_scrape_stays_small_with_many_tenants_and_models() {
    let (gateway, calls) = busy(100, 10_000).await;
    let began = std::time::Instant::now();
    let text = page(&gateway).await.expect("written");
    println!("{} bytes in {:?}", text.len(), began.elapsed());
    let families = prometheus::parse(&text);
    assert!(text.len() < 1_000_000, "{} bytes", text.len());
    let shares = &families["fairflow_tenant_share"].samples;
    // What is in flight on a model is a handful; what waits has no share.
    assert!((100..=100 * (NAMED_TENANTS + 1)).contains(&shares.len()), "{} shares", shares.len());
    let depth: f64 = families["fairflow_queue_depth"].samples.iter().map(|sample| sample.value).sum();
    let flying: f64 = families["fairflow_in_flight"].samples.iter().map(|sample| sample.value).sum();
    assert!((depth + flying - 10_000.0).abs() < 0.5, "{depth} waiting, {flying} in flight");
    calls.iter().for_each(tokio::task::JoinHandle::abort);
}
