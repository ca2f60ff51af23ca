//! What is wrong with a configuration, all of it at once.

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

/// One value that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where: `models."gpt-test".window.max`.
    pub path: String,
    /// What is wrong, and what would be right.
    pub problem: String,
    /// Where in the text, of a value that cannot be read.
    pub place: Option<Place>,
}

/// A place in a configuration's text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The tenants' file; `None` for the configuration itself.
    pub file: Option<PathBuf>,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
}

impl Place {
    /// Returns the place of the byte `at`.
    pub(crate) fn of(text: &str, at: usize) -> Self {
        let before = &text[..floor_char_boundary(text, at)];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Self { file: None, line, column }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}: ", file.display())?;
        }
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        write!(f, "{}: {}", self.path, self.problem)
    }
}

/// Why a configuration was refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file that had something when it was read before has nothing now.
    #[error("{} is empty, and had something before; to end all tenants write [tenants]", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Values that cannot be read, contradict each other or are out of range, and keys that are not known.
    #[error("{}", list(.0))]
    Invalid(Vec<Problem>),
}

/// Returns an address as a message may repeat it: what stands before the host or behind a `?` may be a secret.
pub(crate) fn shown(url: &str) -> String {
    let (url, query) = url.split_once('?').map_or((url, ""), |(url, _)| (url, "?…"));
    match url.rsplit_once('@') {
        Some((_, host)) => format!("\"…@{host}{query}\""),
        None => format!("{:?}", format!("{url}{query}")),
    }
}

fn list(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
}

/// Returns the last boundary of a character up to the byte `at`. The method of `str` is younger than our oldest toolchain.
fn floor_char_boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// Words a TOML error, with the nearest known key.
///
/// It never repeats a value near a key: a secret pasted in the wrong form must not end up in a log.
pub(super) fn explain(text: &str, error: &toml::de::Error) -> String {
    let at = error.span().map_or(0, |span| floor_char_boundary(text, span.start));
    let line = text[..at].rfind('\n').map_or(0, |end| end + 1);
    let line = text[line..].lines().next().unwrap_or_default();
    let key = line.split_once('=').map_or(line, |(key, _)| key).trim();
    // The message may repeat what was written, and only where a key may stand are these words expected.
    let expects_key = ["`env`", "`value`"].iter().all(|word| error.message().contains(word));
    if key.contains("api_key") || key.contains("admin_key") || line.contains("value") || expects_key {
        let wanted = if key.contains("api_keys") {
            "must be a list of hashes, each sha256: and 64 hex digits; run `fairflow hash-key`"
        } else {
            "must be { env = \"NAME\" }, { file = \"PATH\" } or { value = \"KEY\" }"
        };
        return wanted.to_owned();
    }
    let message = error.message();
    let mut quoted = message.split('`').skip(1).step_by(2);
    let unknown = quoted.next().filter(|_| message.starts_with("unknown"));
    let near = unknown.and_then(|unknown| nearest(unknown, quoted.clone()));
    let hint = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
    format!("{message}{hint}")
}

/// Returns the known word nearest to `word`, if any is near enough to be meant.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(score, _)| *score > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}
