//! Errors of traces, each with its remedy.

use std::fmt;

use super::arrival::MAX_ARRIVALS;

/// A packing that is understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// gzip.
    Gzip,
    /// xz.
    Xz,
    /// A tar archive.
    Tar,
}

impl fmt::Display for Packing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip => "gzip stream",
            Self::Xz => "xz stream",
            Self::Tar => "tar archive",
        })
    }
}

/// Why a trace could not be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TraceError {
    /// The file, or a member of the archive, cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file, with the archive's member if it is in one.
        path: String,
        /// Error of the system or of the decoder.
        source: std::io::Error,
    },
    /// The packed file is cut off or damaged.
    #[error(
        "{path} cannot be unpacked, its {packing} is cut off or damaged ({source}): copy or download the file again"
    )]
    Damaged {
        /// The file, with the archive's member if it is in one.
        path: String,
        /// Packing of the file.
        packing: Packing,
        /// Error of the decoder.
        source: std::io::Error,
    },
    /// The file is packed in a way that is not understood.
    #[error("{path} is {what}, which fairflow does not read: unpack it, or pack it with gzip or xz")]
    Packed {
        /// The file.
        path: String,
        /// How it is packed.
        what: &'static str,
    },
    /// No known format begins like this.
    #[error(
        "{path} is no trace that fairflow understands: it begins with `{found}`. Understood are\n  \
         - a CSV of GenTD26 image requests (gmt_create, groupId, num_images_per_prompt, …)\n  \
         - a CSV of Azure LLM inference (TIMESTAMP, ContextTokens, GeneratedTokens)\n  \
         - ServeGen clients: a tar, or a directory, of chunk-N-trace.csv, or one of them\n\
         each as it is or packed with gzip or xz"
    )]
    Unknown {
        /// The file.
        path: String,
        /// Its first characters.
        found: String,
    },
    /// A field holds what it must not.
    #[error("{path}, line {line}: {field} is `{value}`, {remedy}")]
    Value {
        /// The file, with the archive's member if it is in one.
        path: String,
        /// Counted from 1, the header included; of a data set's JSON always 1.
        line: u64,
        /// The column.
        field: String,
        /// Value that stands there, cut to a readable length.
        value: String,
        /// Value that should stand there.
        remedy: &'static str,
    },
    /// A line is no row of the table.
    #[error("{path}, line {line}: {problem}; repair or remove the line")]
    Row {
        /// The file, with the archive's member if it is in one.
        path: String,
        /// Counted from 1, the header included.
        line: u64,
        /// Description of the problem.
        problem: String,
    },
    /// Nothing to replay.
    #[error("no arrivals in {path}: {remedy}")]
    Empty {
        /// The file.
        path: String,
        /// Change that mends it.
        remedy: &'static str,
    },
    /// More than memory should hold.
    #[error(
        "{path} has about {expected} arrivals in this window, a replay holds at most {MAX_ARRIVALS}: shorten the duration \
         or set a limit"
    )]
    TooMany {
        /// The file.
        path: String,
        /// How many there would be; at least so many when the file was not read to its end.
        expected: u64,
    },
    /// The options ask for nothing.
    #[error("{problem}")]
    Options {
        /// Name of the option, and the problem.
        problem: &'static str,
    },
}
