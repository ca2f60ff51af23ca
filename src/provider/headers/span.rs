//! Waits as providers write them: numbers, durations, clocks and dates.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Longest wait believed, a month: quotas are renewed by then. What lies beyond (the year 9999, 1e300 seconds) is a
/// mistake, and no wait at all: read as a long one, it would close a model for weeks.
pub(super) const LONGEST: Duration = Duration::from_secs(31 * 86_400);
/// From here on (the year 2001) a number of seconds is a Unix time, not a wait.
const UNIX_SECONDS: f64 = 1e9;
/// And from here on a Unix time in milliseconds.
const UNIX_MILLIS: f64 = 1e12;

pub(super) fn bounded(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok().filter(|wait| *wait <= LONGEST)
}

/// Reads milliseconds.
pub(super) fn millis(text: &str) -> Option<Duration> {
    text.parse().ok().filter(|millis: &f64| millis.is_finite()).and_then(|millis| bounded(millis / 1e3))
}

/// Reads "12", "1.5", "6m0s", "20ms", "1h2m3.5s", "2 minutes", "PT4S", "00:01:30".
pub(super) fn span(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Some(seconds).filter(|seconds| *seconds < UNIX_SECONDS).and_then(bounded);
    }
    let text = text.to_ascii_lowercase();
    let text = text.strip_prefix("pt").unwrap_or(&text);
    match leading(text) {
        Some((seconds, rest)) if rest.trim().is_empty() => bounded(seconds),
        _ => None,
    }
}

/// Reads the duration at the beginning of a text in lower case, as far as it goes; returns seconds, and what follows.
/// Numbers with units are summed, as Go prints a duration ("1h2m3.5s") or people say it ("1 hour and 5 minutes").
pub(super) fn leading(text: &str) -> Option<(f64, &str)> {
    if let Some(found) = clock(text) {
        return Some(found);
    }
    let (mut rest, mut sum) = (text, None);
    while let Some((seconds, tail)) = part(rest.trim_start()) {
        sum = Some(sum.unwrap_or(0.0) + seconds);
        rest = tail;
        let next = rest.trim_start_matches([' ', ',']);
        let next = next.strip_prefix("and ").unwrap_or(next);
        if part(next).is_some() {
            rest = next;
        }
    }
    sum.map(|seconds| (seconds, rest))
}

/// Reads one number with its unit.
fn part(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').filter(|end| *end > 0)?;
    let (number, tail) = text.split_at(end);
    let tail = tail.trim_start_matches(' ');
    let (unit, rest) = tail.split_at(tail.find(|c: char| !c.is_alphabetic()).unwrap_or(tail.len()));
    let scale = match unit {
        "ns" => 1e-9,
        "us" | "µs" => 1e-6,
        "ms" | "msec" | "msecs" | "millis" | "millisecond" | "milliseconds" => 1e-3,
        "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3_600.0,
        "d" | "day" | "days" => 86_400.0,
        "w" | "week" | "weeks" => 604_800.0,
        _ => return None,
    };
    Some((number.parse::<f64>().ok()? * scale, rest))
}

/// Reads "hh:mm:ss", with days before a full stop, as .NET writes a span.
fn clock(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != ':' && c != '.').unwrap_or(text.len());
    let (clock, rest) = text.split_at(end);
    let mut parts = clock.trim_end_matches('.').split(':');
    let (first, minutes, seconds) = (parts.next()?, parts.next()?, parts.next()?);
    let (days, hours) = first.split_once('.').unwrap_or(("0", first));
    let number = |text: &str| text.parse::<f64>().ok();
    let seconds = number(days)? * 86_400.0 + number(hours)? * 3_600.0 + number(minutes)? * 60.0 + number(seconds)?;
    parts.next().is_none().then_some((seconds, rest))
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
    Some(at.duration_since(now).unwrap_or_default()).filter(|wait| *wait <= LONGEST)
}

/// Reads either of the two: how long to wait, or until when.
pub(super) fn wait(text: &str, now: SystemTime) -> Option<Duration> {
    span(text).or_else(|| instant(text, now))
}
