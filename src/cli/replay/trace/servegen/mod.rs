//! ServeGen's clients: not arrivals but what was fitted to them, per client and window of ten minutes, to be drawn
//! with a seed.
//!
//! An archive holds `chunk-N-trace.csv` for client N and, for some workloads, `chunk-N-dataset.json` with the sizes of
//! its requests. It is read as a stream and never unpacked.

mod client;
mod draw;
mod sizes;

use std::{
    fs::File,
    io::{BufReader, Read},
    path::Path,
    time::Duration,
};

use self::draw::Client;
pub(super) use self::draw::Clients;
use super::{Arrival, MAX_ARRIVALS, Options, TraceError, shape};

/// Length of the window that is drawn when the options do not say: the traces span days.
const DEFAULT_DURATION: Duration = Duration::from_secs(3600);
/// Arrivals at which drawing stops when the options give neither a duration nor a limit.
const DEFAULT_LIMIT: usize = 1_000_000;

/// The kind of a file: it holds the trace or the data set of a client, by the client's number.
#[derive(Debug, PartialEq)]
enum Member {
    Trace(u32),
    Dataset(u32),
}

/// Recognises `chunk-N-trace.csv` and `chunk-N-dataset.json`.
fn member(name: &str) -> Option<Member> {
    let (number, kind) = name.strip_prefix("chunk-")?.split_once('-')?;
    let number = number.parse().ok()?;
    match kind {
        "trace.csv" => Some(Member::Trace(number)),
        "dataset.json" => Some(Member::Dataset(number)),
        _ => None,
    }
}

/// Says whether this is a row of a client's windows, which have no header.
pub(super) fn is_window(columns: &[&str]) -> bool {
    let is_number = |column: &&str| column.parse::<f64>().is_ok();
    columns.len() == 6
        && columns[..2].iter().all(is_number)
        && (matches!(columns[3], "Gamma" | "Weibull") || columns[3].is_empty() && columns[1].parse::<f64>() == Ok(0.0))
}

/// Reads one file into the client it belongs to, and says whether it belongs to one.
pub(super) fn add(
    clients: &mut Clients,
    name: &str,
    source: &str,
    input: impl Read,
    options: &Options,
) -> Result<bool, TraceError> {
    let span = span(options);
    match member(name) {
        Some(Member::Trace(number)) => {
            clients.entry(number).or_default().windows = client::read(input, source, span)?;
        }
        Some(Member::Dataset(number)) => clients.entry(number).or_default().sizes = sizes::read(input, source, span)?,
        None => return Ok(false),
    }
    Ok(true)
}

/// The part of the trace to draw, in seconds from its beginning.
fn span(options: &Options) -> (f64, f64) {
    let end = options.start.saturating_add(options.duration.unwrap_or(DEFAULT_DURATION));
    (options.start.as_secs_f64(), end.as_secs_f64())
}

/// Draws the arrivals of one client's windows, with the note about them.
pub(super) fn from_chunk(
    input: impl Read,
    source: &str,
    options: &Options,
) -> Result<(Vec<Arrival>, String), TraceError> {
    let windows = client::read(input, source, span(options))?;
    arrivals(&Clients::from([(0, Client { windows, ..Client::default() })]), source, options)
}

/// Draws the arrivals of an unpacked archive's directory, with the note about them.
pub(super) fn from_directory(path: &Path, options: &Options) -> Result<(Vec<Arrival>, String), TraceError> {
    let source = path.display().to_string();
    let read_error = |error| TraceError::Read { path: source.clone(), source: error };
    let mut clients = Clients::new();
    for entry in std::fs::read_dir(path).map_err(read_error)? {
        let file = entry.map_err(read_error)?.path();
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if member(&name).is_some() {
            let place = file.display().to_string();
            let input = File::open(&file).map_err(|error| TraceError::Read { path: place.clone(), source: error })?;
            add(&mut clients, &name, &place, BufReader::new(input), options)?;
        }
    }
    arrivals(&clients, &source, options)
}

/// Draws what the clients send in the window.
pub(super) fn arrivals(
    clients: &Clients,
    source: &str,
    options: &Options,
) -> Result<(Vec<Arrival>, String), TraceError> {
    if clients.is_empty() {
        let remedy = "there is no chunk-N-trace.csv; give the archive or the directory that holds them";
        return Err(TraceError::Empty { path: source.to_owned(), remedy });
    }
    let span = span(options);
    let expected: f64 = clients.values().map(|client| client::expected(&client.windows, span)).sum();
    let limit = match (options.limit, options.duration) {
        (Some(limit), _) => limit.min(MAX_ARRIVALS),
        (None, None) => DEFAULT_LIMIT,
        (None, Some(_)) if expected > MAX_ARRIVALS as f64 => {
            return Err(TraceError::TooMany { path: source.to_owned(), expected: expected as u64 });
        }
        (None, Some(_)) => MAX_ARRIVALS,
    };
    let drawn = draw::merge(clients, options.seed, span, limit);
    let cut = drawn.len() == limit;
    let mut arrivals = shape::rebase(drawn, source)?;
    let note = note(&mut arrivals, clients, options, cut);
    Ok((arrivals, note))
}

/// Says how the arrivals came about, and folds the tenants.
fn note(arrivals: &mut [Arrival], clients: &Clients, options: &Options, cut: bool) -> String {
    let mut note = format!(
        "Each client is a tenant: its gaps are drawn with seed {} from the distribution fitted to each ten minutes, scaled \
         to the measured rate. ",
        options.seed
    );
    if options.duration.is_none() {
        note += "No duration was given: only the first hour from the start is drawn. ";
    }
    if cut && options.limit.is_none() {
        note += &format!("Drawing stopped at {} arrivals. ", arrivals.len());
    }
    note += &shape::fold(arrivals, options.tenants);
    note += if clients.values().any(|client| client.sizes.is_measured()) {
        " Token counts are drawn from the archive's data sets; media count as their tokens."
    } else {
        sizes::DEFAULT_RULE
    };
    note
}

#[cfg(test)]
mod tests;
