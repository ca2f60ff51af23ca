//! Predicted work, and what it means for a tenant's virtual time.

/// Work of one request in units that its task type defines (tokens, pixel-steps, …).
///
/// Range 1 to 2³² − 1: zero would be free of charge, and the upper end keeps one charge near 2⁵² at the smallest
/// weight, so that virtual time cannot overflow between two rebases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cost(u32);

impl Cost {
    /// A single unit: the cost of a request that says nothing of its size.
    pub const ONE: Self = Self(1);

    /// Builds a cost, clamped into its range.
    #[must_use]
    pub const fn new(units: u64) -> Self {
        if units == 0 {
            Self(1)
        } else if units > u32::MAX as u64 {
            Self(u32::MAX)
        } else {
            #[allow(clippy::cast_possible_truncation, reason = "checked one line above")]
            Self(units as u32)
        }
    }

    /// Returns the units.
    #[must_use]
    pub const fn units(self) -> u32 {
        self.0
    }
}

impl Default for Cost {
    fn default() -> Self {
        Self::ONE
    }
}

/// Virtual time per cost unit at weight one.
///
/// Fine enough that the rounding of a million charges stays below one unit, coarse enough for 2⁶⁴.
pub(super) const VIRTUAL_PER_UNIT: u64 = 1 << 10;

/// Virtual time per cost unit, times a weight in thousandths: sums of weights are kept in thousandths.
pub(super) const VIRTUAL_PER_UNIT_MILLI: u64 = VIRTUAL_PER_UNIT * 1_000;

/// A tenant's or a class's share relative to its neighbours; fixed point with three decimals.
///
/// Range 0.001 to 1,000; default 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Weight(u32);

impl Weight {
    /// Weight one.
    pub const ONE: Self = Self(1_000);
    /// The smallest weight, 0.001.
    pub const MIN: Self = Self(1);
    /// The largest weight, 1,000.
    pub const MAX: Self = Self(1_000_000);

    /// Builds a weight, or `None` where the value is not a number or outside 0.001 to 1,000.
    #[must_use]
    pub fn new(value: f64) -> Option<Self> {
        let milli = (value * 1_000.0).round();
        if !milli.is_finite() || milli < 1.0 || milli > f64::from(Self::MAX.0) {
            return None;
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "range checked above")]
        Some(Self(milli as u32))
    }

    /// Returns the weight as a number.
    #[must_use]
    pub fn value(self) -> f64 {
        f64::from(self.0) / 1_000.0
    }

    /// Returns the weight in thousandths, for sums that must not drift.
    #[must_use]
    pub const fn milli(self) -> u32 {
        self.0
    }

    /// Returns by how much `cost` moves the virtual time of a flow of this weight; at least 1.
    #[must_use]
    pub const fn charge(self, cost: Cost) -> u64 {
        let scaled = cost.units() as u64 * VIRTUAL_PER_UNIT;
        if self.0 == Self::ONE.0 {
            // The usual weight needs no division, the slowest step of a dispatch.
            return scaled;
        }
        // 2^42 * 1000 < 2^52: no overflow.
        let charge = scaled * 1_000 / self.0 as u64;
        if charge == 0 { 1 } else { charge }
    }

    /// Returns the span of virtual time that the same work takes at another weight.
    pub(super) fn rescale(self, span: u64, to: Self) -> u64 {
        u64::try_from(u128::from(span) * u128::from(self.0) / u128::from(to.0)).unwrap_or(u64::MAX)
    }

    /// Returns by how much virtual time moves while a flow of this weight is served `work` units, 0 or more.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
    pub(super) fn span(self, work: f64) -> u64 {
        (work * VIRTUAL_PER_UNIT_MILLI as f64 / f64::from(self.0)) as u64
    }
}

impl Default for Weight {
    fn default() -> Self {
        Self::ONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_outside_its_range_is_refused() {
        for bad in [f64::NAN, f64::INFINITY, -1.0, 0.0, 0.0004, 1_000.1] {
            assert_eq!(Weight::new(bad), None, "{bad}");
        }
        assert_eq!(Weight::new(2.5).map(Weight::value), Some(2.5));
    }

    #[test]
    fn a_charge_is_cost_over_weight_and_never_zero() {
        let double = Weight::new(2.0).unwrap_or_default();
        assert_eq!(Weight::ONE.charge(Cost::new(7)), 2 * double.charge(Cost::new(7)));
        assert_eq!(Weight::MAX.charge(Cost::ONE), 1);
        assert_eq!(
            Weight::MIN.charge(Cost::new(u64::MAX)),
            u64::from(u32::MAX) * VIRTUAL_PER_UNIT_MILLI,
            "no overflow"
        );
    }
}
