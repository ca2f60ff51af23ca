//! The controller at work: window, requests in flight, queue.

use std::collections::BTreeMap;

use plotters::prelude::*;

use super::super::{
    super::format::{finite, short},
    super::plots::{Axis, CONTROL, Plot, PlotError, SERVED, WAITING, chart, steps},
    record::{Replay, Sample},
};

/// Models that get a plot: those with the most work, by mean requests in flight and queued.
const MODELS: usize = 6;
/// Samples that a plot shows; more would be finer than its pixels.
const POINTS: usize = 800;

/// Draws one plot per model, the busiest first.
pub(in super::super) fn windows(replay: &Replay) -> Result<Vec<Plot>, PlotError> {
    let mut models: BTreeMap<&str, Vec<&Sample>> = BTreeMap::new();
    for sample in &replay.samples {
        models.entry(&sample.model).or_default().push(sample);
    }
    let busy = |samples: &[&Sample]| {
        samples.iter().map(|s| f64::from(s.in_flight) + f64::from(s.queued)).sum::<f64>() / samples.len() as f64
    };
    let mut ranked: Vec<(&str, Vec<&Sample>)> = models.into_iter().collect();
    ranked.sort_by(|a, b| busy(&b.1).total_cmp(&busy(&a.1)));
    let all = ranked.len();
    ranked.truncate(MODELS);

    let last = replay.samples.iter().map(|sample| finite(sample.t)).fold(0.0, f64::max);
    let span = replay.span().max(last);
    let mut plots = Vec::new();
    for (model, samples) in ranked {
        let mut plot = one(&samples, span)?;
        plot.title = if model.is_empty() { "Window".to_owned() } else { format!("Window of {}", short(model)) };
        plots.push(plot);
    }
    if let Some(plot) = plots.last_mut().filter(|_| all > MODELS) {
        plot.caption += &format!(" {} less busy models are not shown.", all - MODELS);
    }
    Ok(plots)
}

fn one(samples: &[&Sample], span: f64) -> Result<Plot, PlotError> {
    let stride = samples.len().div_ceil(POINTS).max(1);
    let samples: Vec<&Sample> = samples.iter().step_by(stride).copied().collect();
    let ends = samples.iter().skip(1).map(|sample| finite(sample.t)).chain([span]);
    let held: Vec<(f64, f64, &Sample)> =
        samples.iter().zip(ends).map(|(sample, end)| (finite(sample.t), end.max(finite(sample.t)), *sample)).collect();
    let line = |of: fn(&Sample) -> f64| steps(held.iter().map(|(from, to, sample)| (*from, *to, of(sample))));
    let window = line(|sample| finite(sample.window));
    let in_flight = line(|sample| f64::from(sample.in_flight));
    let queued = line(|sample| f64::from(sample.queued));

    let most = |lines: &[&[(f64, f64)]]| lines.iter().copied().flatten().map(|point| point.1).fold(0.0, f64::max);
    let time = Axis::time(span);
    let upper = chart(230, &time, &Axis::number(most(&[&window, &in_flight])), |chart| {
        chart.draw_series(
            AreaSeries::new(in_flight.clone(), 0.0, SERVED.mix(0.18)).border_style(SERVED.stroke_width(1)),
        )?;
        chart.draw_series(LineSeries::new(window.clone(), CONTROL.stroke_width(2)))?;
        Ok(())
    })?;
    let lower = chart(130, &time, &Axis::number(most(&[&queued])), |chart| {
        let area = AreaSeries::new(queued.clone(), 0.0, WAITING.mix(0.22));
        chart.draw_series(area.border_style(WAITING.stroke_width(1)))?;
        Ok(())
    })?;
    Ok(Plot {
        title: String::new(),
        caption: "Requests: above, what the controller allows and what is in flight; below, what waits in the queue."
            .to_owned(),
        legend: vec![(CONTROL, "window".into()), (SERVED, "in flight".into()), (WAITING, "queued".into())],
        svg: vec![upper, lower],
    })
}
