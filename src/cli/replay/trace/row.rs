//! Reading CSV rows so that every complaint says where: file, line, field, value, remedy.

use std::io::Read;

use csv::{ErrorKind, Reader, StringRecord};

use super::TraceError;

/// The longest value that an error repeats, in characters.
const SHOWN: usize = 40;

/// A table being read row by row.
pub(super) struct Table<'a, R> {
    reader: Reader<R>,
    source: &'a str,
    columns: Vec<usize>,
    names: &'static [&'static str],
    record: StringRecord,
}

/// The row that was read last.
pub(super) struct Row<'a> {
    source: &'a str,
    names: &'static [&'static str],
    columns: &'a [usize],
    record: &'a StringRecord,
}

impl<'a, R: Read> Table<'a, R> {
    /// Opens a table whose header names at least `names`, in any order.
    pub(super) fn with_header(input: R, source: &'a str, names: &'static [&'static str]) -> Result<Self, TraceError> {
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(input);
        let header = reader.headers().map_err(|error| complaint(source, error))?;
        let mut columns = Vec::with_capacity(names.len());
        for name in names {
            // A byte order mark is part of the first name as far as the reader can tell.
            let found = header.iter().position(|column| column.trim_start_matches('\u{feff}') == *name);
            columns.push(found.ok_or_else(|| TraceError::Row {
                path: source.to_owned(),
                line: 1,
                problem: format!("the header has no column {name}"),
            })?);
        }
        Ok(Self { reader, source, columns, names, record: StringRecord::new() })
    }

    /// Opens a table without header whose columns are exactly `names`.
    pub(super) fn without_header(input: R, source: &'a str, names: &'static [&'static str]) -> Self {
        let reader = csv::ReaderBuilder::new().has_headers(false).trim(csv::Trim::All).from_reader(input);
        Self { reader, source, columns: (0..names.len()).collect(), names, record: StringRecord::new() }
    }

    /// Reads the next row; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Row<'_>>, TraceError> {
        match self.reader.read_record(&mut self.record) {
            Ok(true) => {
                let row = Row { source: self.source, names: self.names, columns: &self.columns, record: &self.record };
                let wanted = row.columns.iter().max().map_or(0, |last| last + 1);
                if row.record.len() < wanted {
                    let problem = format!("it has {} fields instead of {wanted}", row.record.len());
                    return Err(TraceError::Row { path: self.source.to_owned(), line: row.line(), problem });
                }
                Ok(Some(row))
            }
            Ok(false) => Ok(None),
            Err(error) => Err(complaint(self.source, error)),
        }
    }
}

impl Row<'_> {
    /// The line on which the row starts, counted from 1.
    pub(super) fn line(&self) -> u64 {
        self.record.position().map_or(0, csv::Position::line)
    }

    /// The text of the `index`-th named column.
    pub(super) fn text(&self, index: usize) -> &str {
        self.columns.get(index).and_then(|column| self.record.get(*column)).unwrap_or("")
    }

    /// A finite number of at least `least`.
    pub(super) fn number(&self, index: usize, least: f64, remedy: &'static str) -> Result<f64, TraceError> {
        match self.text(index).parse::<f64>() {
            Ok(number) if number.is_finite() && number >= least => Ok(number),
            _ => Err(self.bad(index, remedy)),
        }
    }

    /// A whole number of at least `least`; traces write some as `8.0`.
    pub(super) fn whole(&self, index: usize, least: u32, remedy: &'static str) -> Result<u32, TraceError> {
        let number = self.number(index, f64::from(least), remedy)?;
        if number.fract() != 0.0 || number > f64::from(u32::MAX) {
            return Err(self.bad(index, remedy));
        }
        Ok(number as u32)
    }

    /// Like [`Row::whole`], with `default` for an empty field.
    pub(super) fn whole_or(
        &self,
        index: usize,
        least: u32,
        default: u32,
        remedy: &'static str,
    ) -> Result<u32, TraceError> {
        if self.text(index).is_empty() { Ok(default) } else { self.whole(index, least, remedy) }
    }

    /// The complaint about a field's value.
    pub(super) fn bad(&self, index: usize, remedy: &'static str) -> TraceError {
        TraceError::Value {
            path: self.source.to_owned(),
            line: self.line(),
            field: self.names.get(index).copied().unwrap_or("field").to_owned(),
            value: shown(self.text(index)),
            remedy,
        }
    }
}

/// A value as an error repeats it: no control characters, no endless lines.
pub(super) fn shown(value: &str) -> String {
    let mut text: String = value.chars().take(SHOWN).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if value.chars().nth(SHOWN).is_some() {
        text.push('…');
    }
    text
}

/// Turns the CSV reader's complaint into a trace's error, with the line of a bad row.
fn complaint(source: &str, error: csv::Error) -> TraceError {
    let line = error.position().map_or(1, csv::Position::line);
    let path = source.to_owned();
    match error.into_kind() {
        ErrorKind::Io(source) => TraceError::Read { path, source },
        ErrorKind::UnequalLengths { expected_len, len, .. } => {
            TraceError::Row { path, line, problem: format!("it has {len} fields instead of {expected_len}") }
        }
        ErrorKind::Utf8 { err, .. } => TraceError::Row { path, line, problem: format!("it is not UTF-8 ({err})") },
        other => TraceError::Row { path, line, problem: format!("it is no CSV ({other:?})") },
    }
}
