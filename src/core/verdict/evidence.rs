//! Whether what one request met is the account's matter: a second witness decides.

use std::collections::VecDeque;
use std::time::Duration;

use crate::core::time::Time;

/// Suspicions that are remembered per account; the oldest gives way.
const MOST_SUSPICIONS: usize = 16;
/// Time after which a suspicion is forgotten: what happened before may have another cause.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);

/// A suspicion against an account: who met an answer, and what it said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suspicion {
    /// A number that differs between tenants.
    pub tenant: u64,
    /// A number that differs between models.
    pub model: u64,
    /// A number that is the same for answers that say the same.
    pub words: u64,
}

/// Suspicions against one account that no success has contradicted.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    seen: VecDeque<(Time, Suspicion)>,
}

impl Evidence {
    /// Notes that somebody met what may be the account's matter; `success` is when the account last succeeded at
    /// anything. Returns whether it is confirmed: another tenant or another model met the same, with no success since.
    ///
    /// A single tenant at a single model confirms nothing however often it asks: its inputs may be at fault.
    pub fn suspect(&mut self, now: Time, suspicion: Suspicion, success: Time) -> bool {
        self.seen.retain(|(at, _)| *at > success && now.since(*at) < FORGOTTEN_AFTER);
        let confirms = |other: &Suspicion| {
            other.words == suspicion.words && (other.tenant, other.model) != (suspicion.tenant, suspicion.model)
        };
        let confirmed = self.seen.iter().any(|(_, other)| confirms(other));
        if confirmed {
            // One event is confirmed once; what comes after the hold is another.
            self.seen.clear();
            return true;
        }
        self.seen.retain(|(_, other)| *other != suspicion);
        if self.seen.len() >= MOST_SUSPICIONS {
            self.seen.pop_front();
        }
        self.seen.push_back((now, suspicion));
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    const ONE: Suspicion = Suspicion { tenant: 1, model: 1, words: 7 };

    #[test]
    fn one_tenant_alone_never_stops_the_account() {
        let mut evidence = Evidence::default();
        assert!((1..1_000).all(|n| !evidence.suspect(at(n), ONE, Time::ZERO)));
    }

    #[test]
    fn another_tenant_or_model_does() {
        for other in [Suspicion { tenant: 2, ..ONE }, Suspicion { model: 2, ..ONE }] {
            let mut evidence = Evidence::default();
            assert!(!evidence.suspect(at(1), ONE, Time::ZERO));
            assert!(evidence.suspect(at(2), other, Time::ZERO), "{other:?}");
            assert!(!evidence.suspect(at(3), ONE, Time::ZERO), "one event is confirmed once");
        }
    }

    #[test]
    fn a_success_in_between_other_words_and_time_contradict() {
        let other = Suspicion { tenant: 2, ..ONE };
        let mut evidence = Evidence::default();
        assert!(!evidence.suspect(at(10), ONE, Time::ZERO));
        assert!(!evidence.suspect(at(12), other, at(11)), "it succeeded");
        assert!(!evidence.suspect(at(13), Suspicion { tenant: 3, words: 8, ..ONE }, at(11)), "another word");
        assert!(!evidence.suspect(at(12) + FORGOTTEN_AFTER, ONE, at(11)), "long ago");
    }

    proptest! {
        #[test]
        fn memory_is_bounded(steps in prop::collection::vec((0u64..9, 0u64..9, 0u64..9, 0u64..99), 1..300)) {
            let (mut evidence, mut now) = (Evidence::default(), Time::ZERO);
            for (tenant, model, words, millis) in steps {
                now += Duration::from_millis(millis);
                evidence.suspect(now, Suspicion { tenant, model, words }, Time::ZERO);
                prop_assert!(evidence.seen.len() <= MOST_SUSPICIONS);
            }
        }
    }
}
