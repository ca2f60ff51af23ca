//! Whether failures come with one tenant's requests or with the route.

use std::collections::{BTreeMap, VecDeque};

/// Settled attempts of a route that are looked back on.
const ATTEMPTS: usize = 64;

/// Failures from which on a tenant may be odd.
const ODD_FROM: usize = 3;

/// Share of a tenant's attempts that must fail for it to be odd.
const ODD_SHARE: f64 = 0.75;

/// Share of a tenant's attempts that may fail for it to be fine; most of the others must be, beside an odd one.
const FINE_SHARE: f64 = 0.25;

/// The last attempts of a route: how they went, and whose they were.
#[derive(Debug, Clone, Default)]
pub struct Blame {
    recent: VecDeque<(u64, bool)>,
}

impl Blame {
    /// Notes that an attempt of `tenant` was served, or failed in whatever way may be tried again.
    pub fn note(&mut self, tenant: u64, served: bool) {
        if self.recent.len() >= ATTEMPTS {
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

    /// Says whether `tenant` fails nearly always, and most others hardly ever: then its next failure says nothing of the
    /// route, whatever it is called. A limit or an outage would befall others as well; several tenants may be odd at once.
    #[must_use]
    pub fn is_odd(&self, tenant: u64) -> bool {
        let mut counts = BTreeMap::<u64, (usize, usize)>::new();
        for (who, served) in &self.recent {
            let (all, failed) = counts.entry(*who).or_default();
            (*all, *failed) = (*all + 1, *failed + usize::from(!served));
        }
        let share = |(all, failed): (usize, usize)| failed as f64 / all as f64;
        let own = counts.remove(&tenant);
        let odd = own.is_some_and(|own| own.1 >= ODD_FROM && share(own) >= ODD_SHARE);
        let fine = counts.values().filter(|count| share(**count) <= FINE_SHARE).count();
        odd && fine * 2 > counts.len()
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
        for _ in 0..ATTEMPTS {
            blame.note(2, true);
        }
        assert!(blame.is_own(1), "that was long ago");
        assert_eq!(blame.recent.len(), ATTEMPTS);
    }

    #[test]
    fn two_of_five_may_be_odd_and_weather_makes_nobody_so() {
        let mut blame = Blame::default();
        for _ in 0..4 {
            (1..=3).for_each(|fine| blame.note(fine, true));
            (4..=5).for_each(|odd| blame.note(odd, false));
        }
        assert!(blame.is_odd(4) && blame.is_odd(5) && !blame.is_odd(1));
        for _ in 0..4 {
            (1..=3).for_each(|fine| blame.note(fine, false));
        }
        assert!(!blame.is_odd(4), "now it befalls all");
        let mut blame = Blame::default();
        for _ in 0..9 {
            blame.note(1, false);
        }
        assert!(!blame.is_odd(1), "nobody else is known");
        blame.note(2, true);
        assert!(blame.is_odd(1));
    }
}
