//! The controllers that are compared, by name: fairflow, its rivals, and an oracle.

use std::fmt;

/// A controller by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Controller {
    /// All gates of a fairflow route.
    Fairflow,
    /// Vector's adaptive request concurrency.
    VectorArc,
    /// Netflix concurrency-limits: AIMD with the published constants.
    NetflixAimd,
    /// Netflix AIMD with its floor lowered to 1 and its latency limit off: the best that can be made of it here.
    NetflixAimdFloor1,
    /// Netflix concurrency-limits: Vegas.
    NetflixVegas,
    /// Netflix concurrency-limits: Gradient2.
    Gradient2,
    /// Envoy's adaptive concurrency filter.
    Envoy,
    /// A fixed limit, as tower's `ConcurrencyLimit`.
    Fixed(u32),
    /// A fixed limit with a retry budget, as tower's `Budget`: a retry beyond it fails.
    FixedBudget(u32),
    /// Knows at each instant what the provider could serve.
    Oracle,
}

impl Controller {
    /// All that are compared, fairflow first; the oracle is what they are measured against.
    pub const ALL: &'static [Self] = &[
        Self::Fairflow,
        Self::VectorArc,
        Self::NetflixAimd,
        Self::NetflixAimdFloor1,
        Self::NetflixVegas,
        Self::Gradient2,
        Self::Envoy,
        Self::Fixed(4),
        Self::Fixed(24),
        Self::Fixed(200),
        Self::FixedBudget(4),
        Self::FixedBudget(24),
        Self::FixedBudget(200),
    ];
}

impl fmt::Display for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Fairflow => "fairflow",
            Self::VectorArc => "Vector ARC",
            Self::NetflixAimd => "Netflix AIMD",
            Self::NetflixAimdFloor1 => "Netflix AIMD, floor 1",
            Self::NetflixVegas => "Netflix Vegas",
            Self::Gradient2 => "Netflix Gradient2",
            Self::Envoy => "Envoy gradient",
            Self::Fixed(limit) => return write!(f, "fixed {limit}"),
            Self::FixedBudget(limit) => return write!(f, "fixed {limit}, budget"),
            Self::Oracle => "oracle",
        };
        f.write_str(name)
    }
}
