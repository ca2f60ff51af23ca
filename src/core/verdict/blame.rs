//! Whether failures come with one tenant's requests or with the route.

use std::collections::VecDeque;

/// Settled attempts of a route that are looked back on.
const MEMORY: usize = 64;

/// How the last attempts of a route went, and whose they were.
#[derive(Debug, Clone, Default)]
pub struct Blame {
    recent: VecDeque<(u64, bool)>,
}

impl Blame {
    /// Notes that an attempt of `tenant` was served, or failed without a word of load.
    pub fn note(&mut self, tenant: u64, served: bool) {
        if self.recent.len() >= MEMORY {
            self.recent.pop_front();
        }
        self.recent.push_back((tenant, served));
    }

    /// Says whether a failure of `tenant` is its own matter: others are served here, and none of them fails.
    #[must_use]
    pub fn is_own(&self, tenant: u64) -> bool {
        let mut others = self.recent.iter().filter(|(other, _)| *other != tenant).peekable();
        others.peek().is_some() && others.all(|(_, served)| *served)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_fails_alone_beside_others_fails_by_itself() {
        let mut blame = Blame::default();
        blame.note(1, false);
        assert!(!blame.is_own(1), "nobody else is known");
        blame.note(2, true);
        assert!(blame.is_own(1));
        blame.note(3, false);
        assert!(!blame.is_own(1), "it befalls others too");
        for _ in 0..MEMORY {
            blame.note(2, true);
        }
        assert!(blame.is_own(1), "that was long ago");
        assert_eq!(blame.recent.len(), MEMORY);
    }
}
