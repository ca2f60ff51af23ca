use super::{
    super::{
        record::{Record, Replay, Sample},
        summary::summarize,
    },
    latency, load, tenants, windows,
};

fn record(arrived: f64, status: u16, total_ms: f64) -> Record {
    Record {
        tenant: "<a&b>".to_owned(),
        arrived,
        queue_ms: total_ms / 2.0,
        upstream_ms: total_ms / 2.0,
        total_ms,
        attempts: 1,
        status,
        reason: None,
        cost: 1.0,
    }
}

fn sample(t: f64, window: f64) -> Sample {
    Sample { t, model: "<m>".to_owned(), window, in_flight: 3, queued: 9 }
}

/// All drawings of a replay.
fn drawn(replay: &Replay) -> String {
    let mut plots = windows(replay).unwrap();
    plots.push(load(replay).unwrap());
    plots.push(latency(replay).unwrap());
    plots.push(tenants(&summarize(replay)).unwrap());
    plots.into_iter().flat_map(|plot| plot.svg).collect()
}

#[test]
fn any_replay_can_be_drawn() {
    for records in [
        Vec::new(),
        vec![record(0.0, 200, 0.0)],
        vec![record(0.0, 200, 5.0)],
        vec![record(1.0, 503, 5.0), record(2.0, 0, 1.0)],
        vec![record(f64::NAN, 200, f64::INFINITY), record(-5.0, 200, -1.0)],
        vec![record(1e9, 200, 1e12), record(0.0, 200, 1e-9)],
        (0..999).map(|i| record(f64::from(i) / 7.0, 200, f64::from(i))).collect(),
    ] {
        for samples in [
            Vec::new(),
            vec![sample(0.0, 4.0)],
            vec![sample(f64::NAN, f64::INFINITY), sample(1.0, -1.0)],
            (0..5000).map(|i| sample(f64::from(i) / 40.0, f64::from(i % 50))).collect(),
        ] {
            let svg = drawn(&Replay { records: records.clone(), samples, ..Replay::default() });
            assert!(svg.contains("<svg") && !svg.contains("NaN") && !svg.contains("<a&b>"));
        }
    }
}

#[test]
fn many_samples_are_thinned() {
    let samples = (0..50_000).map(|i| sample(f64::from(i) / 10.0, 4.0)).collect();
    assert!(drawn(&Replay { samples, ..Replay::default() }).len() < 150_000);
}
