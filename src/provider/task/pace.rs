//! When to ask again: each generation at its own growing interval, all of an account within one budget.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::HeaderMap;
use tokio::time::Instant;

use crate::config::PollSettings;
use crate::provider::headers::retry_after;

/// Longest wait that a provider can ask for between two questions.
const LONGEST: Duration = Duration::from_secs(60);
/// Shortest wait between two questions about one generation.
const SHORTEST: Duration = Duration::from_millis(10);

/// Returns how long the provider said to wait before the next question.
pub(crate) fn next_question(headers: &HeaderMap) -> Option<Duration> {
    let millis = headers.get("openai-poll-after-ms").and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
    millis.map(Duration::from_millis).or_else(|| retry_after(headers))
}

/// The waits between the questions about one generation.
#[derive(Debug)]
pub(crate) struct Pace {
    next: Duration,
    max: Duration,
    growth: f64,
}

impl Pace {
    pub(crate) fn new(settings: &PollSettings) -> Self {
        Self { next: settings.initial, max: settings.max, growth: settings.growth }
    }

    /// Returns the next wait: what the provider asked for, else the interval, which grows. `jitter`, from 0 to 1, moves
    /// it by up to a tenth either way, so that generations begun together are not asked for together.
    pub(crate) fn wait(&mut self, hint: Option<Duration>, jitter: f64) -> Duration {
        let wait = hint.map_or(self.next, |hint| hint.clamp(SHORTEST, LONGEST));
        self.next = self.next.mul_f64(self.growth).min(self.max);
        wait.mul_f64(0.9 + 0.2 * jitter.clamp(0.0, 1.0))
    }

    /// Asks half as often from now on: the provider has had too many questions.
    pub(crate) fn slow(&mut self) {
        self.next = (self.next * 2).min(LONGEST);
        self.max = (self.max * 2).min(LONGEST);
    }
}

/// The questions of an account, evenly spaced (the virtual scheduling form of GCRA, ITU-T I.371).
#[derive(Debug)]
pub(crate) struct Budget {
    gap: Duration,
    next: Mutex<Option<Instant>>,
}

impl Budget {
    pub(crate) fn new(per_second: f64) -> Self {
        Self { gap: Duration::from_secs_f64(1.0 / per_second), next: Mutex::new(None) }
    }

    /// Waits for a turn.
    #[allow(clippy::disallowed_methods, reason = "a provider is outside the engine")]
    pub(crate) async fn turn(&self) {
        let now = Instant::now();
        let turn = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let turn = next.map_or(now, |next| next.max(now));
            *next = Some(turn + self.gap);
            turn
        };
        if turn > now {
            tokio::time::sleep_until(turn).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(initial: u64, max: u64) -> PollSettings {
        let (initial, max) = (Duration::from_millis(initial), Duration::from_millis(max));
        PollSettings { initial, max, growth: 2.0, ..PollSettings::default() }
    }

    #[test]
    fn waits_grow_to_their_cap_and_hints_go_first() {
        let mut pace = Pace::new(&settings(100, 500));
        let waits: Vec<u128> = (0..5).map(|_| pace.wait(None, 0.5).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 500, 500]);
        assert_eq!(pace.wait(Some(Duration::from_secs(3)), 0.5).as_millis(), 3_000);
        assert_eq!(pace.wait(Some(Duration::from_secs(86_400)), 0.5), LONGEST);
        assert_eq!(pace.wait(Some(Duration::ZERO), 0.5), SHORTEST);
        assert_eq!(pace.wait(None, 0.0).as_millis(), 450, "jitter");
        pace.slow();
        assert_eq!(pace.wait(None, 0.5).as_millis(), 1_000);
    }

    #[tokio::test(start_paused = true)]
    #[allow(clippy::disallowed_methods, reason = "a test")]
    async fn an_account_asks_no_faster_than_its_budget() {
        let (budget, start) = (Budget::new(10.0), Instant::now());
        for _ in 0..11 {
            budget.turn().await;
        }
        assert_eq!(start.elapsed().as_millis(), 1_000);
    }
}
