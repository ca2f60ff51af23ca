//! `[[providers.NAME.verdicts]]`: what answers of a provider mean, where the built-in tables read them otherwise.
//!
//! The built-in tables are written in the same form, so an operator can read them, and there is one reader for both.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::config::check::Check;
use crate::config::units::Span;
use crate::core::verdict::{Again, Basis, Matter, REST, Scope, Verdict};
use crate::wording::nearest;

/// A verdict: the answers that it is about, and their meaning. All given conditions must hold; of a list, one item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct VerdictConfig {
    /// HTTP statuses, like 403, "520-527" or [401, 403]; default any.
    #[serde(skip_serializing_if = "Texts::is_empty")]
    pub status: Texts,
    /// Codes or types of the provider's error object, in any case; `*` at an end stands for anything. Default any.
    #[serde(skip_serializing_if = "Texts::is_empty")]
    pub code: Texts,
    /// How the provider's message begins, in any case; default anyhow.
    #[serde(skip_serializing_if = "Texts::is_empty")]
    pub begins: Texts,
    /// Text in the provider's message, in any case; quoted text does not count. Default anything.
    #[serde(skip_serializing_if = "Texts::is_empty")]
    pub contains: Texts,
    /// Whose matter it is (`request`, `tenant`, `model`, `route`, `account`, `key`), what it is about (`capacity`, `rate`,
    /// `quota`, `money`, `key`, `outage`, `fault`, `input`, `moderation`, `unknown`), or both: "account money".
    pub means: String,
    /// Whether the request may be sent again: `never`, `here` or `elsewhere`; default as the meaning has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub again: Option<String>,
    /// How long to stay away where the provider does not say; default 30s for an account's key, quota or money, else
    /// not at all. Written `for`.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub hold: Option<Span>,
}

/// A text or number, or a list of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Texts(pub Vec<String>);

impl Texts {
    /// Says whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn lower(&self) -> Vec<String> {
        self.0.iter().map(|text| text.to_lowercase()).collect()
    }
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Texts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a whole number, or a list of them")
            }

            fn visit_str<E>(self, text: &str) -> Result<Texts, E> {
                Ok(Texts(vec![text.to_owned()]))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Texts, E> {
                Ok(Texts(vec![number.to_string()]))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Texts, E> {
                Ok(Texts(vec![number.to_string()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Texts, A::Error> {
                let mut all = Texts::default();
                while let Some(Texts(one)) = list.next_element()? {
                    all.0.extend(one);
                }
                Ok(all)
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

impl Serialize for Texts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0[..] {
            [one] => serializer.serialize_str(one),
            all => serializer.collect_seq(all),
        }
    }
}

/// A verdict that was found valid: texts in lower case, statuses as ranges.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerdictRule {
    /// Ranges of statuses; none for any.
    pub statuses: Vec<RangeInclusive<u16>>,
    /// Codes; none for any.
    pub codes: Vec<String>,
    /// Beginnings of the message; none for any.
    pub begins: Vec<String>,
    /// Parts of the message; none for any.
    pub contains: Vec<String>,
    /// Meaning of such an answer.
    pub verdict: Verdict,
    /// How long to stay away where the provider does not say.
    pub hold: Option<Duration>,
}

impl VerdictRule {
    /// Reads a verdict.
    ///
    /// # Errors
    ///
    /// Pairs of a key and what is wrong with it, each with its remedy.
    pub(crate) fn read(raw: &VerdictConfig, basis: Basis) -> Result<Self, Vec<(&'static str, String)>> {
        let mut problems = Vec::new();
        let mut statuses = Vec::new();
        for text in &raw.status.0 {
            match range(text) {
                Some(range) => statuses.push(range),
                None => problems.push((
                    "status",
                    format!("{text:?} is no status; write it like 403, \"520-527\" or [401, 403], from 100 to 599"),
                )),
            }
        }
        for (key, texts) in [("code", &raw.code), ("begins", &raw.begins), ("contains", &raw.contains)] {
            if texts.0.iter().any(|text| text.trim_matches('*').trim().is_empty()) {
                problems
                    .push((key, "an empty text would match everything; leave it out, or say what to look for".into()));
            }
        }
        if [&raw.status, &raw.code, &raw.begins, &raw.contains].iter().all(|texts| texts.is_empty()) {
            problems.push(("status", "is missing, and so are code, begins and contains; give at least one".into()));
        }
        let verdict = means(&raw.means).unwrap_or_else(|problem| {
            problems.push(("means", problem));
            Verdict::new(Scope::Request, Matter::Unknown)
        });
        let again = raw.again.as_deref().map(|word| {
            let known = || Again::ALL.iter().copied().map(Again::as_str);
            Again::ALL.iter().copied().find(|again| again.as_str() == word).unwrap_or_else(|| {
                problems.push(("again", unknown(word, known())));
                Again::Never
            })
        });
        let hold = raw.hold.map(|span| span.0);
        if hold.is_some_and(|hold| hold.is_zero()) {
            problems.push(("for", "0s is out of range; give a time above zero, or leave it out".into()));
        }
        // Whoever says how long wants a hold, also where the meaning alone asks for none.
        let verdict = match (verdict.matter, hold) {
            (Matter::Unknown, Some(_)) => Verdict::new(verdict.scope, Matter::Quota),
            _ => verdict,
        };
        let verdict = Verdict { basis, again: again.unwrap_or(verdict.again), ..verdict };
        let hold = hold.or_else(|| verdict.suspends().then_some(REST));
        if !problems.is_empty() {
            return Err(problems);
        }
        let (codes, begins, contains) = (raw.code.lower(), raw.begins.lower(), raw.contains.lower());
        Ok(Self { statuses, codes, begins, contains, verdict, hold })
    }

    /// Says whether an answer is meant: its status, its codes in lower case, and its message likewise, without quotes.
    #[must_use]
    pub fn matches(&self, status: u16, codes: &[String], message: &str) -> bool {
        let any = |wanted: &[String], holds: &dyn Fn(&str) -> bool| {
            wanted.is_empty() || wanted.iter().any(|text| holds(text))
        };
        (self.statuses.is_empty() || self.statuses.iter().any(|range| range.contains(&status)))
            && any(&self.codes, &|wanted| codes.iter().any(|code| fits(wanted, code)))
            && any(&self.begins, &|wanted| message.starts_with(wanted))
            && any(&self.contains, &|wanted| message.contains(wanted))
    }
}

/// Compares a code with a pattern that may have a `*` at its ends.
fn fits(pattern: &str, code: &str) -> bool {
    let core = pattern.trim_matches('*');
    match (pattern.starts_with('*'), pattern.ends_with('*')) {
        (false, false) => code == core,
        (true, false) => code.ends_with(core),
        (false, true) => code.starts_with(core),
        (true, true) => code.contains(core),
    }
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (100 <= first && first <= last && last <= 599).then_some(first..=last)
}

/// Reads a scope, a matter, or both.
fn means(text: &str) -> Result<Verdict, String> {
    let scope_of = |word: &str| Scope::ALL.iter().copied().find(|scope| scope.as_str() == word);
    let matter_of = |word: &str| Matter::ALL.iter().copied().find(|matter| matter.as_str() == word);
    let words: Vec<&str> = text.split_whitespace().collect();
    let known = || Scope::ALL.iter().copied().map(Scope::as_str).chain(Matter::ALL.iter().copied().map(Matter::as_str));
    match words[..] {
        [one] => match (scope_of(one), matter_of(one)) {
            // Both a scope and a matter: of the key, about the key.
            (_, Some(matter)) => Ok(Verdict::new(matter.usual_scope(), matter)),
            (Some(Scope::Account), None) => Ok(Verdict::new(Scope::Account, Matter::Quota)),
            (Some(Scope::Model), None) => Ok(Verdict::new(Scope::Model, Matter::Rate)),
            (Some(Scope::Route), None) => Ok(Verdict::new(Scope::Route, Matter::Fault)),
            (Some(scope), None) => Ok(Verdict::new(scope, Matter::Input)),
            (None, None) => Err(unknown(one, known())),
        },
        [first, second] => match (scope_of(first), matter_of(second)) {
            (Some(scope), Some(matter)) => Ok(Verdict::new(scope, matter)),
            (None, _) => Err(unknown(first, Scope::ALL.iter().copied().map(Scope::as_str))),
            (_, None) => Err(unknown(second, Matter::ALL.iter().copied().map(Matter::as_str))),
        },
        _ => Err(format!(
            "{text:?} is no meaning; write whose matter it is, what it is about, or both: \"account money\""
        )),
    }
}

fn unknown<'a>(word: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    let all = known.clone().collect::<Vec<_>>().join(", ");
    let hint = nearest(word, known).map_or(String::new(), |near| format!("; did you mean {near:?}?"));
    format!("{word:?} is not known here (known: {all}){hint}")
}

/// Checks the verdicts of one provider.
pub(super) fn rules(check: &mut Check, path: &str, raw: &[VerdictConfig]) -> Vec<VerdictRule> {
    let mut rules = Vec::new();
    for (index, raw) in raw.iter().enumerate() {
        match VerdictRule::read(raw, Basis::Configured) {
            Ok(rule) => rules.push(rule),
            Err(problems) => {
                for (key, problem) in problems {
                    check.problem(format!("{path}.verdicts[{index}].{key}"), problem);
                }
            }
        }
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> Result<VerdictRule, Vec<(&'static str, String)>> {
        VerdictRule::read(&toml::from_str(text).expect("a table"), Basis::Configured)
    }

    #[test]
    fn a_rule_matches_by_all_that_it_says() {
        let rule = rule("status = [\"520-527\", 403]\ncode = \"Account*\"\ncontains = \"Locked\"\nmeans = \"account\"\nfor = \"10m\"")
            .expect("valid");
        let codes = ["accountoverdue".to_owned()];
        assert!(rule.matches(403, &codes, "user is locked.") && rule.matches(524, &codes, "locked"));
        assert!(!rule.matches(528, &codes, "locked") && !rule.matches(403, &[], "locked"));
        assert!(!rule.matches(403, &codes, "open"));
        assert_eq!(rule.hold, Some(Duration::from_secs(600)));
        assert_eq!((rule.verdict.scope, rule.verdict.suspends()), (Scope::Account, true));
    }

    #[test]
    fn meanings_are_scopes_matters_or_both() {
        for (means, scope, matter) in [
            ("money", Scope::Account, Matter::Money),
            ("key", Scope::Key, Matter::Key),
            ("request", Scope::Request, Matter::Input),
            ("model quota", Scope::Model, Matter::Quota),
        ] {
            let verdict = rule(&format!("status = 400\nmeans = {means:?}")).expect("valid").verdict;
            assert_eq!((verdict.scope, verdict.matter, verdict.basis), (scope, matter, Basis::Configured), "{means}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_remedy() {
        for (text, key, part) in [
            ("status = 99\nmeans = \"account\"", "status", "from 100 to 599"),
            ("status = \"5xx\"\nmeans = \"account\"", "status", "520-527"),
            ("means = \"account\"", "status", "give at least one"),
            ("status = 403\nmeans = \"acount\"", "means", "did you mean \"account\"?"),
            ("status = 403\nmeans = \"account monney\"", "means", "did you mean \"money\"?"),
            ("status = 403\nmeans = \"\"", "means", "account money"),
            ("status = 403\nmeans = \"account\"\nagain = \"maybe\"", "again", "elsewhere"),
            ("status = 403\nmeans = \"account\"\nfor = \"0s\"", "for", "above zero"),
            ("contains = \"\"\nmeans = \"account\"", "contains", "match everything"),
        ] {
            let problems = rule(text).expect_err(text);
            assert!(problems.iter().any(|(at, problem)| *at == key && problem.contains(part)), "{text}: {problems:?}");
        }
        assert!(toml::from_str::<VerdictConfig>("status = {}\nmeans = \"account\"").is_err());
    }
}
