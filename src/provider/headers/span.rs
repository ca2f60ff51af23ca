//! Waits as providers write them: numbers, durations, dates, and words in a message.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Longest wait believed, thirty days: beyond that it is taken for a mistake.
const LONGEST: Duration = Duration::from_secs(30 * 86_400);
/// From here on (the year 2001) a number of seconds is a Unix time, not a wait.
const UNIX_SECONDS: f64 = 1e9;
/// And from here on a Unix time in milliseconds.
const UNIX_MILLIS: f64 = 1e12;

fn bounded(seconds: f64) -> Option<Duration> {
    let wait = (seconds >= 0.0).then(|| Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST));
    wait.map(|wait| wait.min(LONGEST))
}

/// Reads milliseconds.
pub(super) fn millis(text: &str) -> Option<Duration> {
    text.parse().ok().filter(|millis: &f64| millis.is_finite()).and_then(|millis| bounded(millis / 1e3))
}

/// Reads "12", "1.5", "6m0s", "20ms", "1h2m3.5s".
pub(super) fn span(text: &str) -> Option<Duration> {
    match text.parse::<f64>() {
        Ok(seconds) => Some(seconds).filter(|seconds| *seconds < UNIX_SECONDS).and_then(bounded),
        Err(_) => units(text).and_then(bounded),
    }
}

/// Sums numbers with units, as Go prints a duration.
fn units(text: &str) -> Option<f64> {
    let (mut rest, mut seconds) = (text, 0.0);
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.').filter(|at| *at > 0)?;
        let (value, tail) = rest.split_at(number);
        let unit = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit);
        let scale = match unit {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        seconds += value.parse::<f64>().ok()? * scale;
        rest = tail;
    }
    (!text.is_empty()).then_some(seconds)
}

/// Reads an RFC 3339 or HTTP date or a Unix time, as the wait until then; none when it has passed.
pub(super) fn instant(text: &str, now: SystemTime) -> Option<Duration> {
    let at = match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number >= UNIX_SECONDS => {
            let seconds = if number >= UNIX_MILLIS { number / 1e3 } else { number };
            UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(seconds).ok()?)?
        }
        Ok(_) => return None,
        Err(_) => {
            let zulu = text.strip_suffix("+00:00").map(|text| format!("{text}Z"));
            let rfc3339 = humantime::parse_rfc3339_weak(zulu.as_deref().unwrap_or(text));
            rfc3339.ok().or_else(|| httpdate::parse_http_date(text).ok())?
        }
    };
    Some(at.duration_since(now).unwrap_or_default().min(LONGEST))
}

/// Finds a wait that a message states in words: "Please try again in 6m0s", "retry after 6 seconds", "resets in ~30s".
pub(crate) fn wait_in(message: &str) -> Option<Duration> {
    const LEADS: [&str; 4] = ["try again in ", "retry after ", "retry in ", "resets in "];
    LEADS.into_iter().find_map(|lead| {
        let after = &message[message.find(lead)? + lead.len()..];
        let after = after.trim_start_matches(['~', ' ']);
        let mut words = after.split_whitespace();
        let first = words.next()?.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        let unit = words.next().unwrap_or_default();
        if let Ok(number) = first.parse::<f64>() {
            let scale = match unit {
                unit if unit.starts_with("milli") => 1e-3,
                unit if unit.starts_with("min") => 60.0,
                unit if unit.starts_with("hour") => 3_600.0,
                unit if unit.starts_with("day") => 86_400.0,
                unit if unit.starts_with("sec") => 1.0,
                _ => return None,
            };
            return bounded(number * scale);
        }
        units(first).and_then(bounded)
    })
}
