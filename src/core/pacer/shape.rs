//! How a provider's bucket fills, told by its resets: steadily, or wholly at the end of a window.
//!
//! A reset is the time until the bucket is full. Of one that fills steadily it grows with what is missing: twice as much
//! missing, twice as long. Of one that fills at once it is the rest of the window, whatever is missing. So two answers
//! between which at least as much again went missing tell one from the other.

/// Units that must be missing before a reset is compared with a later one: the provider rounds what is left down.
const LEAST_MISSING: f64 = 2.0;
/// Factor by which more must be missing at the later reset.
const MORE_MISSING: f64 = 2.0;
/// Growth of a reset, as a share of what went missing, below which the reset does not depend on it. Rounding a single unit
/// away leaves .78 of two.
const GROWS: f64 = 0.65;
/// Longest window of any provider, seconds: a month. A bucket that would take longer to fill is of another kind.
const LONGEST_WINDOW: f64 = 32.0 * 86_400.0;

/// An answer: how much is missing of a bucket, and its reset in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Anchor {
    limit: f64,
    missing: f64,
    reset: f64,
}

/// The way in which a bucket fills, as its resets have shown it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Shape {
    /// The answer that later answers are compared with.
    anchor: Option<Anchor>,
    fills_at_once: Option<bool>,
    /// Longest reset heard of, seconds: a window that fills at once is at least as long.
    longest: f64,
}

impl Shape {
    /// Returns whether the bucket fills at once, where that is known.
    pub(super) fn fills_at_once(self) -> Option<bool> {
        self.fills_at_once
    }

    /// Returns the longest reset heard of, seconds.
    pub(super) fn longest(self) -> f64 {
        self.longest
    }

    /// Hears of the reset of a bucket that is known to fill at once.
    pub(super) fn ends_in(&mut self, reset: f64) {
        self.longest = self.longest.max(reset);
    }

    /// Hears that `missing` of `limit` are back after `reset` seconds.
    pub(super) fn hear(&mut self, limit: f64, missing: f64, reset: f64) {
        self.ends_in(reset);
        if missing < 1.0 {
            // A bucket that is full has no reset, unless its window is what ends.
            if reset >= LEAST_MISSING {
                self.fills_at_once = Some(true);
            }
            return;
        }
        if limit * reset / missing > LONGEST_WINDOW {
            self.fills_at_once = Some(true);
        }
        let answer = Anchor { limit, missing, reset };
        match self.anchor {
            Some(anchor) if anchor.limit == limit && missing >= anchor.missing && anchor.reset > 0.0 => {
                if missing >= anchor.missing * MORE_MISSING {
                    self.fills_at_once = Some(reset / anchor.reset < GROWS * missing / anchor.missing);
                    self.anchor = Some(answer);
                }
            }
            _ => self.anchor = Some(answer).filter(|_| missing >= LEAST_MISSING),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Rounding, any use, any window: the two kinds are told apart, and never taken for each other.
        #[test]
        fn the_kinds_are_told_apart(
            limit in 20.0f64..1e6,
            window in 1.0f64..2e6,
            uses in prop::collection::vec(0.001f64..0.05, 60),
        ) {
            let (mut steady, mut fixed) = (Shape::default(), Shape::default());
            let (mut used, mut t) = (0.0f64, 0.0);
            for share in uses {
                used += share * limit;
                t += window / 200.0;
                if used > limit {
                    break;
                }
                let missing = limit - (limit - used).floor();
                steady.hear(limit, missing, used / limit * window);
                fixed.hear(limit, missing, window - t);
                prop_assert!(steady.fills_at_once() != Some(true), "{missing} of {limit}");
                prop_assert!(fixed.fills_at_once() != Some(false), "{missing} of {limit}");
            }
            prop_assert_eq!((steady.fills_at_once(), fixed.fills_at_once()), (Some(false), Some(true)));
        }
    }
}
