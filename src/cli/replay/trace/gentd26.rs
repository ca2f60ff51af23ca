//! Image requests of Alibaba's cluster-trace-v2026-GenAI (GenTD26): tenants, models and service times as they were.
//!
//! Every row is an arrival, whatever became of it in the trace: text to image, image to image, inpainting, succeeded,
//! failed and still pending, since a scheduler meets all of them. Pending rows have no sizes and get the most common.

use std::io::Read;

use super::{Arrival, Options, Size, TraceError, row::Table, shape};

/// The columns that are read, and by which the format is known.
pub(super) const COLUMNS: [&str; 8] = [
    "gmt_create",
    "groupId",
    "checkpoint_model_version_id",
    "num_images_per_prompt",
    "num_inference_steps",
    "prompt_length",
    "negative_prompt_length",
    "exec_time_seconds",
];
const CREATED: usize = 0;
const GROUP: usize = 1;
const MODEL: usize = 2;
const IMAGES: usize = 3;
const STEPS: usize = 4;
const PROMPT: usize = 5;
const NEGATIVE: usize = 6;
const SECONDS: usize = 7;

/// Images of a row that does not say: one, as most rows have.
const DEFAULT_IMAGES: u32 = 1;
/// Steps of a row that does not say: as nine rows of ten have.
const DEFAULT_STEPS: u32 = 30;
/// Prompt of a row that does not say: about the median.
const DEFAULT_PROMPT: u32 = 56;

/// Reads the arrivals and the note about them.
pub(super) fn read(input: impl Read, source: &str, options: &Options) -> Result<(Vec<Arrival>, String), TraceError> {
    let mut table = Table::with_header(input, source, &COLUMNS)?;
    let mut rows = Vec::new();
    let mut filled = 0_usize;
    while let Some(row) = table.next()? {
        let at = shape::instant(row.text(CREATED))
            .ok_or_else(|| row.bad(CREATED, "write a time like 2024-11-15 16:57:50"))?;
        if row.text(GROUP).is_empty() {
            return Err(row.bad(GROUP, "name the tenant"));
        }
        filled += usize::from([IMAGES, STEPS, PROMPT].iter().any(|index| row.text(*index).is_empty()));
        let prompt = row.whole_or(PROMPT, 0, DEFAULT_PROMPT, "write a length of 0 or more, or leave it empty")?;
        // Most requests have no negative prompt; the field is then empty.
        let negative = row.whole_or(NEGATIVE, 0, 0, "write a length of 0 or more, or leave it empty")?;
        let size = Size::Image {
            images: row.whole_or(IMAGES, 1, DEFAULT_IMAGES, "write 1 or more images, or leave it empty")?,
            steps: row.whole_or(STEPS, 1, DEFAULT_STEPS, "write 1 or more steps, or leave it empty")?,
            prompt_chars: prompt.saturating_add(negative),
            // Requests that were still pending have 0 here: unknown.
            seconds: row.number(SECONDS, 0.0, "write seconds of 0 or more")?,
        };
        let (tenant, model) = (row.text(GROUP).to_owned(), row.text(MODEL).to_owned());
        rows.push((at, Arrival { at: Default::default(), tenant, model, size }));
        shape::check_size(rows.len(), source)?;
    }
    let mut arrivals = shape::window(rows, source, options)?;
    let mut note = String::from("Tenant is the trace's groupId, model its checkpoint_model_version_id. ");
    note += &shape::fold(&mut arrivals, options.tenants);
    if filled > 0 {
        note += &format!(
            " {filled} rows of the file do not say their size and count as {DEFAULT_IMAGES} image of {DEFAULT_STEPS} steps."
        );
    }
    Ok((arrivals, note))
}
