//! How far a provider's word is taken against its own refusals.
//!
//! A provider that states plenty and refuses all the same contradicts itself. Once is an accident (a passing shortage, a
//! node that was behind), and what it states counts. Again and again, and its word is worth less than its refusals: each
//! contradiction doubles how many answers must confirm the word before it is believed against a learned rate. A while
//! without one, and all is forgotten.

use std::time::Duration;

use crate::core::time::Time;

/// Answers that must confirm the word after the first contradiction.
const CONFIRMATIONS: u32 = 4;
/// Doublings of the confirmations at most.
const MOST_DOUBLINGS: u32 = 10;
/// Time after which another contradiction has nothing to do with the last.
const APART: Duration = Duration::from_secs(60);

/// The standing of a provider's word.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Trust {
    /// Contradictions in a row.
    contradictions: u32,
    /// When the last contradiction was seen.
    last: Time,
    /// Answers that confirmed the word since the last step.
    confirmed: u32,
}

impl Trust {
    /// Notes a refusal, of an attempt sent at `sent`, beside a word of plenty. Returns whether the word counts more: it
    /// is the first contradiction, or part of it.
    pub(super) fn contradicted(&mut self, now: Time, sent: Time) -> bool {
        if self.contradictions > 0 && sent < self.last {
            return self.contradictions == 1;
        }
        if now.since(self.last) > APART {
            self.contradictions = 0;
        }
        self.contradictions = self.contradictions.saturating_add(1);
        (self.last, self.confirmed) = (now, 0);
        self.contradictions == 1
    }

    /// Notes an answer that states plenty; returns whether there were enough for a step.
    pub(super) fn confirmed(&mut self) -> bool {
        self.confirmed += 1;
        let enough = self.confirmed >= CONFIRMATIONS << self.contradictions.saturating_sub(1).min(MOST_DOUBLINGS);
        if enough {
            self.confirmed = 0;
        }
        enough
    }
}
