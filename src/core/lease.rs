//! The right to one dispatch, settled exactly once.

use std::collections::BTreeSet;

use super::key::Key;
use super::time::Time;

/// A place for a lease, used again when the lease has ended.
#[derive(Debug)]
struct Place<T> {
    /// How often it was freed before, plus one.
    generation: u32,
    held: Option<(Time, T)>,
}

/// The leases of one route: a set, never a counter, so that a slot cannot leak or be given back twice.
///
/// A holder that vanishes without settling loses its lease at `expires`: every slot comes back.
#[derive(Debug)]
pub struct Leases<T> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
    by_expiry: BTreeSet<(Time, Key)>,
}

impl<T> Leases<T> {
    /// Builds an empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self { places: Vec::new(), free: Vec::new(), by_expiry: BTreeSet::new() }
    }

    /// Returns how many leases are out.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_expiry.len()
    }

    /// Says whether no lease is out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_expiry.is_empty()
    }

    /// Issues a lease that ends by itself at `expires`.
    pub fn issue(&mut self, expires: Time, value: T) -> Key {
        let held = Some((expires, value));
        #[allow(clippy::cast_possible_truncation, reason = "a window is far below 2^32")]
        let index = self.free.pop().unwrap_or(self.places.len() as u32);
        let generation = match self.places.get_mut(index as usize) {
            Some(place) => {
                place.held = held;
                place.generation
            }
            None => {
                // Generations begin at one, so that a key's bits are never zero.
                self.places.push(Place { generation: 1, held });
                1
            }
        };
        let key = Key::new(index, generation);
        self.by_expiry.insert((expires, key));
        key
    }

    fn place(&mut self, key: Key) -> Option<&mut Place<T>> {
        self.places.get_mut(key.index() as usize).filter(|place| place.generation == key.generation())
    }

    /// Returns what a lease stands for; `None` when it has ended.
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        self.place(key)?.held.as_mut().map(|(_, value)| value)
    }

    /// Puts off the end of a lease whose holder shows that it is still there.
    pub fn renew(&mut self, key: Key, expires: Time) {
        let held = self.place(key).and_then(|place| place.held.as_mut());
        let Some(before) = held.map(|(ends, _)| std::mem::replace(ends, expires)) else { return };
        self.by_expiry.remove(&(before, key));
        self.by_expiry.insert((expires, key));
    }

    /// Ends a lease and returns what it stood for; `None` when it has ended before.
    pub fn settle(&mut self, key: Key) -> Option<T> {
        let place = self.place(key)?;
        let (expires, value) = place.held.take()?;
        place.generation = place.generation.wrapping_add(1).max(1);
        self.free.push(key.index());
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
        let third = leases.issue(Time::from_millis(7), "third");
        assert_eq!((third.index(), leases.settle(second)), (second.index(), None), "its place is used again");
        assert_eq!(leases.settle(third), Some("third"));
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
