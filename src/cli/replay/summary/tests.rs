use super::{super::table::text_table, *};

fn record(tenant: &str, status: u16, ms: [f64; 2], attempts: u32, cost: f64) -> Record {
    Record {
        tenant: tenant.to_owned(),
        arrived: 0.0,
        queue_ms: ms[0],
        upstream_ms: ms[1] - ms[0],
        total_ms: ms[1],
        attempts,
        status,
        reason: (status != 200).then(|| "queue_full".to_owned()),
        cost,
    }
}

fn replay(records: Vec<Record>) -> Replay {
    Replay { records, ..Replay::default() }
}

#[test]
fn quantiles_are_those_of_the_nearest_rank() {
    let hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
    assert_eq!(Quantiles::of(hundred), Some(Quantiles { p50: 50.0, p90: 90.0, p99: 99.0 }));
    assert_eq!(Quantiles::of(vec![7.0]), Some(Quantiles { p50: 7.0, p90: 7.0, p99: 7.0 }));
    assert_eq!(Quantiles::of(Vec::new()), None);
}

#[test]
fn figures_are_those_worked_out_by_hand() {
    let mut records = vec![
        record("a", 200, [100.0, 1000.0], 1, 6.0),
        record("a", 200, [300.0, 4000.0], 2, 2.0),
        record("b", 429, [0.0, 1.0], 0, 8.0),
        record("b", 504, [2000.0, 2000.0], 0, 4.0),
        record("c", 0, [0.0, 50.0], 1, 0.0),
    ];
    records[3].reason = Some("queue_timeout".to_owned());
    let summary = summarize(&replay(records));
    assert_eq!((summary.requests, summary.succeeded, summary.refused, summary.failed), (5, 2, 2, 1));
    assert_eq!((summary.span, summary.goodput, summary.goodput_cost), (4.0, 0.5, 2.0));
    assert_eq!(summary.total, Some(Quantiles { p50: 1000.0, p90: 4000.0, p99: 4000.0 }));
    // Waits of 0, 100, 300 and 2000 ms; the request that was refused at once did not wait.
    assert_eq!(summary.wait, Some(Quantiles { p50: 100.0, p90: 2000.0, p99: 2000.0 }));
    assert_eq!(summary.attempts_per_success, 2.0);
    assert_eq!(summary.outcomes[0], Outcome { status: 200, reason: String::new(), count: 2 });
    assert_eq!(summary.outcomes.len(), 4);
    let a = &summary.tenants[0];
    assert_eq!((a.tenant.as_str(), a.requests, a.succeeded, a.refused), ("a", 2, 2, 0));
    assert_eq!((a.demand_share, a.served_share), (0.4, 1.0));
    assert_eq!(summary.tenants[1].wait.map(|wait| wait.p50), Some(2000.0));
}

#[test]
fn tenants_beyond_the_tenth_share_a_line() {
    let all = |tenants: usize| {
        let names = (0..tenants).flat_map(|t| std::iter::repeat_n(format!("t{t:02}"), tenants - t));
        summarize(&replay(names.map(|name| record(&name, 200, [0.0, 10.0], 1, 1.0)).collect()))
    };
    let names: Vec<String> = all(13).tenants.into_iter().map(|row| row.tenant).collect();
    assert_eq!(names.first().map(String::as_str), Some("t00"));
    assert_eq!(names.get(10).map(String::as_str), Some("others (3)"));
    assert_eq!(all(13).tenants[10].requests, 6);
    assert_eq!(all(11).tenants.len(), 11);
}

#[test]
fn nothing_and_nonsense_make_figures_too() {
    let empty = summarize(&replay(Vec::new()));
    assert_eq!((empty.requests, empty.goodput, empty.total), (0, 0.0, None));
    let nonsense = summarize(&replay(vec![record("a", 200, [f64::NAN, f64::INFINITY], 1, -3.0)]));
    assert_eq!((nonsense.span, nonsense.goodput, nonsense.tenants[0].served_share), (0.0, 0.0, 0.0));
    for summary in [empty, nonsense] {
        let text = text_table(&summary);
        assert!(text.contains("no contention") && !text.contains("NaN") && text.ends_with("|\n"), "{text}");
    }
}
