//! Traces: who asked for what, and when.
//!
//! [`load`] recognises the format by what the file holds, not by its name, and gives the arrivals of the window that
//! [`Options`] cut out of it, in order.

mod arrival;
mod azure;
mod error;
mod gentd26;
mod options;
mod packed;
mod row;
mod servegen;
mod shape;

use std::{fmt, fs::File, io::Cursor, io::Read, path::Path};

pub(crate) use arrival::MAX_ARRIVALS;
pub use arrival::{Arrival, Size};
pub use error::{Packing, TraceError};
pub use options::Options;

/// The formats that are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// Image requests of Alibaba's cluster-trace-v2026-GenAI (GenTD26), CSV.
    Gentd26,
    /// Microsoft Azure's LLM inference traces, CSV.
    Azure,
    /// ServeGen's fitted clients: an archive or a directory of `chunk-N-trace.csv`.
    ServeGen,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gentd26 => "GenTD26 image requests",
            Self::Azure => "Azure LLM inference",
            Self::ServeGen => "ServeGen clients",
        })
    }
}

/// The arrivals of one replay.
#[derive(Debug, Clone)]
pub struct Trace {
    /// The file's name.
    pub name: String,
    /// Its format.
    pub kind: Kind,
    /// Sorted by `at`, never empty; the first arrives at 0.
    pub arrivals: Vec<Arrival>,
    /// The rules that made arrivals of the file (who the tenants are, what was cut or filled in), as sentences.
    pub note: String,
}

/// Loads the arrivals of `path`.
///
/// # Errors
///
/// When the file cannot be read, has no format that is understood, holds a bad value (the error names its line), has
/// no arrival in the window, or more than fit in memory; and when `options` ask for nothing.
pub fn load(path: &Path, options: &Options) -> Result<Trace, TraceError> {
    options.validate()?;
    let source = path.display().to_string();
    let read_error = |error| TraceError::Read { path: source.clone(), source: error };
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();

    if path.is_dir() {
        let (arrivals, note) = servegen::from_directory(path, options)?;
        return Ok(Trace { name, kind: Kind::ServeGen, arrivals, note });
    }
    let packed::Unpacked { head, whole, packing } = packed::unpack(File::open(path).map_err(read_error)?, &source)?;
    let read = match packing {
        Some(Packing::Tar) => from_archive(whole, &source, options),
        _ => recognise(&head, &source).and_then(|kind| from_file(kind, whole, &source, options)),
    };
    // What cannot be read any further behind a decoder is its damage.
    let (kind, arrivals, note) = read.map_err(|error| match error {
        TraceError::Read { path, source } => packed::told(source, &path, packing),
        other => other,
    })?;
    Ok(Trace { name, kind, arrivals, note })
}

type Loaded = (Kind, Vec<Arrival>, String);

/// Reads a file that is not packed.
fn from_file(kind: Kind, whole: impl Read, source: &str, options: &Options) -> Result<Loaded, TraceError> {
    let (arrivals, note) = match kind {
        Kind::Gentd26 => gentd26::read(whole, source, options)?,
        Kind::Azure => azure::read(whole, source, options)?,
        Kind::ServeGen => servegen::from_chunk(whole, source, options)?,
    };
    Ok((kind, arrivals, note))
}

/// Reads an archive: ServeGen's clients, or a table that is alone in it.
fn from_archive(whole: impl Read, source: &str, options: &Options) -> Result<Loaded, TraceError> {
    let read_error = |error| TraceError::Read { path: source.to_owned(), source: error };
    let mut clients = servegen::Clients::new();
    let mut archive = tar::Archive::new(whole);
    for entry in archive.entries().map_err(read_error)? {
        let entry = entry.map_err(read_error)?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = entry.path().map_err(read_error)?.into_owned();
        let mut entry = packed::Member::new(entry.size(), entry);
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let place = format!("{source}, {}", path.display());
        if servegen::add(&mut clients, &name, &place, &mut entry, options)? || !clients.is_empty() {
            continue;
        }
        let head = packed::peek(&mut entry).map_err(read_error)?;
        if let Ok(kind @ (Kind::Gentd26 | Kind::Azure)) = recognise(&head, &place) {
            return from_file(kind, Cursor::new(head).chain(entry), &place, options);
        }
    }
    let (arrivals, note) = servegen::arrivals(&clients, source, options)?;
    Ok((Kind::ServeGen, arrivals, note))
}

/// Tells the format by the first line: a header that holds a format's columns, or a row of one that has no header.
fn recognise(head: &[u8], source: &str) -> Result<Kind, TraceError> {
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let text = String::from_utf8_lossy(line);
    let text = text.trim_start_matches('\u{feff}').trim_end();
    let columns: Vec<&str> = text.split(',').map(|column| column.trim().trim_matches('"')).collect();
    let all = |wanted: &[&str]| wanted.iter().all(|column| columns.contains(column));
    if all(&gentd26::COLUMNS) {
        Ok(Kind::Gentd26)
    } else if all(&azure::COLUMNS) {
        Ok(Kind::Azure)
    } else if servegen::is_window(&columns) {
        Ok(Kind::ServeGen)
    } else if head.is_empty() {
        Err(TraceError::Empty { path: source.to_owned(), remedy: "the file is empty" })
    } else {
        let found = text.chars().take(60).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        Err(TraceError::Unknown { path: source.to_owned(), found })
    }
}

#[cfg(test)]
mod tests;
