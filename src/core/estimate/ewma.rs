//! An average that forgets.

/// An exponentially weighted moving average: each sample moves it by a fixed share of the difference.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ewma {
    value: f64,
    gain: f64,
}

impl Ewma {
    /// Builds an average that starts at `value` and gives the newest sample the weight `gain`, above 0 and at most 1.
    #[must_use]
    pub const fn new(value: f64, gain: f64) -> Self {
        Self { value, gain }
    }

    /// Moves the average towards `sample`.
    pub fn add(&mut self, sample: f64) {
        self.add_with(self.gain, sample);
    }

    /// Moves the average towards `sample` with another gain: a larger one while samples are few.
    pub fn add_with(&mut self, gain: f64, sample: f64) {
        self.value += gain * (sample - self.value);
    }

    /// Returns the average.
    #[must_use]
    pub const fn value(&self) -> f64 {
        self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_average_moves_by_its_gain() {
        let mut mean = Ewma::new(1.0, 0.25);
        mean.add(5.0);
        assert_eq!(mean.value(), 2.0);
        mean.add_with(1.0, 7.0);
        assert_eq!(mean.value(), 7.0);
    }
}
