//! How one attempt ended, as everything that learns from it needs to know.

use std::time::Duration;

use super::cost::Cost;
use super::hint::RateHints;
use super::outcome::Outcome;
use super::verdict::{Again, Verdict};

/// How far an attempt came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reached {
    /// The request never reached the provider.
    Nothing,
    /// The provider answered, and did no work for it as far as is known.
    #[default]
    Provider,
    /// The attempt ran into its own timeout.
    Timeout,
    /// The provider may have done the work all the same, and may charge for it.
    Work,
}

/// Why a request ends with the failure of an attempt, whatever number of attempts is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Final {
    /// The failure is the request's own matter, or no other route could take it.
    Rejected,
    /// The provider may have done the work, and work is not sent twice here.
    Unconfirmed,
}

/// How one attempt ended, and what its answer said besides.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Report {
    /// The classified outcome.
    pub outcome: Outcome,
    /// Verdict: the part of the system concerned, the matter, and whether the request may be sent again.
    pub verdict: Verdict,
    /// A number that is the same for answers that say the same.
    pub words: u64,
    /// Time to stay away, where stated.
    pub retry_after: Option<Duration>,
    /// Rate hints of the response's headers.
    pub hints: RateHints,
    /// Actual cost of the attempt, where known.
    pub cost: Option<Cost>,
    /// Tokens used, read and written, where known.
    pub tokens: Option<f64>,
    /// How far the attempt came.
    pub reached: Reached,
}

impl Report {
    /// Builds a report of which only the outcome is known.
    #[must_use]
    pub fn new(outcome: Outcome) -> Self {
        Self {
            outcome,
            verdict: Verdict::of(outcome),
            words: 0,
            retry_after: None,
            hints: RateHints::default(),
            cost: None,
            tokens: None,
            reached: Reached::default(),
        }
    }

    /// Returns why a request must end with this failure, on a model of so many `routes`; with `resubmit`, work that the
    /// provider may have done is sent again. The answer depends on no state of the route, so the caller knows it at once.
    #[must_use]
    pub fn ends(&self, routes: usize, resubmit: bool) -> Option<Final> {
        let rejected = match self.verdict.again {
            Again::Never => true,
            Again::Here => !self.outcome.is_retryable(),
            Again::Elsewhere => routes < 2,
        };
        if rejected {
            Some(Final::Rejected)
        } else {
            (self.reached == Reached::Work && !resubmit).then_some(Final::Unconfirmed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::verdict::{Matter, Scope};

    #[test]
    fn a_failure_ends_its_request_where_no_other_attempt_can_help() {
        let key = Report { verdict: Verdict::of_status(401), ..Report::new(Outcome::Failed) };
        assert_eq!((key.ends(1, true), key.ends(2, true)), (Some(Final::Rejected), None), "another key may do");
        let input = Report { verdict: Verdict::new(Scope::Request, Matter::Input), ..Report::new(Outcome::Rejected) };
        assert_eq!(input.ends(9, true), Some(Final::Rejected));
        assert_eq!(Report::new(Outcome::Throttled).ends(1, false), None);
    }

    #[test]
    fn work_that_may_be_done_is_sent_again_only_where_that_is_wished() {
        let lost = Report { reached: Reached::Work, ..Report::new(Outcome::Overloaded) };
        assert_eq!((lost.ends(1, false), lost.ends(1, true)), (Some(Final::Unconfirmed), None));
        let late = Report { reached: Reached::Timeout, ..Report::new(Outcome::Overloaded) };
        assert_eq!(late.ends(1, false), None);
    }
}
