//! The tables that say what providers' answers mean: one file of data per family, read by one matcher.
//!
//! Every account consults all of them, its own family's words being no one else's: what stands behind a proxy or speaks
//! another's form is understood all the same. An account's own `[[providers.NAME.verdicts]]` go before them. The first
//! rule that fits counts; where none does, the status speaks for itself ([`Verdict::of_status`]).

pub(super) mod overruled;
#[cfg(test)]
mod page;
pub(super) mod words;

use std::sync::LazyLock;

use serde::Deserialize;

use crate::config::{VerdictConfig, VerdictRule};
use crate::contract::words::Words;
use crate::core::verdict::{Basis, Matter, Scope, Verdict};

/// The families in the order in which they are asked: title, and table.
const FAMILIES: [(&str, &str); 11] = [
    ("In front of all: Cloudflare, load balancers", include_str!("front.toml")),
    // Before OpenAI: both say "You exceeded your current quota", and only here does it mean a minute.
    ("Gemini", include_str!("gemini.toml")),
    ("OpenAI and Azure", include_str!("openai.toml")),
    ("Anthropic", include_str!("anthropic.toml")),
    ("xAI, Groq, OpenRouter, Moonshot, Zhipu and other services of OpenAI's form", include_str!("compatible.toml")),
    ("Runware", include_str!("runware.toml")),
    ("Black Forest Labs", include_str!("bfl.toml")),
    ("fal", include_str!("fal.toml")),
    ("Replicate", include_str!("replicate.toml")),
    ("Volcengine Ark", include_str!("ark.toml")),
    ("All", include_str!("general.toml")),
];

/// A file of rules.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    rule: Vec<VerdictConfig>,
}

/// All tables, in the order of [`FAMILIES`]. A table that cannot be read is left out; a test sees to it that none is.
static TABLES: LazyLock<Vec<VerdictRule>> = LazyLock::new(|| {
    let tables = FAMILIES.iter().filter_map(|(_, text)| toml::from_str::<Table>(text).ok());
    tables.flat_map(|table| table.rule).filter_map(|rule| VerdictRule::read(&rule, Basis::Stated).ok()).collect()
});

/// Returns the first rule that fits what was said.
pub(super) fn find<'a>(rules: &'a [VerdictRule], said: &Words) -> Option<&'a VerdictRule> {
    if rules.is_empty() {
        return None;
    }
    let message = words::comparable(&said.message);
    rules.iter().find(|rule| rule.matches(said.status, &said.codes, &message))
}

/// Returns the first built-in rule that fits what was said.
pub(super) fn built_in(said: &Words) -> Option<&'static VerdictRule> {
    find(&TABLES, said)
}

/// Words what happened, for callers and logs. A provider's own words stand in it where they concern the request; those
/// about limits name the account and stay out.
pub(super) fn message(verdict: Verdict, said: &Words) -> String {
    let Words { status, message, .. } = said;
    let own = matches!(verdict.scope, Scope::Request | Scope::Tenant)
        || matches!(verdict.matter, Matter::Fault | Matter::Unknown | Matter::Outage);
    match (verdict.scope, verdict.matter) {
        (Scope::Account | Scope::Key, Matter::Key) if !verdict.suspects_account() => {
            format!("the provider refused the configured account (status {status})")
        }
        (Scope::Account, Matter::Quota | Matter::Money) if !verdict.suspects_account() => {
            format!("the account's quota or credit at the provider is used up (status {status})")
        }
        (Scope::Model, Matter::Quota) => format!("the model's quota at the provider is used up (status {status})"),
        _ if own && !message.is_empty() => format!("the provider answered {status}: {message}"),
        _ => format!("the provider answered {status}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_is_read_and_every_rule_is_valid() {
        let mut rules = 0;
        for (family, text) in FAMILIES {
            let table: Table = toml::from_str(text).unwrap_or_else(|error| panic!("{family}: {error}"));
            for rule in table.rule {
                rules += 1;
                VerdictRule::read(&rule, Basis::Stated).unwrap_or_else(|error| panic!("{family}: {rule:?}: {error:?}"));
            }
        }
        assert_eq!(TABLES.len(), rules);
        assert!(rules > 80, "{rules}");
    }

    #[test]
    fn what_may_quote_a_caller_holds_nobody_by_words_in_its_midst() {
        // Refusals of an input repeat it; a rule that stops others must know their codes, or how they begin.
        let echoes = |rule: &&VerdictRule| {
            let open = rule.statuses.is_empty();
            open || rule.statuses.iter().any(|range| [400, 404, 422].iter().any(|status| range.contains(status)))
        };
        for rule in TABLES.iter().filter(echoes).filter(|rule| rule.verdict.scope != Scope::Request) {
            assert!(!rule.codes.is_empty() || !rule.begins.is_empty(), "{rule:?}");
        }
    }
}
