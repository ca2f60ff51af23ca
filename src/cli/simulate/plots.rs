//! Window against capacity, goodput, refusals and latency over simulated time.

use plotters::prelude::*;

use super::super::format::finite;
use super::super::plots::{Axis, CONTROL, DEMAND, Plot, PlotError, SERVED, chart, steps};
use super::play::Played;
use crate::sim::{Controller, Run, Sample};

/// Capacities from here on are none.
const UNLIMITED: f64 = 1e8;
/// A window may leave its plot at this multiple of the capacity, or of what is in flight.
const HEADROOM: f64 = 2.5;
/// Height of one controller's plot, in pixels.
const HEIGHT: u32 = 150;

/// Colours of the controllers in the plots that show many: fairflow's comes first.
const COLOURS: [RGBColor; 13] = [
    SERVED,
    CONTROL,
    RGBColor(0x2E, 0xA0, 0x6B),
    RGBColor(0x7B, 0x5C, 0xCF),
    RGBColor(0xD0, 0x3B, 0x4C),
    RGBColor(0x00, 0x9A, 0xB3),
    RGBColor(0xB8, 0x86, 0x0B),
    RGBColor(0xC8, 0x5F, 0xA8),
    RGBColor(0x6B, 0x8E, 0x23),
    RGBColor(0x8C, 0x56, 0x4B),
    RGBColor(0x7F, 0x8C, 0x8D),
    RGBColor(0x4B, 0x6E, 0xAF),
    RGBColor(0xA0, 0x52, 0x2D),
];

/// Style that gives a plot other colours on a dark page when it stands alone.
const DARK: &str = "<style>@media (prefers-color-scheme: dark) { [fill=\"#4A5563\"] { fill: #a7b2be } \
     [stroke=\"#E3E7EC\"] { stroke: #2f3842 } [stroke=\"#2F6FDE\"] { stroke: #6ba0ff } }</style>";

/// The plots of one scenario, of the first seed.
pub(super) fn plots(played: &Played<'_>) -> Result<Vec<Plot>, PlotError> {
    let mut plots = Vec::new();
    for (controller, _, run) in &played.rows {
        plots.push(Plot {
            title: controller.to_string(),
            caption: String::new(),
            legend: vec![(DEMAND, "capacity".into()), (CONTROL, "window".into()), (SERVED, "in flight".into())],
            svg: vec![window(run, played.scenario.seconds)?],
        });
    }
    let rate = |of: fn(&Sample) -> f64| lines(played, of, Axis::number);
    plots.push(many(played, "Goodput", "Successes per second.", rate(|sample| sample.successes)?));
    plots.push(many(played, "Refusals and failures", "Per second.", rate(|sample| sample.refusals)?));
    let caption = "P99 of the sojourn of successes, retries included; the scale is logarithmic.";
    plots.push(many(played, "Latency", caption, latency(played)?));
    Ok(plots)
}

/// The plots of the windows as files: name and text.
pub(super) fn files(played: &Played<'_>) -> Result<Vec<(String, String)>, PlotError> {
    let file = |(controller, _, run): &(Controller, _, Run)| {
        let slug = controller.to_string().to_lowercase().replace(", ", "-").replace(' ', "-");
        let svg = window(run, played.scenario.seconds)?.replacen(">\n", &format!(">\n{DARK}\n"), 1);
        Ok((format!("{}-{slug}.svg", played.scenario.name), svg))
    };
    played.rows.iter().map(file).collect()
}

fn window(run: &Run, span: f64) -> Result<String, PlotError> {
    let line = |of: fn(&Sample) -> f64| stepped(run, span, of);
    let capacity = line(|sample| if sample.capacity < UNLIMITED { sample.capacity } else { 0.0 });
    let in_flight = line(|sample| sample.in_flight);
    let most = capacity.iter().chain(&in_flight).map(|point| point.1).fold(1.0, f64::max) * HEADROOM;
    let window: Vec<(f64, f64)> = line(|sample| sample.window).into_iter().map(|(t, w)| (t, w.min(most))).collect();
    let top = window.iter().chain(&capacity).chain(&in_flight).map(|point| point.1).fold(0.0, f64::max);
    chart(HEIGHT, &Axis::time(span), &Axis::number(top), |chart| {
        chart.draw_series(AreaSeries::new(capacity, 0.0, DEMAND.mix(0.35)))?;
        chart.draw_series(LineSeries::new(in_flight, SERVED.stroke_width(1)))?;
        chart.draw_series(LineSeries::new(window, CONTROL.stroke_width(2)))?;
        Ok(())
    })
}

/// Each value holds until the next sample.
fn stepped(run: &Run, span: f64, of: fn(&Sample) -> f64) -> Vec<(f64, f64)> {
    let ends = run.samples.iter().skip(1).map(|sample| sample.t).chain([span]);
    steps(run.samples.iter().zip(ends).map(|(sample, end)| (sample.t, end.max(sample.t), finite(of(sample)))))
}

/// All that are drawn together, the oracle in grey below them.
fn drawn<'a>(played: &'a Played<'_>) -> impl Iterator<Item = (RGBColor, &'a Run)> {
    // In reverse, so that fairflow lies on top.
    let rows = played.rows.iter().zip(COLOURS).map(|((_, _, run), colour)| (colour, run)).rev();
    [(DEMAND, &played.oracle)].into_iter().chain(rows)
}

fn lines(played: &Played<'_>, of: fn(&Sample) -> f64, axis: fn(f64) -> Axis) -> Result<String, PlotError> {
    let span = played.scenario.seconds;
    let most = drawn(played).flat_map(|(_, run)| &run.samples).map(|sample| finite(of(sample))).fold(0.0, f64::max);
    chart(200, &Axis::time(span), &axis(most), |chart| {
        for (colour, run) in drawn(played) {
            chart.draw_series(LineSeries::new(stepped(run, span, of), colour.stroke_width(1)))?;
        }
        Ok(())
    })
}

fn latency(played: &Played<'_>) -> Result<String, PlotError> {
    let span = played.scenario.seconds;
    let values =
        || drawn(played).flat_map(|(_, run)| &run.samples).map(|sample| sample.p99).filter(|p99| p99.is_finite());
    let least = values().fold(f64::INFINITY, f64::min);
    let y = Axis::log_milliseconds(
        if least.is_finite() { least * 1000.0 } else { 1.0 },
        values().fold(0.0, f64::max) * 1000.0,
    );
    chart(220, &Axis::time(span), &y, |chart| {
        for (colour, run) in drawn(played) {
            let points = run.samples.iter().filter(|sample| sample.p99.is_finite());
            let line = points.map(|sample| (sample.t, y.place(sample.p99 * 1000.0)));
            chart.draw_series(LineSeries::new(line, colour.stroke_width(1)))?;
        }
        Ok(())
    })
}

fn many(played: &Played<'_>, title: &str, caption: &str, svg: String) -> Plot {
    let mut legend = vec![(DEMAND, "oracle".into())];
    legend.extend(
        played.rows.iter().zip(COLOURS).map(|((controller, ..), colour)| (colour, controller.to_string().into())),
    );
    Plot { title: title.to_owned(), caption: caption.to_owned(), legend, svg: vec![svg] }
}
