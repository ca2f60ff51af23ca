//! Jobs that wait for the account's leave: one claim at a time, so that each is counted there once.

use std::collections::VecDeque;

use crate::core::account::Member;
use crate::core::broker::Assigned;

/// Jobs that wait for the account's leave.
#[derive(Debug)]
pub(super) struct Claims<J> {
    /// The route's name at its account.
    pub(super) member: Member,
    pub(super) staged: VecDeque<Assigned<J>>,
    /// How many of those the account is being asked for.
    asked: usize,
    /// Whether the account has refused and not said since that it has room.
    pub(super) full: bool,
}

impl<J> Claims<J> {
    pub(super) const fn new(member: Member) -> Self {
        Self { member, staged: VecDeque::new(), asked: 0, full: false }
    }

    /// Says whether no credit is to be asked for: jobs wait for leave, or none would be given.
    pub(super) fn are_pending(&self) -> bool {
        self.full || !self.staged.is_empty()
    }

    /// Begins a claim for all jobs that are staged; says whether there is one: not while another is under way.
    pub(super) fn begin(&mut self) -> bool {
        let begins = self.asked == 0 && !self.staged.is_empty();
        if begins {
            self.asked = self.staged.len();
        }
        begins
    }

    /// Ends the claim under way, of which `allowed` jobs may go; returns how many jobs it was for.
    pub(super) fn end(&mut self, allowed: usize) -> usize {
        let asked = std::mem::take(&mut self.asked);
        self.full = allowed < asked;
        asked
    }

    /// Drops the jobs; the answer to a claim under way is still to come.
    pub(super) fn clear(&mut self) {
        self.staged.clear();
    }
}
