//! Scenario errors say what is wrong with a scenario.

use std::path::PathBuf;

/// Why a scenario cannot be played.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScenarioError {
    /// No built-in scenario has this name.
    #[error("there is no scenario `{name}`{}; --list shows all, or give a path that ends in .toml", nearest.map_or(String::new(), |near| format!("; did you mean `{near}`?")))]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// The known name nearest to it, if any is near.
        nearest: Option<&'static str>,
    },
    /// The file cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The scenario is no TOML, or has a key or type that does not belong.
    #[error("scenario {name}, {problem}")]
    Syntax {
        /// The scenario.
        name: String,
        /// Line, key, what is wrong, and the nearest known key.
        problem: String,
    },
    /// A value is out of range.
    #[error("scenario {name}: {field} is {value}; {remedy}")]
    Value {
        /// The scenario.
        name: String,
        /// Which one.
        field: String,
        /// The value that stands there.
        value: String,
        /// The remedy: what should stand there.
        remedy: String,
    },
}
