//! Bytes per request and per tenant: payload, name and the queue of zero apart.
//!
//! `FAIRFLOW_TENANTS=n` adds a row of n tenants with two requests each.

use std::alloc::System;
use std::sync::Arc;
use std::time::Duration;

use fairflow::core::cost::Cost;
use fairflow::core::fair_queue::{Class, FairQueue, QueueLimits, Request, TenantLimits};
use fairflow::core::time::Time;
use stats_alloc::Region;

use crate::ALLOCATOR;

/// Bytes held more than when the region began. What grows in place counts as allocated, what shrinks as freed.
fn held(region: &Region<System>) -> f64 {
    let stats = region.change();
    stats.bytes_allocated as f64 - stats.bytes_deallocated as f64
}

fn push(queue: &mut FairQueue<()>, name: &Arc<str>, n: u64) {
    let request = Request {
        tenant: name.clone(),
        limits: TenantLimits::default(),
        class: Class::Standard,
        cost: Cost::new(100 + n % 900),
        deadline: Time::ZERO + Duration::from_secs(60) + Duration::from_millis(n % 5_000),
        payload: (),
    };
    queue.push(Time::ZERO, request).map_err(|(refusal, _)| refusal).unwrap();
}

pub fn bytes_per_request_and_tenant() {
    println!("{:>9} {:>9} {:>12} {:>12}", "tenants", "requests", "B a tenant", "B a request");
    let more: Option<usize> = std::env::var("FAIRFLOW_TENANTS").ok().and_then(|text| text.parse().ok());
    let more = more.map(|tenants| (tenants, 2));
    for (tenants, each) in [(10_000, 20), (100_000, 5), (130_000, 3)].into_iter().chain(more) {
        let names: Vec<Arc<str>> = (0..tenants).map(|n| format!("tenant-{n}").into()).collect();
        let mut queue = FairQueue::new(QueueLimits { capacity: usize::MAX, ..QueueLimits::default() });
        push(&mut queue, &"first".into(), 0);
        let region = Region::new(ALLOCATOR);
        for name in &names {
            push(&mut queue, name, 7);
        }
        let first = held(&region);
        for n in 0..(each - 1) * tenants {
            push(&mut queue, &names[n * 31 % tenants], n as u64);
        }
        let requests = (each * tenants) as f64;
        let a_request = (held(&region) - first) / (requests - tenants as f64);
        let a_tenant = first / tenants as f64 - a_request;
        println!("{tenants:>9} {:>9} {a_tenant:>12.1} {a_request:>12.1}", each * tenants);
        // A payload of nothing takes a byte, which says whether it is there.
        assert!(a_request <= 64.0, "{a_request} B a request");
        assert!(a_tenant <= 144.0, "{a_tenant} B a tenant");
        assert!(a_request > 40.0 && a_tenant > 40.0, "the count must see the allocations");
    }
}
