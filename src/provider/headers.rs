//! Response headers that tell of rates: what is left of each limit, and how long to stay away.
//!
//! | family | headers | reset |
//! |---|---|---|
//! | OpenAI, Groq and kin | `x-ratelimit-{limit,remaining,reset}-{requests,tokens,project-tokens,images}` | until full: `6m0s`, `20ms`, seconds |
//! | Anthropic | `anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-{limit,remaining,reset}` | RFC 3339, when full |
//! | Azure OpenAI | `x-ratelimit-remaining-*`, `x-ratelimit-reset-*`, `retry-after-ms`, `x-ms-retry-after-ms` | seconds |
//! | Mistral, Cerebras | `x-ratelimit-{limit,remaining,reset}-{req,requests,tokens}-{second,minute,hour,day,week,month}` | end of the window that the name says |
//! | draft-ietf-httpapi-ratelimit-headers-08 on | `RateLimit: "p";r=50;t=30`, `RateLimit-Policy: "p";q=100;w=60` | seconds, end of a window |
//! | the same up to -07 | `RateLimit-{Limit,Remaining,Reset}`, `RateLimit: limit=…, remaining=…, reset=…` | seconds, end of a window |
//! | generic | `x-ratelimit-{limit,remaining,reset}`, `x-rate-limit-…` | end of a window: seconds, Unix seconds or milliseconds, a date |
//!
//! Short windows and long ones are kept apart: a day of which much is left says nothing of a minute. Where a response
//! speaks of one dimension and length several times, the one nearest to its end counts.

mod limits;
mod policy;
mod read;
mod span;
mod told;
mod words;

use std::time::{Duration, SystemTime};

use reqwest::header::HeaderMap;

use self::limits::hints_at;
pub(crate) use self::told::stated_wait;
use crate::core::pacer::RateHints;
use crate::task::Work;

/// The unit that a request uses beside requests: a limit on anything else is not its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Text and embeddings.
    Tokens,
    /// Images.
    Images,
    /// Something that no header counts.
    Other,
}

impl From<&Work> for Unit {
    fn from(work: &Work) -> Self {
        match work {
            Work::Text(_) | Work::Embedding(_) => Self::Tokens,
            Work::Image(_) | Work::Upscale(_) => Self::Images,
            Work::Video(_) | Work::Audio(_) | Work::Raw(_) => Self::Other,
        }
    }
}

impl Unit {
    /// Returns of the hints those that concern a request of this unit.
    pub(super) fn of(self, hints: RateHints) -> RateHints {
        let (tokens, images) = (self == Self::Tokens, self == Self::Images);
        RateHints {
            tokens: hints.tokens.filter(|_| tokens),
            long_tokens: hints.long_tokens.filter(|_| tokens),
            images: hints.images.filter(|_| images),
            ..hints
        }
    }

    /// Removes the headers of limits that do not concern a request of this unit.
    pub(super) fn strip(self, headers: &mut HeaderMap) {
        let foreign = |name: &str| {
            let (tokens, images) = (name.contains("token"), name.contains("image"));
            name.contains("ratelimit") && (tokens && self != Self::Tokens || images && self != Self::Images)
        };
        let names: Vec<_> = headers.keys().filter(|name| foreign(name.as_str())).cloned().collect();
        for name in names {
            headers.remove(name);
        }
    }
}

/// Reads how long the provider said to stay away: `retry-after` and its kin, whatever the status.
#[cfg_attr(not(any(feature = "runware", feature = "task")), allow(dead_code))]
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    told::retry_after_at(headers, SystemTime::now())
}

/// Reads what is left of each limit.
pub(super) fn hints(headers: &HeaderMap) -> RateHints {
    hints_at(headers, SystemTime::now())
}

#[cfg(test)]
mod tests;
