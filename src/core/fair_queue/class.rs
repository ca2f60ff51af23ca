//! Priority classes: shares of a model, never strict precedence.

use crate::core::cost::Weight;

/// The urgency of a request; the classes share a model by weight, so that none can starve another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Class {
    /// Work that no person waits for.
    Batch,
    /// The default.
    #[default]
    Standard,
    /// A person is waiting.
    Interactive,
}

impl Class {
    /// Every class, in the order of [`index`](Self::index).
    pub const ALL: &'static [Self] = &[Self::Batch, Self::Standard, Self::Interactive];

    /// Returns the name used in configs and headers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Batch => "batch",
            Self::Standard => "standard",
            Self::Interactive => "interactive",
        }
    }

    /// Returns the class of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|class| class.as_str() == name)
    }

    /// Returns the position in [`ALL`](Self::ALL).
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Returns the default share: 64 : 16 : 4 for interactive, standard and batch.
    #[must_use]
    pub fn default_weight(self) -> Weight {
        let weight = match self {
            Self::Batch => 4.0,
            Self::Standard => 16.0,
            Self::Interactive => 64.0,
        };
        Weight::new(weight).unwrap_or_default()
    }
}
