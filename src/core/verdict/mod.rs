//! Verdicts: whose matter an answer of a provider is, what it is about, and whether the request may be sent again.
//!
//! An [`Outcome`] says which machine an answer moves. A verdict says whom it concerns, so that
//! one request's fault never stops others. It is made from what the provider states (a status and the words of its error
//! object), from what the operator has configured, or from a guess. A guess that would stop more than the request that
//! met it needs a second witness: [`Evidence`] for an account, [`Blame`] for a request that fails wherever it goes.

mod blame;
mod evidence;

use std::time::Duration;

pub use self::blame::Blame;
pub use self::evidence::{Evidence, Suspicion};
use super::outcome::Outcome;

/// Rest of an account whose key, quota or credit the provider refuses, where it does not say how long.
pub const REST: Duration = Duration::from_secs(30);

/// The scope of a verdict: the least part of the system that an answer concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scope {
    /// The request that met it: no other request would.
    Request,
    /// Its tenant's.
    Tenant,
    /// A model of the account: its limits.
    Model,
    /// A route: the way to that model at that account.
    Route,
    /// All models of the account.
    Account,
    /// The key with which the account is used, and so all of its models.
    Key,
}

impl Scope {
    /// Every scope, from the narrowest to the widest.
    pub const ALL: &'static [Self] = &[Self::Request, Self::Tenant, Self::Model, Self::Route, Self::Account, Self::Key];

    /// Returns the name used in configurations, logs and as a metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Tenant => "tenant",
            Self::Model => "model",
            Self::Route => "route",
            Self::Account => "account",
            Self::Key => "key",
        }
    }

    /// Returns the position in [`ALL`](Self::ALL), for counters kept in arrays.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Says whether all models of the account are concerned.
    #[must_use]
    pub const fn is_account(self) -> bool {
        matches!(self, Self::Account | Self::Key)
    }
}

/// The matter of a verdict: what an answer is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Matter {
    /// Too many requests at once.
    Capacity,
    /// Too many requests or tokens in a short span.
    Rate,
    /// A quota of a long span, or a plan's, is used up.
    Quota,
    /// Credit or payment is missing.
    Money,
    /// The key is refused, or what it may do.
    Key,
    /// The provider is overloaded or cannot be reached.
    Outage,
    /// The provider failed at this request without a word of load.
    Fault,
    /// The request asks for something that cannot be done.
    Input,
    /// The request, or the answer made of it, is not allowed.
    Moderation,
    /// No matter that is known.
    Unknown,
}

impl Matter {
    /// Every matter.
    pub const ALL: &'static [Self] = &[
        Self::Capacity,
        Self::Rate,
        Self::Quota,
        Self::Money,
        Self::Key,
        Self::Outage,
        Self::Fault,
        Self::Input,
        Self::Moderation,
        Self::Unknown,
    ];

    /// Returns the name used in configurations, logs and as a metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Capacity => "capacity",
            Self::Rate => "rate",
            Self::Quota => "quota",
            Self::Money => "money",
            Self::Key => "key",
            Self::Outage => "outage",
            Self::Fault => "fault",
            Self::Input => "input",
            Self::Moderation => "moderation",
            Self::Unknown => "unknown",
        }
    }

    /// Returns the position in [`ALL`](Self::ALL), for counters kept in arrays.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Returns whose matter it is where nobody says.
    #[must_use]
    pub const fn usual_scope(self) -> Scope {
        match self {
            Self::Capacity | Self::Rate => Scope::Model,
            Self::Quota | Self::Money => Scope::Account,
            Self::Key => Scope::Key,
            Self::Outage | Self::Fault | Self::Unknown => Scope::Route,
            Self::Input | Self::Moderation => Scope::Request,
        }
    }
}

/// Whether the request may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Again {
    /// No: the request would fail everywhere.
    Never,
    /// Yes, wherever there is room, also on the same route.
    Here,
    /// Yes, once on each other route of the model, not on this one.
    Elsewhere,
}

impl Again {
    /// Every answer to that question.
    pub const ALL: &'static [Self] = &[Self::Never, Self::Here, Self::Elsewhere];

    /// Returns the name used in configurations and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Here => "here",
            Self::Elsewhere => "elsewhere",
        }
    }
}

/// The basis of a verdict, from the weakest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Basis {
    /// A guess: evidence decides.
    Suspected,
    /// The provider's own words or status.
    Stated,
    /// The operator's configuration.
    Configured,
}

/// A verdict: the meaning of an answer. How long to stay away stands beside it, where that is stated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Verdict {
    /// The part of the system that the answer concerns.
    pub scope: Scope,
    /// The matter that the answer is about.
    pub matter: Matter,
    /// Whether the request may be sent again.
    pub again: Again,
    /// The basis of the verdict.
    pub basis: Basis,
}

impl Verdict {
    /// Builds a verdict that is stated.
    #[must_use]
    pub const fn new(scope: Scope, matter: Matter) -> Self {
        let again = match (scope, matter) {
            (_, Matter::Input | Matter::Moderation) => Again::Never,
            // Another account or another model may take what is too large or not allowed here.
            (_, Matter::Unknown)
            | (
                Scope::Request | Scope::Tenant,
                Matter::Capacity | Matter::Rate | Matter::Quota | Matter::Money | Matter::Key,
            ) => Again::Elsewhere,
            _ => Again::Here,
        };
        Self { scope, matter, again, basis: Basis::Stated }
    }

    /// Makes a guess of it.
    #[must_use]
    pub const fn suspected(self) -> Self {
        Self { basis: Basis::Suspected, ..self }
    }

    /// Returns what is known of an answer of which only the outcome is.
    #[must_use]
    pub const fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Success | Outcome::Cancelled | Outcome::Rejected => Self::new(Scope::Request, Matter::Input),
            Outcome::Throttled => Self::new(Scope::Model, Matter::Capacity),
            Outcome::RateLimited => Self::new(Scope::Model, Matter::Rate),
            Outcome::Overloaded => Self::new(Scope::Route, Matter::Outage),
            Outcome::Failed => Self::new(Scope::Route, Matter::Fault),
        }
    }

    /// Reads an HTTP status without words.
    ///
    /// 401, 402 and 403 may be one request's or the account's, a 404 the request's or the route's, and a 429 one of
    /// concurrency or of a rate: those are suspicions.
    #[must_use]
    pub const fn of_status(status: u16) -> Self {
        match status {
            401 => Self { again: Again::Elsewhere, ..Self::new(Scope::Key, Matter::Key).suspected() },
            402 => Self { again: Again::Elsewhere, ..Self::new(Scope::Account, Matter::Money).suspected() },
            403 | 423 => Self::new(Scope::Account, Matter::Unknown).suspected(),
            404 | 405 | 410 => Self::new(Scope::Route, Matter::Unknown).suspected(),
            429 => Self::new(Scope::Model, Matter::Capacity).suspected(),
            408 | 502 | 503 | 504 | 529 | 598 | 599 => Self::new(Scope::Route, Matter::Outage),
            400..=499 => Self::new(Scope::Request, Matter::Input),
            _ => Self::new(Scope::Route, Matter::Fault),
        }
    }

    /// Returns the outcome: which machine it moves. What concerns one request alone moves none.
    #[must_use]
    pub const fn outcome(self) -> Outcome {
        match (self.matter, self.scope, self.basis) {
            (Matter::Input | Matter::Moderation, ..) => Outcome::Rejected,
            (
                Matter::Capacity | Matter::Rate | Matter::Quota | Matter::Money | Matter::Key | Matter::Unknown,
                Scope::Request | Scope::Tenant,
                _,
            ) => Outcome::Rejected,
            (Matter::Capacity, ..) => Outcome::Throttled,
            (Matter::Quota | Matter::Money | Matter::Key, _, Basis::Suspected) => Outcome::Failed,
            (Matter::Rate | Matter::Quota | Matter::Money | Matter::Key, ..) => Outcome::RateLimited,
            (Matter::Outage, ..) => Outcome::Overloaded,
            (Matter::Fault | Matter::Unknown, ..) => Outcome::Failed,
        }
    }

    /// Says whether nothing is to be sent for a while, even where nobody says how long: [`REST`] then.
    #[must_use]
    pub const fn suspends(self) -> bool {
        matches!(self.matter, Matter::Quota | Matter::Money | Matter::Key)
            && matches!(self.outcome(), Outcome::RateLimited)
    }

    /// Says whether it is a 429 that names no reason, so that behaviour tells concurrency from a rate.
    #[must_use]
    pub const fn is_unnamed(self) -> bool {
        matches!((self.matter, self.basis), (Matter::Capacity, Basis::Suspected))
    }

    /// Says whether it suspects the whole account, so that a second witness decides.
    #[must_use]
    pub const fn suspects_account(self) -> bool {
        self.scope.is_account() && matches!(self.basis, Basis::Suspected)
    }

    /// Returns why a route is suspended by it, for people.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match (self.basis, self.matter, self.scope) {
            (Basis::Configured, ..) => "held as the configured verdicts say",
            (Basis::Suspected, ..) => "the provider refuses the account whoever asks",
            (_, Matter::Key, _) => "the provider refuses the account's key",
            (_, Matter::Quota | Matter::Money, Scope::Model | Scope::Route) => "the model's quota is used up",
            (_, Matter::Quota | Matter::Money, _) => "the account's quota or credit is used up",
            _ => "the provider asked to stay away for long",
        }
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.scope.as_str(), self.matter.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_concerns_one_request_moves_nothing() {
        for matter in Matter::ALL.iter().copied() {
            for scope in [Scope::Request, Scope::Tenant] {
                let outcome = Verdict::new(scope, matter).outcome();
                let failed = matches!(matter, Matter::Outage | Matter::Fault);
                assert!(failed || outcome == Outcome::Rejected, "{scope:?} {matter:?}: {outcome:?}");
            }
        }
    }

    #[test]
    fn an_outcome_survives_its_verdict() {
        for outcome in
            [Outcome::Throttled, Outcome::RateLimited, Outcome::Overloaded, Outcome::Failed, Outcome::Rejected]
        {
            assert_eq!(Verdict::of(outcome).outcome(), outcome);
            assert!(!Verdict::of(outcome).suspends() && !Verdict::of(outcome).is_unnamed());
        }
    }

    #[test]
    fn a_status_alone_holds_no_account() {
        for status in 0..=u16::MAX {
            let verdict = Verdict::of_status(status);
            assert!(!verdict.suspends(), "{status}");
            assert!(!verdict.scope.is_account() || verdict.suspects_account(), "{status}");
        }
        for (status, outcome, again) in [
            (200, Outcome::Failed, Again::Here),
            (307, Outcome::Failed, Again::Here),
            (400, Outcome::Rejected, Again::Never),
            (401, Outcome::Failed, Again::Elsewhere),
            (403, Outcome::Failed, Again::Elsewhere),
            (404, Outcome::Failed, Again::Elsewhere),
            (422, Outcome::Rejected, Again::Never),
            (429, Outcome::Throttled, Again::Here),
            (500, Outcome::Failed, Again::Here),
            (503, Outcome::Overloaded, Again::Here),
            (524, Outcome::Failed, Again::Here),
            (529, Outcome::Overloaded, Again::Here),
        ] {
            let verdict = Verdict::of_status(status);
            assert_eq!((verdict.outcome(), verdict.again), (outcome, again), "{status}");
        }
    }
}
