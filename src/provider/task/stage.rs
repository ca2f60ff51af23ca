//! Stages of a generation, by the words that services call them.

use super::handle::{Fault, State};

/// The meaning of a service's word for a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Queued,
    Running,
    Done,
    Moderated,
    Failed,
    Cancelled,
    Expired,
    /// The service does not know the generation: not yet, or no more.
    Missing,
}

/// Words in lower case and without what divides them. A word that is not here, and holds none of [`PARTS`], is a state
/// under way: services add stages to their work, seldom ways to end it.
const WHOLE: [(&str, Stage); 19] = [
    ("pending", Stage::Queued),
    ("queued", Stage::Queued),
    ("inqueue", Stage::Queued),
    ("starting", Stage::Queued),
    ("submitted", Stage::Queued),
    ("created", Stage::Queued),
    ("accepted", Stage::Queued),
    ("scheduled", Stage::Queued),
    ("waiting", Stage::Queued),
    ("ready", Stage::Done),
    ("completed", Stage::Done),
    ("complete", Stage::Done),
    ("succeeded", Stage::Done),
    ("success", Stage::Done),
    ("done", Stage::Done),
    ("finished", Stage::Done),
    ("aborted", Stage::Expired),
    ("rejected", Stage::Failed),
    ("timedout", Stage::Failed),
];
const PARTS: [(&str, Stage); 7] = [
    ("retry", Stage::Running),
    ("moderated", Stage::Moderated),
    ("notfound", Stage::Missing),
    ("cancel", Stage::Cancelled),
    ("expired", Stage::Expired),
    ("fail", Stage::Failed),
    ("error", Stage::Failed),
];

impl Stage {
    /// Reads a service's word.
    pub(super) fn of(word: &str) -> Self {
        let word: String = word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
        let whole = WHOLE.iter().find(|(whole, _)| *whole == word);
        let found = whole.or_else(|| PARTS.iter().find(|(part, _)| word.contains(part)));
        found.map_or(Self::Running, |(_, stage)| *stage)
    }

    /// Returns the state where the word alone tells it.
    pub(super) fn state(self) -> State {
        match self {
            Self::Queued => State::Queued(None),
            Self::Running | Self::Done => State::Running,
            Self::Moderated => State::Failed(Fault::Request, "the content was moderated".into()),
            Self::Failed => State::Failed(Fault::Provider, "the generation failed".into()),
            Self::Cancelled => State::Cancelled,
            Self::Expired => State::Expired,
            Self::Missing => State::Missing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_in_any_spelling_and_unknown_ones_are_under_way() {
        for (word, stage) in [
            ("IN_QUEUE", Stage::Queued),
            ("Pending", Stage::Queued),
            ("Ready", Stage::Done),
            ("COMPLETED", Stage::Done),
            ("Content Moderated", Stage::Moderated),
            ("Request Moderated", Stage::Moderated),
            ("Task not found", Stage::Missing),
            ("canceled", Stage::Cancelled),
            ("CANCELLED", Stage::Cancelled),
            ("cancelling", Stage::Cancelled),
            ("Error", Stage::Failed),
            ("GENERATION_FAILED", Stage::Failed),
            ("aborted", Stage::Expired),
            ("Reasoning", Stage::Running),
            ("almost ready", Stage::Running),
            ("Incomplete", Stage::Running),
            ("Retrying after an error", Stage::Running),
            ("", Stage::Running),
        ] {
            assert_eq!(Stage::of(word), stage, "{word}");
        }
    }
}
