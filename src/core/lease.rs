//! The right to one dispatch, settled exactly once.

use std::collections::BTreeSet;

use super::slab::{Key, Slab};
use super::time::Time;

/// The leases of one route: a set, never a counter, so that a slot cannot leak or be given back twice.
///
/// A holder that vanishes without settling loses its lease at `expires`: every slot comes back.
#[derive(Debug)]
pub struct Leases<T> {
    held: Slab<(Time, T)>,
    by_expiry: BTreeSet<(Time, Key)>,
}

impl<T> Leases<T> {
    /// Builds an empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self { held: Slab::new(), by_expiry: BTreeSet::new() }
    }

    /// Returns how many leases are out.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Says whether no lease is out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Issues a lease that ends by itself at `expires`.
    pub fn issue(&mut self, expires: Time, value: T) -> Key {
        let key = self.held.insert((expires, value));
        self.by_expiry.insert((expires, key));
        key
    }

    /// Returns what a lease stands for; `None` when it has ended.
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        self.held.get_mut(key).map(|(_, value)| value)
    }

    /// Puts off the end of a lease whose holder shows that it is still there.
    pub fn renew(&mut self, key: Key, expires: Time) {
        let Some((ends, _)) = self.held.get_mut(key) else { return };
        self.by_expiry.remove(&(*ends, key));
        self.by_expiry.insert((expires, key));
        *ends = expires;
    }

    /// Ends a lease and returns what it stood for; `None` when it has ended before.
    pub fn settle(&mut self, key: Key) -> Option<T> {
        let (expires, value) = self.held.remove(key)?;
        self.by_expiry.remove(&(expires, key));
        Some(value)
    }

    /// Ends the next lease whose time is up.
    pub fn expire(&mut self, now: Time) -> Option<T> {
        let &(_, key) = self.by_expiry.first().filter(|(at, _)| *at <= now)?;
        self.settle(key)
    }

    /// Returns when the next lease ends by itself.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        self.by_expiry.first().map(|(at, _)| *at)
    }
}

impl<T> Default for Leases<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_settles_once_whether_by_its_holder_or_by_time() {
        let mut leases = Leases::new();
        let first = leases.issue(Time::from_millis(10), "first");
        let second = leases.issue(Time::from_millis(5), "second");
        assert_eq!(leases.poll_timeout(), Some(Time::from_millis(5)));
        assert_eq!(leases.expire(Time::from_millis(4)), None);
        assert_eq!(leases.expire(Time::from_millis(5)), Some("second"));
        assert_eq!(leases.settle(second), None, "too late");
        assert_eq!((leases.settle(first), leases.settle(first)), (Some("first"), None));
        assert!(leases.is_empty() && leases.poll_timeout().is_none());
    }

    #[test]
    fn a_renewed_lease_ends_later_and_an_ended_one_stays_so() {
        let mut leases = Leases::new();
        let key = leases.issue(Time::from_millis(5), "held");
        leases.renew(key, Time::from_millis(9));
        assert_eq!(leases.expire(Time::from_millis(8)), None);
        assert_eq!(leases.expire(Time::from_millis(9)), Some("held"));
        leases.renew(key, Time::from_millis(20));
        assert!(leases.is_empty() && leases.poll_timeout().is_none());
    }
}
