//! Money that a tenant has spent: per UTC day against a budget, and since its first request for the tiers it rises through.
//!
//! Money is counted in whole billionths of a US dollar, so that sums do not drift and ten tokens of an embedding cost
//! something. A request reserves what it is expected to cost until it ends, so that many at once do not each see the same
//! rest of a budget.

use std::time::Duration;

/// Seconds of a UTC day.
const DAY: u64 = 86_400;
/// Seconds by which a clock may be set back over a midnight that stays passed.
const CORRECTION: u64 = 3_600;

/// Money in billionths of a US dollar, at most 18 billion dollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Money(u64);

impl Money {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// Converts from dollars: what is negative or no number is nothing.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and NaN is 0")]
    pub fn from_dollars(dollars: f64) -> Self {
        Self((dollars * 1e9).round() as u64)
    }

    /// Builds from billionths of a dollar.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Returns the billionths of a dollar.
    #[must_use]
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// Builds from millionths of a dollar.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros.saturating_mul(1_000))
    }

    /// Returns the millionths of a dollar, rounded.
    #[must_use]
    pub const fn micros(self) -> u64 {
        self.0.saturating_add(500) / 1_000
    }

    /// Returns the dollars.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "exact up to nine million dollars, and close beyond")]
    pub fn dollars(self) -> f64 {
        self.0 as f64 / 1e9
    }

    fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

/// A tenant's use since its first request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lifetime {
    /// Money of all its answers.
    pub spent: Money,
    /// Its answers.
    pub requests: u64,
    /// UTC days that have begun since its first request.
    pub days: u64,
}

/// The balance of an account, to be kept over a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Balance {
    /// UTC day since 1970 of its first request.
    pub since: u64,
    /// UTC day that `today` belongs to.
    pub day: u64,
    /// Money of that day's answers.
    pub today: Money,
    /// Money of all answers.
    pub spent: Money,
    /// All answers.
    pub requests: u64,
}

/// A tenant's account. `now` is always in seconds since 1970.
#[derive(Debug, Clone, Copy)]
pub struct Account {
    balance: Balance,
    reserved: Money,
}

/// The reason why a request is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exhausted {
    /// The day's money is spent; otherwise requests under way hold the rest of it.
    pub spent: bool,
    /// Time until the budget is renewed.
    pub renews_in: Duration,
}

impl Account {
    /// Opens an account.
    #[must_use]
    pub fn new(now: u64) -> Self {
        let day = now / DAY;
        Self::restore(Balance { since: day, day, ..Balance::default() })
    }

    /// Opens an account with what was kept of it.
    #[must_use]
    pub fn restore(balance: Balance) -> Self {
        Self { balance, reserved: Money::ZERO }
    }

    /// Lets a request in and reserves what it is expected to cost, as long as what is spent and reserved is below the
    /// budget: so the last one let in may pass it.
    ///
    /// # Errors
    ///
    /// [`Exhausted`].
    pub fn reserve(&mut self, now: u64, budget: Option<Money>, expected: Money) -> Result<(), Exhausted> {
        self.turn(now);
        if let Some(budget) = budget
            && self.balance.today.plus(self.reserved) >= budget
        {
            return Err(Exhausted { spent: self.balance.today >= budget, renews_in: renews_in(now) });
        }
        self.reserved = self.reserved.plus(expected);
        Ok(())
    }

    /// Gives back what a request has reserved.
    pub fn release(&mut self, expected: Money) {
        self.reserved = self.reserved.minus(expected);
    }

    /// Books an answer.
    pub fn book(&mut self, now: u64, cost: Money) {
        self.turn(now);
        self.balance.today = self.balance.today.plus(cost);
        self.balance.spent = self.balance.spent.plus(cost);
        self.balance.requests = self.balance.requests.saturating_add(1);
    }

    /// Returns what was spent on the present UTC day.
    #[must_use]
    pub fn today(&self, now: u64) -> Money {
        if now / DAY > self.balance.day { Money::ZERO } else { self.balance.today }
    }

    /// Returns what requests under way have reserved.
    #[must_use]
    pub fn reserved(&self) -> Money {
        self.reserved
    }

    /// Returns what was used since the first request.
    #[must_use]
    pub fn lifetime(&self, now: u64) -> Lifetime {
        let Balance { since, spent, requests, .. } = self.balance;
        Lifetime { spent, requests, days: (now / DAY).saturating_sub(since) }
    }

    /// Returns what is to be kept.
    #[must_use]
    pub fn balance(&self) -> Balance {
        self.balance
    }

    /// Begins a new day. A clock that is set back begins none: money once spent stays spent. But the account goes back
    /// with it, or a clock that was ahead once would stop all renewals until the day that it told; unless it is corrected
    /// by so little that the day would begin twice.
    fn turn(&mut self, now: u64) {
        let today = if (now + CORRECTION) / DAY == self.balance.day { self.balance.day } else { now / DAY };
        if today > self.balance.day {
            self.balance.today = Money::ZERO;
        }
        self.balance.day = today;
        self.balance.since = self.balance.since.min(today);
    }
}

/// Returns how long it is until the next UTC midnight.
#[must_use]
pub fn renews_in(now: u64) -> Duration {
    Duration::from_secs(DAY - now % DAY)
}

/// The thresholds from which on a tenant is in a higher tier: all that are given must be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Thresholds {
    /// Money of all answers.
    pub spent: Money,
    /// Answers.
    pub requests: u64,
    /// UTC days since the first request.
    pub days: u64,
}

impl Thresholds {
    /// Says whether a tenant has reached them.
    #[must_use]
    pub fn reached(&self, by: &Lifetime) -> bool {
        by.spent >= self.spent && by.requests >= self.requests && by.days >= self.days
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: u64 = 20_000 * DAY + DAY / 2;

    fn dollars(dollars: f64) -> Money {
        Money::from_dollars(dollars)
    }

    #[test]
    fn money_is_exact_and_never_negative() {
        assert_eq!(dollars(0.1).micros(), 100_000);
        assert_eq!((dollars(-1.0), dollars(f64::NAN)), (Money::ZERO, Money::ZERO));
        assert_eq!((dollars(f64::INFINITY).nanos(), Money::from_micros(u64::MAX).nanos()), (u64::MAX, u64::MAX));
        assert_eq!(
            (dollars(0.000_000_2).nanos(), Money::from_micros(7).micros()),
            (200, 7),
            "ten tokens of a cheap model"
        );
        assert!((dollars(25.0).dollars() - 25.0).abs() < 1e-9);
    }

    #[test]
    fn a_budget_is_renewed_at_midnight_and_not_by_a_clock_set_back() {
        let budget = Some(dollars(1.0));
        let mut account = Account::new(NOON);
        account.reserve(NOON, budget, Money::ZERO).expect("nothing spent");
        account.book(NOON, dollars(1.5));
        let refused = account.reserve(NOON, budget, Money::ZERO).expect_err("spent");
        assert_eq!(refused, Exhausted { spent: true, renews_in: Duration::from_secs(DAY / 2) });
        assert_eq!(account.today(NOON), dollars(1.5));
        let midnight = NOON + DAY / 2;
        assert_eq!(account.today(midnight), Money::ZERO);
        account.reserve(midnight, budget, Money::ZERO).expect("a new day");
        assert_eq!(account.lifetime(midnight), Lifetime { spent: dollars(1.5), requests: 1, days: 1 });
        account.book(midnight, dollars(1.5));
        for now in [midnight - 5, midnight + 5, midnight - 3_000, midnight + 1, NOON, NOON - DAY] {
            account.reserve(now, budget, Money::ZERO).expect_err("a clock set back renews nothing");
        }
    }

    #[test]
    fn a_clock_that_was_ahead_delays_no_renewal() {
        let budget = Some(dollars(1.0));
        for ahead in [1, 30, 36_500] {
            // As an account of this process, and as one that was kept.
            let mut account = Account::new(NOON + ahead * DAY);
            account.book(NOON + ahead * DAY, dollars(1.0));
            for mut account in [account, Account::restore(account.balance())] {
                account.reserve(NOON, budget, Money::ZERO).expect_err("money once spent stays spent");
                account.reserve(NOON + DAY / 2, budget, Money::ZERO).expect("the next midnight renews");
                account.book(NOON + DAY / 2, dollars(1.0));
                assert_eq!(account.lifetime(NOON + 8 * DAY).days, 8, "since the first request as the clock has it now");
                account.reserve(NOON + DAY / 2, budget, Money::ZERO).expect_err("spent again");
                account.reserve(NOON + DAY * 3 / 2, budget, Money::ZERO).expect("and the one after it");
            }
        }
    }

    #[test]
    fn what_is_under_way_counts_and_bounds_the_overshoot() {
        let budget = Some(dollars(1.0));
        let mut account = Account::new(NOON);
        let admitted = (0..1_000).filter(|_| account.reserve(NOON, budget, dollars(0.3)).is_ok()).count();
        assert_eq!(admitted, 4, "0, 0.3, 0.6 and 0.9 are below 1");
        let refused = account.reserve(NOON, budget, dollars(0.3)).expect_err("reserved");
        assert!(!refused.spent);
        for _ in 0..admitted {
            account.release(dollars(0.3));
            account.book(NOON, dollars(0.3));
        }
        assert_eq!((account.today(NOON), account.reserved()), (dollars(1.2), Money::ZERO), "over by less than one");
        assert!(account.reserve(NOON, budget, dollars(0.3)).expect_err("spent").spent);
        account.reserve(NOON, None, dollars(9.0)).expect("no budget, no bound");
    }

    #[test]
    fn a_kept_balance_goes_on_where_it_was() {
        let mut account = Account::new(NOON);
        account.book(NOON, dollars(0.7));
        let mut kept = Account::restore(account.balance());
        kept.book(NOON + 1, dollars(0.4));
        assert!(kept.reserve(NOON + 2, Some(dollars(1.0)), Money::ZERO).is_err());
        assert_eq!(kept.lifetime(NOON + 3 * DAY).days, 3);
    }

    #[test]
    fn every_threshold_must_be_reached() {
        let thresholds = Thresholds { spent: dollars(50.0), days: 7, requests: 0 };
        let by = |spent: f64, days| Lifetime { spent: dollars(spent), requests: 1, days };
        assert!(!thresholds.reached(&by(50.0, 6)) && !thresholds.reached(&by(49.9, 7)));
        assert!(thresholds.reached(&by(50.0, 7)));
    }
}
