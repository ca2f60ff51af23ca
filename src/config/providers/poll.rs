//! `poll = { … }`: how the state of a submitted generation is asked for.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::check::Check;
use crate::config::units::Span;

/// `poll = { … }`: how the state of a submitted generation is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct PollConfig {
    /// Wait before the first question; default 500ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial: Option<Span>,
    /// Longest wait between two questions that the provider did not ask for; default 5s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<Span>,
    /// Factor from each wait to the next, 1 to 10; default 1.5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub growth: Option<f64>,
    /// Most questions per second over the whole account; default 20.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_second: Option<f64>,
    /// Questions in a row that may fail before the generation is given up; default 8. A 429 does not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patience: Option<u32>,
    /// Hosts, beside the provider's own, to which its polling URLs may lead with the key, like "api.*.example.com".
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
}

/// How the state of a submitted generation is asked for.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PollSettings {
    /// Wait before the first question.
    pub initial: Duration,
    /// Longest wait that the provider did not ask for.
    pub max: Duration,
    /// Factor from each wait to the next, at least 1.
    pub growth: f64,
    /// Most questions per second over the account.
    pub per_second: f64,
    /// Questions in a row that may fail.
    pub patience: u32,
    /// Hosts, beside the provider's own, that may get the key.
    pub hosts: Vec<String>,
}

impl Default for PollSettings {
    fn default() -> Self {
        Self {
            initial: Duration::from_millis(500),
            max: Duration::from_secs(5),
            growth: 1.5,
            per_second: 20.0,
            patience: 8,
            hosts: Vec::new(),
        }
    }
}

pub(super) fn read(check: &mut Check, path: &str, raw: Option<&PollConfig>) -> PollSettings {
    let (raw, default) = (raw.cloned().unwrap_or_default(), PollSettings::default());
    let at = |key: &str| format!("{path}.{key}");
    let initial = check.span(&at("initial"), raw.initial, default.initial);
    let max = check.span(&at("max"), raw.max, default.max.max(initial));
    if initial > max {
        check.problem(at("initial"), format!("{initial:?} is above poll.max {max:?}"));
    }
    let growth = raw.growth.unwrap_or(default.growth);
    if !(1.0..=10.0).contains(&growth) {
        check.problem(at("growth"), format!("{growth} is out of range; give a number from 1 to 10"));
    }
    let per_second = raw.per_second.unwrap_or(default.per_second);
    if !(0.01..=10_000.0).contains(&per_second) {
        check.problem(at("per_second"), format!("{per_second} is out of range; give a number from 0.01 to 10000"));
    }
    for (index, host) in raw.hosts.iter().enumerate() {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-.*".contains(&byte);
        // A star as the last or only label but one would trust a whole top-level domain.
        let fixed = host.rsplit('.').take(2).filter(|label| !label.is_empty() && !label.contains('*')).count();
        if !host.bytes().all(plain) || fixed < 2 {
            let problem = format!("{host:?} is no host; write it like \"api.*.example.com\", without scheme and port");
            check.problem(format!("{path}.hosts[{index}]"), problem);
        }
    }
    PollSettings {
        initial,
        max,
        growth,
        per_second,
        patience: raw.patience.unwrap_or(default.patience),
        hosts: raw.hosts.iter().map(|host| host.to_ascii_lowercase()).collect(),
    }
}
