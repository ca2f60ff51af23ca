//! How long answers took.

use plotters::prelude::*;

use super::super::{
    super::format::finite,
    super::plots::{Axis, Bins, CONTROL, Plot, PlotError, SERVED, WAITING, chart},
    record::{Record, Replay},
    summary::Quantiles,
};

/// A line without the bins that hold nothing, cut there.
type Runs = Vec<Vec<(f64, f64)>>;

/// Draws P50 and P99 of the successes' latency, and P99 of their queue wait, by the time they arrived.
pub(in super::super) fn latency(replay: &Replay) -> Result<Plot, PlotError> {
    let span = replay.span();
    let bins = Bins::of(span);
    let total = quantiles(replay, bins, |record| record.total_ms);
    let wait = quantiles(replay, bins, |record| record.queue_ms);

    let shown = || total.iter().flatten();
    let least = shown().map(|q| q.p50).fold(f64::INFINITY, f64::min);
    let most = shown().map(|q| q.p99).fold(0.0, f64::max);
    // Waits of next to nothing are common and say nothing: they lie on the floor.
    let y = Axis::log_milliseconds(if least.is_finite() { least / 2.0 } else { 1.0 }, most);
    let line = |values: &[Option<Quantiles>], of: fn(&Quantiles) -> f64| {
        runs(bins.edges(span).zip(values).map(|((from, to), q)| Some(((from + to) / 2.0, y.place(of(q.as_ref()?))))))
    };
    let (p50, p99) = (line(&total, |q| q.p50), line(&total, |q| q.p99));
    let waits = line(&wait, |q| q.p99);

    let svg = chart(290, &Axis::time(span), &y, |chart| {
        for (below, above) in p50.iter().zip(&p99) {
            let outline: Vec<(f64, f64)> = below.iter().chain(above.iter().rev()).copied().collect();
            chart.draw_series([Polygon::new(outline, CONTROL.mix(0.12))])?;
        }
        for (lines, style) in
            [(&waits, WAITING.stroke_width(1)), (&p99, CONTROL.stroke_width(2)), (&p50, SERVED.stroke_width(2))]
        {
            for run in lines {
                match run.as_slice() {
                    [alone] => {
                        chart.draw_series([Circle::new(*alone, 2, style.filled())])?;
                    }
                    _ => {
                        chart.draw_series(LineSeries::new(run.clone(), style))?;
                    }
                }
            }
        }
        Ok(())
    })?;
    Ok(Plot {
        title: "Latency".to_owned(),
        caption: format!("Of the successes, by their arrival, in {}; the scale is logarithmic.", bins.name()),
        legend: vec![(CONTROL, "P99".into()), (SERVED, "P50".into()), (WAITING, "P99 of the queue wait alone".into())],
        svg: vec![svg],
    })
}

/// Quantiles per bin of arrival; `None` where nothing succeeded.
fn quantiles(replay: &Replay, bins: Bins, of: fn(&Record) -> f64) -> Vec<Option<Quantiles>> {
    let mut values = vec![Vec::new(); bins.count];
    for record in replay.records.iter().filter(|record| record.succeeded()) {
        if let Some(bin) = values.get_mut(bins.index(record.arrived)) {
            bin.push(finite(of(record)));
        }
    }
    values.into_iter().map(Quantiles::of).collect()
}

/// Splits a line where points are missing.
fn runs(points: impl Iterator<Item = Option<(f64, f64)>>) -> Runs {
    let mut runs = vec![Vec::new()];
    for point in points {
        match (point, runs.last_mut()) {
            (Some(point), Some(run)) => run.push(point),
            (None, Some(run)) if !run.is_empty() => runs.push(Vec::new()),
            _ => {}
        }
    }
    runs.retain(|run| !run.is_empty());
    runs
}
