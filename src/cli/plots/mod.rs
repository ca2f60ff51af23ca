//! Plots as inline SVG: what all of them share.
//!
//! Colours of ink and grid are set here for a light page; the page's style sheet turns them around on a dark one.

mod axis;

use std::borrow::Cow;
use std::error::Error;

use plotters::{coord::Shift, prelude::*};

pub(crate) use self::axis::{Axis, Bins};

/// Width of every plot, in pixels at a scale of 1.
pub(crate) const WIDTH: u32 = 960;
/// Room for the labels of the y axis, in pixels.
const LABELS: u32 = 62;

/// Text and axes.
pub(crate) const INK: RGBColor = RGBColor(0x4A, 0x55, 0x63);
/// Grid lines.
pub(crate) const GRID: RGBColor = RGBColor(0xE3, 0xE7, 0xEC);
/// Colour of the work that was asked for.
pub(crate) const DEMAND: RGBColor = RGBColor(0x9A, 0xA8, 0xB8);
/// Colour of the work that was achieved.
pub(crate) const SERVED: RGBColor = RGBColor(0x2F, 0x6F, 0xDE);
/// Colour of the windows that a controller decided, and of the slow end of a distribution.
pub(crate) const CONTROL: RGBColor = RGBColor(0xE2, 0x7B, 0x2C);
/// Colour of requests that were refused or failed.
pub(crate) const LOST: RGBColor = RGBColor(0xD0, 0x3B, 0x4C);
/// Colour of requests that wait.
pub(crate) const WAITING: RGBColor = RGBColor(0x7B, 0x5C, 0xCF);

/// Why a plot could not be drawn.
pub(crate) type PlotError = Box<dyn Error + Send + Sync>;

pub(crate) type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub(crate) type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Axis, Axis>>;

/// A plot with its heading and the meaning of its colours.
#[derive(Debug)]
pub(crate) struct Plot {
    /// Heading that says what the plot shows.
    pub(crate) title: String,
    /// How to read it.
    pub(crate) caption: String,
    /// Colour and name of each series.
    pub(crate) legend: Vec<(RGBColor, Cow<'static, str>)>,
    /// Drawings that a page shows below each other, one or more.
    pub(crate) svg: Vec<String>,
}

/// Draws freely on a canvas of `height` pixels.
pub(crate) fn drawing(
    height: u32,
    draw: impl FnOnce(&Canvas<'_>) -> Result<(), PlotError>,
) -> Result<String, PlotError> {
    let mut svg = String::new();
    {
        let canvas = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        draw(&canvas)?;
        canvas.present()?;
    }
    Ok(svg)
}

/// Draws axes and grid of `height` pixels, then what `draw` adds.
pub(crate) fn chart(
    height: u32,
    x: &Axis,
    y: &Axis,
    draw: impl FnOnce(&mut Chart<'_, '_>) -> Result<(), PlotError>,
) -> Result<String, PlotError> {
    drawing(height, |canvas| {
        let mut chart = ChartBuilder::on(canvas)
            .margin_top(10)
            .margin_right(18)
            .margin_bottom(2)
            .x_label_area_size(26)
            .y_label_area_size(LABELS)
            .build_cartesian_2d(x.clone(), y.clone())?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .axis_style(GRID)
            .label_style(text())
            .draw()?;
        draw(&mut chart)
    })
}

/// The font of all labels.
pub(crate) fn text<'a>() -> TextStyle<'a> {
    ("sans-serif", 12.5).into_font().color(&INK)
}

/// Points of a line that holds each value until the next: `(from, to, value)`.
pub(crate) fn steps(values: impl IntoIterator<Item = (f64, f64, f64)>) -> Vec<(f64, f64)> {
    values.into_iter().flat_map(|(from, to, value)| [(from, value), (to, value)]).collect()
}
