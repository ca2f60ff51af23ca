//! Durations and sizes as people write them: "60s", "64MiB".

use std::fmt;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A span of time, written like "500ms", "60s" or "2m".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl Span {
    /// Longest span that means anything here: ten years. Clocks hold sums of such spans.
    pub const LONGEST: Duration = Duration::from_secs(3_650 * 24 * 3_600);
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

impl From<Duration> for Span {
    fn from(span: Duration) -> Self {
        Self(span)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let span = humantime::parse_duration(&text).map_err(|error| {
            D::Error::custom(format!("{text:?} is no duration ({error}); write it like \"500ms\", \"60s\" or \"2m\""))
        })?;
        if span > Self::LONGEST {
            return Err(D::Error::custom(format!("{text:?} is out of range; give at most \"3650d\"")));
        }
        Ok(Self(span))
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A size in bytes, written like "64MiB".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub usize);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let size: bytesize::ByteSize = text
            .parse()
            .map_err(|error| D::Error::custom(format!("{text:?} is no size ({error}); write it like \"64MiB\"")))?;
        usize::try_from(size.as_u64()).map(Self).map_err(|_| D::Error::custom(format!("{text:?} is too large")))
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // A unit only where it loses nothing: what is written is read as the same.
        let units = [(30, "GiB"), (20, "MiB"), (10, "KiB"), (0, "B")];
        let fits = |shift: u32| self.0 >> shift << shift == self.0 && self.0 >> shift > 0;
        let (shift, unit) = units.into_iter().find(|(shift, _)| fits(*shift)).unwrap_or((0, "B"));
        serializer.collect_str(&format_args!("{}{unit}", self.0 >> shift))
    }
}
