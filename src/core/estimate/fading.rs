//! Sums that forget with time.

use crate::core::time::Time;

/// Returns what is left, 0 to 1, of an amount that is `seconds` old where the memory is `memory` seconds.
pub(super) fn kept(seconds: f64, memory: f64) -> f64 {
    (-seconds / memory).exp()
}

/// A sum whose past fades by exp(−age ÷ memory).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FadingSum {
    sum: f64,
    memory: f64,
    last: Time,
}

impl FadingSum {
    /// Builds an empty sum with a memory of so many seconds, above 0.
    #[must_use]
    pub const fn new(memory: f64) -> Self {
        Self { sum: 0.0, memory, last: Time::ZERO }
    }

    /// Returns the memory in seconds.
    #[must_use]
    pub const fn memory(&self) -> f64 {
        self.memory
    }

    /// Returns what is left of the sum at `now`.
    #[must_use]
    pub fn at(&self, now: Time) -> f64 {
        if now > self.last { self.sum * kept(now.seconds_since(self.last), self.memory) } else { self.sum }
    }

    /// Lets the sum fade up to `now`.
    pub fn advance(&mut self, now: Time) {
        (self.sum, self.last) = (self.at(now), self.last.max(now));
    }

    /// Adds an `amount` that occurs now.
    pub fn add(&mut self, now: Time, amount: f64) {
        self.advance(now);
        self.sum += amount;
    }

    /// Takes out an `amount` that was added `at` an earlier time; the sum never falls below zero.
    pub fn take_out(&mut self, at: Time, amount: f64) {
        let left = amount * kept(self.last.seconds_since(at), self.memory);
        self.sum = (self.sum - left).max(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_fades_and_gives_back_what_is_left() {
        let (start, later) = (Time::from_millis(1_000), Time::from_millis(3_000));
        let mut sum = FadingSum::new(2.0);
        sum.add(start, 1.0);
        assert!((sum.at(later) - (-1.0f64).exp()).abs() < 1e-12);
        sum.add(later, 3.0);
        sum.take_out(start, 1.0);
        assert!((sum.at(later) - 3.0).abs() < 1e-12);
        sum.take_out(later, 9.0);
        assert_eq!(sum.at(later), 0.0);
        sum.advance(start);
        assert_eq!(sum, FadingSum { sum: 0.0, memory: 2.0, last: later }, "time does not go back");
    }
}
