//! Keeps what was learned, and what tenants have spent, over a restart, in the file that `server.state` names.

use std::io::{Error, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Fairflow;
use crate::clock::unix_time;
use crate::learned::Learned;

/// Time between two writes of the state: a crash costs what was learned and spent since.
const WRITE_EVERY: Duration = Duration::from_secs(30);

/// Oldest state that is taken up. An older state says more about another day than about this one: a provider's capacity, its competitors and the
/// account's tier have changed by then as likely as not.
const OLDEST: Duration = Duration::from_secs(24 * 3600);

/// The file: what was learned, and when it was written.
#[derive(Debug, Serialize, Deserialize)]
struct State {
    /// Seconds since 1970.
    written: u64,
    #[serde(flatten)]
    learned: Learned,
}

/// Reads what was learned; a file that is not there, cannot be read or is too old means a cold start.
pub(in crate::gateway) fn read(path: &Path) -> Learned {
    let bytes = match std::fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Learned::default(),
        read => read,
    };
    let learned = bytes.map_err(|error| error.to_string()).and_then(|bytes| understand(&bytes, unix_time()));
    learned.unwrap_or_else(|problem| {
        let path = path.display();
        tracing::warn!(
            "server.state {path} {problem}; windows and rates start cold, budgets full, and the file is replaced"
        );
        Learned::default()
    })
}

/// Reads a state of at most [`OLDEST`] at the second `now`, or says what is wrong with it.
fn understand(bytes: &[u8], now: u64) -> Result<Learned, String> {
    let mut state: State = serde_json::from_slice(bytes).map_err(|error| format!("cannot be understood: {error}"))?;
    let age = Duration::from_secs(now.saturating_sub(state.written));
    if age > OLDEST && !state.learned.models.is_empty() {
        let (age, oldest) = (hours(age), hours(OLDEST));
        tracing::warn!("server.state is {age} hours old, which is more than {oldest}; windows and rates start cold");
        state.learned.models.clear();
    }
    let routes = state.learned.models.values().flatten();
    if let Some(rate) = routes.filter_map(|route| route.rate).find(|rate| !rate.is_finite() || *rate <= 0.0) {
        return Err(format!("holds a rate of {rate}, which is none"));
    }
    match state.learned.prices.values().find(|price| !(0.0..=1e9).contains(*price)) {
        Some(price) => Err(format!("holds a price of {price}, which is none")),
        None => Ok(state.learned),
    }
}

/// Writes what was learned, whole or not at all.
pub(in crate::gateway) fn write(learned: Learned, path: &Path) {
    let state = State { written: unix_time(), learned };
    if let Err(error) = replace(path, &serde_json::to_vec_pretty(&state).unwrap_or_default()) {
        tracing::warn!("server.state {}: {error}; what was learned is not kept", path.display());
    }
}

fn hours(time: Duration) -> u64 {
    time.as_secs() / 3600
}

fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let mut file = std::fs::File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(beside, path)
}

/// Writes now and then, for ever.
pub(in crate::gateway) async fn keep(fairflow: Fairflow, path: PathBuf) {
    let mut ticks = tokio::time::interval(WRITE_EVERY);
    // The first tick is at once, when nothing is learned yet.
    ticks.tick().await;
    loop {
        ticks.tick().await;
        write(fairflow.learned(), &path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_used_is_told_in_words() {
        let state = |written: &str, route: &str| {
            format!(r#"{{"written": {written}, "models": {{"m": [{{"provider": "p", "model": "u", {route}}}]}}}}"#)
        };
        let day = OLDEST.as_secs();
        let tenants = r#"{"acme": {"first_day": 1, "day": 1, "day_micros": 5, "total_micros": 5, "requests": 1}}"#;
        let read = |text: &str| understand(text.as_bytes(), day + 100);
        let fine = read(&state("100", r#""window": 9, "rate": 2.5"#)).expect("a day old");
        assert_eq!((fine.models["m"][0].window, fine.models["m"][0].rate), (Some(9), Some(2.5)));
        let old = state("99", r#""window": 9"#).replace(r#""models""#, &format!(r#""tenants": {tenants}, "models""#));
        let old = read(&old).expect("too old");
        assert!(old.models.is_empty() && old.tenants.contains_key("acme"), "what was spent does not age");
        assert!(read(&state("99999999", r#""window": 9"#)).is_ok(), "the clock was set back");
        for (text, said) in [
            (state("100", r#""window": -1"#), "cannot be understood: invalid value"),
            (state("100", r#""rate": -1.0"#), "holds a rate of -1, which is none"),
            (r#"{"written": 100, "models": {}, "prices": {"m": -1}}"#.to_owned(), "holds a price of -1, which is none"),
            (state("\"today\"", r#""window": 9"#), "cannot be understood: invalid type"),
            (String::from(r#"{"models": {}}"#), "cannot be understood: missing field `written`"),
            (String::from("no json"), "cannot be understood: expected"),
            (String::new(), "cannot be understood: EOF"),
        ] {
            let problem = read(&text).expect_err(&text);
            assert!(problem.contains(said), "{text}: {problem}");
        }
    }
}
