//! Steps that all formats of traces share: instants, the window cut out of a trace, the folding of tenants.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

use super::{Arrival, MAX_ARRIVALS, Options, TraceError};

/// Reads `2024-11-15 16:57:50.25`, with or without an offset, as nanoseconds since 1970 (UTC).
pub(super) fn instant(text: &str) -> Option<i128> {
    let stamp = match text.parse::<Timestamp>() {
        Ok(stamp) => stamp,
        Err(_) => TimeZone::UTC.to_timestamp(text.parse::<DateTime>().ok()?).ok()?,
    };
    Some(stamp.as_nanosecond())
}

/// Rows of a recorded trace with the instant of each.
pub(super) type Stamped = Vec<(i128, Arrival)>;

/// Refuses a trace that outgrows memory while it is read.
pub(super) fn check_size(count: usize, source: &str) -> Result<(), TraceError> {
    if count > MAX_ARRIVALS {
        return Err(TraceError::TooMany { path: source.to_owned(), expected: count as u64 });
    }
    Ok(())
}

/// Sorts recorded rows (those of one instant keep the file's order) and cuts the window out of them.
pub(super) fn window(mut rows: Stamped, source: &str, options: &Options) -> Result<Vec<Arrival>, TraceError> {
    rows.sort_by_key(|(at, _)| *at);
    let Some(first) = rows.first().map(|(at, _)| *at) else {
        return Err(TraceError::Empty { path: source.to_owned(), remedy: "there is a header and no row" });
    };
    let since = |at: i128| Duration::from_nanos(u64::try_from(at - first).unwrap_or(u64::MAX));
    let end = options.end().unwrap_or(Duration::MAX);
    let arrivals = rows
        .into_iter()
        .map(|(at, arrival)| Arrival { at: since(at), ..arrival })
        .skip_while(|arrival| arrival.at < options.start)
        .take_while(|arrival| arrival.at < end)
        .take(options.limit.unwrap_or(usize::MAX))
        .collect();
    rebase(arrivals, source)
}

/// Counts time from the first arrival.
pub(super) fn rebase(mut arrivals: Vec<Arrival>, source: &str) -> Result<Vec<Arrival>, TraceError> {
    let Some(first) = arrivals.first().map(|arrival| arrival.at) else {
        return Err(TraceError::Empty {
            path: source.to_owned(),
            remedy: "the window is empty, choose another start or a longer duration",
        });
    };
    for arrival in &mut arrivals {
        arrival.at = arrival.at.saturating_sub(first);
    }
    Ok(arrivals)
}

/// Keeps the `keep` tenants with most arrivals and folds the others into them, and says so.
///
/// Ranked by arrivals (ties by name), the tenant of rank `r` beyond `keep` becomes the one of rank `r mod keep`: the
/// load stays whole and the heavy stay heavier than the light.
pub(super) fn fold(arrivals: &mut [Arrival], keep: Option<usize>) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for arrival in arrivals.iter() {
        *counts.entry(&arrival.tenant).or_default() += 1;
    }
    let all = counts.len();
    let Some(keep) = keep.filter(|keep| *keep < all) else {
        return format!("All {all} tenants of the window are kept.");
    };
    let mut ranked: Vec<(&str, usize)> = counts.into_iter().collect();
    ranked.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    let names: Vec<String> = ranked.iter().map(|(name, _)| (*name).to_owned()).collect();
    let target: HashMap<String, usize> =
        names.iter().enumerate().skip(keep).map(|(rank, name)| (name.clone(), rank % keep)).collect();
    for arrival in arrivals {
        if let Some(name) = target.get(&arrival.tenant).and_then(|rank| names.get(*rank)) {
            arrival.tenant.clone_from(name);
        }
    }
    format!("Of {all} tenants the {keep} busiest are kept; one of a lower rank r joins that of rank r mod {keep}.")
}
