//! Whole numbers, however a language writes them, and the length of a value as JSON.

use std::io;

use serde_json::{Number, Value};

/// Reads a whole number, also one that is written as `20.0`: some languages know no other.
pub(super) fn whole(value: &Value) -> Option<u64> {
    let float = || value.as_f64().filter(|number| number.fract() == 0.0 && (0.0..1e15).contains(number));
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole, and in that range")]
    value.as_u64().or_else(|| float().map(|number| number as u64))
}

/// Returns a fraction that is a whole number, as far as a fraction holds these exactly.
pub(super) fn whole_number(number: &Number) -> Option<Number> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let fraction = number.as_f64().filter(|fraction| number.is_f64() && fraction.fract() == 0.0)?;
    #[allow(clippy::cast_possible_truncation, reason = "compared just before")]
    (fraction.abs() <= EXACT).then(|| Number::from(fraction as i64))
}

/// Writes a number of seconds as services want it: whole where it is.
#[must_use]
pub(crate) fn whole_or_not(seconds: f64) -> Value {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "compared just before")]
    if seconds.fract() == 0.0 && (0.0..1e9).contains(&seconds) { (seconds as u64).into() } else { seconds.into() }
}

/// Returns the bytes that a value takes as JSON, without writing it.
pub(super) fn length(value: &Value) -> u64 {
    struct Count(u64);
    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len() as u64;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // JSON can always be written.
    serde_json::to_writer(&mut count, value).unwrap_or_default();
    count.0
}
