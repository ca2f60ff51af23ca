//! Microsoft Azure's LLM inference traces: instants and token counts of chat requests, without tenants.

use std::io::Read;

use rand::{SeedableRng, rngs::StdRng};
use rand_distr::{Distribution, Zipf};

use super::{Arrival, Options, Size, TraceError, row::Table, shape};

/// The columns that are read, and by which the format is known.
pub(super) const COLUMNS: [&str; 3] = ["TIMESTAMP", "ContextTokens", "GeneratedTokens"];
const STAMP: usize = 0;
const CONTEXT: usize = 1;
const GENERATED: usize = 2;

/// Tenants, where the options do not say.
const DEFAULT_TENANTS: usize = 20;

/// Reads the arrivals and the note about them.
///
/// The trace has no tenants. Each arrival of the window is given to one of `tenants`, drawn with the seed, where the
/// k-th has weight 1/k: a few large ones and many small ones, as services see them.
pub(super) fn read(input: impl Read, source: &str, options: &Options) -> Result<(Vec<Arrival>, String), TraceError> {
    let mut table = Table::with_header(input, source, &COLUMNS)?;
    let mut rows = Vec::new();
    while let Some(row) = table.next()? {
        let at = shape::instant(row.text(STAMP))
            .ok_or_else(|| row.bad(STAMP, "write a time like 2023-11-16 18:15:46.68"))?;
        let size = Size::Text {
            input_tokens: row.whole(CONTEXT, 1, "write a whole number of tokens, at least 1")?,
            output_tokens: row.whole(GENERATED, 1, "write a whole number of tokens, at least 1")?,
        };
        rows.push((at, Arrival { at: Default::default(), tenant: String::new(), model: String::new(), size }));
        shape::check_size(rows.len(), source)?;
    }
    let mut arrivals = shape::window(rows, source, options)?;

    let tenants = options.tenants.unwrap_or(DEFAULT_TENANTS);
    let appetite = Zipf::new(tenants as f64, 1.0)
        .map_err(|_| TraceError::Options { problem: "tenants is out of range: choose 1 or more" })?;
    let mut rng = StdRng::seed_from_u64(options.seed);
    let width = tenants.to_string().len();
    for arrival in &mut arrivals {
        let rank = appetite.sample(&mut rng) as usize;
        arrival.tenant = format!("tenant-{rank:0width$}");
    }
    let note = format!(
        "The trace has no tenants: each arrival is given to one of {tenants}, drawn with seed {} so that tenant k has \
         weight 1/k.",
        options.seed
    );
    Ok((arrivals, note))
}
