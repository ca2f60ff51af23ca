//! The plot of the tenants: it draws what each tenant asked for against what it got.

use plotters::{
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use super::super::{
    super::format::{percent, short},
    super::plots::{DEMAND, GRID, Plot, PlotError, SERVED, WIDTH, drawing, text},
    summary::{Summary, TenantRow},
};

/// Height of one tenant's pair of bars with the gap below it, in pixels.
const ROW: i32 = 34;
/// Height of one bar, in pixels.
const BAR: i32 = 11;
/// Where bars begin, and the room to their right, in pixels.
const LEFT: i32 = 190;
const RIGHT: i32 = 70;
/// The longest name that fits beside the bars, in characters.
const NAME: usize = 24;

/// Draws a pair of bars for each tenant of the summary.
pub(in super::super) fn tenants(summary: &Summary) -> Result<Plot, PlotError> {
    let rows = &summary.tenants;
    let most = rows.iter().flat_map(|row| [row.demand_share, row.served_share]).fold(0.0, f64::max);
    let scale = f64::from(WIDTH as i32 - LEFT - RIGHT) / if most > 0.0 { most } else { 1.0 };
    let height = ROW * rows.len().max(1) as i32 + 8;
    let svg = drawing(height.unsigned_abs(), |canvas| {
        canvas.draw(&PathElement::new([(LEFT, 0), (LEFT, height)], GRID))?;
        for (row, top) in rows.iter().zip((6..).step_by(ROW.unsigned_abs() as usize)) {
            canvas.draw(&Text::new(
                name(row),
                (LEFT - 12, top + BAR),
                text().pos(Pos::new(HPos::Right, VPos::Center)),
            ))?;
            for (share, colour, top) in [(row.demand_share, DEMAND, top), (row.served_share, SERVED, top + BAR + 1)] {
                let end = LEFT + (share * scale).round() as i32;
                canvas.draw(&Rectangle::new([(LEFT, top), (end, top + BAR)], colour.filled()))?;
                canvas.draw(&Text::new(
                    percent(share),
                    (end + 7, top + BAR / 2 + 1),
                    text().pos(Pos::new(HPos::Left, VPos::Center)),
                ))?;
            }
        }
        Ok(())
    })?;
    Ok(Plot {
        title: "Tenants".to_owned(),
        caption: "Each tenant's part of all cost asked for, and of all cost served. Under overload a fair scheduler cuts the \
                  large, not the small."
            .to_owned(),
        legend: vec![(DEMAND, "asked for".into()), (SERVED, "served".into())],
        svg: vec![svg],
    })
}

/// A tenant's name as far as it fits.
fn name(row: &TenantRow) -> String {
    let name = short(&row.tenant);
    match name.char_indices().nth(NAME) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name,
    }
}
