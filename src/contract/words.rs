//! Words of a provider that refused or failed, as far as they were understood.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

/// A provider's refusal in its own words: never what a caller wrote to it, never a page for people.
#[derive(Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Words {
    /// HTTP status; 200 where an error stood in an answer that claims success.
    pub status: u16,
    /// Its codes and types, in lower case, the most telling first, at most 16.
    pub codes: Vec<String>,
    /// Its message; empty where there is none. At most 1,000 characters.
    pub message: String,
}

impl Words {
    /// Puts a status and words together.
    #[must_use]
    pub fn new(status: u16, codes: Vec<String>, message: impl Into<String>) -> Self {
        Self { status, codes, message: message.into() }
    }

    /// Returns a number that is the same for answers that say the same: by status and codes, since messages name
    /// requests.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.status, &self.codes).hash(&mut hasher);
        hasher.finish()
    }
}

impl fmt::Debug for Words {
    /// Leaves the message out: a refusal of a key may repeat it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Words").field("status", &self.status).field("codes", &self.codes).finish_non_exhaustive()
    }
}
