//! The plot of the load: it draws the requests that were asked for, completed and lost.

use plotters::prelude::*;

use super::super::{
    super::plots::{Axis, Bins, DEMAND, LOST, Plot, PlotError, SERVED, chart, steps},
    record::{Record, Replay},
};

/// Draws requests per second over time.
pub(in super::super) fn load(replay: &Replay) -> Result<Plot, PlotError> {
    let span = replay.span();
    let bins = Bins::of(span);
    let records = &replay.records;
    let offered = bins.rates(records.iter().map(|record| record.arrived));
    let completed = bins.rates(records.iter().filter(|record| record.succeeded()).map(Record::ended));
    let lost = bins.rates(records.iter().filter(|record| !record.succeeded()).map(Record::ended));

    let most = [&offered, &completed, &lost].into_iter().flatten().copied().fold(0.0, f64::max);
    let y = Axis::number(most);
    let line = |rates: &[f64]| steps(bins.edges(span).zip(rates).map(|((from, to), rate)| (from, to, *rate)));
    let svg = chart(270, &Axis::time(span), &y, |chart| {
        let area = AreaSeries::new(line(&offered), 0.0, DEMAND.mix(0.35));
        chart.draw_series(area.border_style(DEMAND.stroke_width(1)))?;
        chart.draw_series(LineSeries::new(line(&completed), SERVED.stroke_width(2)))?;
        if lost.iter().any(|rate| *rate > 0.0) {
            chart.draw_series(LineSeries::new(line(&lost), LOST.stroke_width(2)))?;
        }
        Ok(())
    })?;
    Ok(Plot {
        title: "Load".to_owned(),
        caption: format!("Requests per second, in {}: when they arrived, and when they ended.", bins.name()),
        legend: vec![(DEMAND, "offered".into()), (SERVED, "completed".into()), (LOST, "refused or failed".into())],
        svg: vec![svg],
    })
}
