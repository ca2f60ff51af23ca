//! The attempts that a request has behind it: the one count of them.

use super::outcome::Outcome;
use super::report::{Reached, Report};
use super::verdict::Again;

/// The attempts that a request has behind it; small, since requests wait by the hundred thousand. The caller keeps it and
/// each of its tickets carries it, so that it survives the death of any actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Past {
    /// Attempts made so far, without those that cost none.
    pub attempts: u16,
    /// Attempts that the caller allows in all; the model may allow fewer.
    pub(super) most: u16,
    /// Routes at which the request has been, one bit each.
    pub(super) tried: u16,
    /// Whether the request may only go to a route that it has not tried.
    pub elsewhere: bool,
    /// How often the request let a free slot of a tried route pass.
    pub passed: u8,
}

impl Past {
    /// Begins without an attempt, of `most` that the caller allows; from 1 to 65,535, other values are taken for the nearest.
    #[must_use]
    pub fn none(most: u32) -> Self {
        let most = u16::try_from(most).unwrap_or(u16::MAX).max(1);
        Self { attempts: 0, most, tried: 0, elsewhere: false, passed: 0 }
    }

    /// Says whether the request has been at a route; one beyond the first 16 is never known.
    #[must_use]
    pub fn has_tried(self, route: usize) -> bool {
        u32::try_from(route).ok().and_then(|route| self.tried.checked_shr(route)).is_some_and(|bits| bits & 1 == 1)
    }

    /// Notes that the request goes to a route.
    #[must_use]
    pub fn with(self, route: usize) -> Self {
        let bit = u32::try_from(route).ok().and_then(|route| 1_u16.checked_shl(route)).unwrap_or(0);
        Self { tried: self.tried | bit, ..self }
    }

    /// Notes that the request lets a slot of a tried route pass.
    pub(super) fn passing(self) -> Self {
        Self { passed: self.passed.saturating_add(1), ..self }
    }

    /// Notes that an attempt failed as `report` says. A request that never reached the provider loses no attempt, nor does
    /// a `probe`: a test of a closed route at the request's expense.
    #[must_use]
    pub fn after(self, report: &Report, probe: bool) -> Self {
        let free = match report.reached {
            Reached::Nothing => true,
            Reached::Provider => probe && matches!(report.outcome, Outcome::Overloaded | Outcome::Failed),
            Reached::Timeout | Reached::Work => false,
        };
        let attempts = self.attempts.saturating_add(u16::from(!free));
        Self { attempts, elsewhere: report.verdict.again == Again::Elsewhere, ..self }
    }

    /// Says whether another attempt is allowed, by the caller and by a model of `max_attempts`.
    #[must_use]
    pub fn allows_another(self, max_attempts: u32) -> bool {
        u32::from(self.attempts) < u32::from(self.most).min(max_attempts)
    }
}

impl Default for Past {
    fn default() -> Self {
        Self::none(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_that_cost_the_provider_nothing_costs_the_request_none() {
        let (past, failed) = (Past::none(3), Report::new(Outcome::Overloaded));
        assert_eq!(past.after(&failed, false).attempts, 1);
        assert_eq!(past.after(&failed, true).attempts, 0, "a probe is made at the route's expense");
        let unsent = Report { reached: Reached::Nothing, ..failed };
        assert_eq!(past.after(&unsent, false).attempts, 0);
        for reached in [Reached::Timeout, Reached::Work] {
            assert_eq!(past.after(&Report { reached, ..failed }, true).attempts, 1, "{reached:?}");
        }
        assert_eq!(past.after(&Report::new(Outcome::Throttled), true).attempts, 1);
    }

    #[test]
    fn the_stricter_of_caller_and_model_counts() {
        let past = Past { attempts: 2, ..Past::none(3) };
        assert!(past.allows_another(9) && !past.allows_another(2));
        assert!(!Past { attempts: 3, ..past }.allows_another(9));
        assert!(Past::none(0).allows_another(1), "the first attempt is always allowed");
    }

    #[test]
    fn sixteen_routes_are_remembered() {
        let past = Past::none(1).with(0).with(15).with(40);
        assert!(past.has_tried(0) && past.has_tried(15) && !past.has_tried(1) && !past.has_tried(40));
    }
}
