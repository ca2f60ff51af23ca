//! Headers that go with every request to a provider: `[providers.NAME.headers]` and `user_agent`.

use std::collections::BTreeMap;
use std::fmt;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::config::check::Check;
use crate::config::secret::KeySource;

/// `User-Agent` of requests to providers, where the configuration names none.
pub const USER_AGENT: &str = concat!("fairflow/", env!("CARGO_PKG_VERSION"));

/// Headers that belong to one connection or one message, which are not the configuration's.
const OF_THE_MESSAGE: [&str; 16] = [
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];

/// The value of a header: as it is, or where it is found.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "must be a text, or { env = \"NAME\" }, { file = \"PATH\" } or { value = \"KEY\" }")]
#[non_exhaustive]
pub enum HeaderSource {
    /// The value itself.
    Text(String),
    /// A secret one.
    Secret(KeySource),
}

impl fmt::Debug for HeaderSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("[redacted]"),
            Self::Secret(source) => source.fmt(f),
        }
    }
}

/// A header as it is sent.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HeaderSetting {
    /// In small letters.
    pub name: String,
    /// Its value.
    pub value: SecretString,
    /// Whether nobody may see it.
    pub secret: bool,
}

/// Reads the headers of a provider, by name; `set_by_key` is the one that its API key fills.
pub(super) fn read(
    check: &mut Check,
    path: &str,
    raw: &BTreeMap<String, HeaderSource>,
    set_by_key: Option<&str>,
) -> Vec<HeaderSetting> {
    let mut read: BTreeMap<String, HeaderSetting> = BTreeMap::new();
    for (name, source) in raw {
        let path = format!("{path}.headers.{name:?}");
        let name = name.to_ascii_lowercase();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(plain) {
            check.problem(&path, "is no name of a header; use letters, digits and -");
        } else if name == "user-agent" {
            check.problem(&path, "is set by user_agent");
        } else if OF_THE_MESSAGE.contains(&name.as_str()) {
            check.problem(&path, "belongs to the connection or the message; leave it out");
        } else if set_by_key == Some(name.as_str()) {
            check.problem(&path, "is set by api_key; give one of the two");
        }
        let (value, secret) = match source {
            HeaderSource::Text(text) if can_be_sent(text) => (Some(SecretString::from(text.as_str())), false),
            HeaderSource::Text(_) => {
                check.problem(&path, "has characters that cannot stand in a header, or is empty");
                (None, false)
            }
            HeaderSource::Secret(source) => (check.key(&path, Some(source)), true),
        };
        let Some(value) = value else { continue };
        if read.insert(name.clone(), HeaderSetting { name, value, secret }).is_some() {
            check.problem(&path, "is there twice; the case of a header's name does not tell it from others");
        }
    }
    read.into_values().collect()
}

/// Reads `user_agent`.
pub(super) fn user_agent(check: &mut Check, path: &str, raw: Option<&str>) -> String {
    let given = raw.unwrap_or(USER_AGENT);
    if !can_be_sent(given) {
        check.problem(format!("{path}.user_agent"), "has characters that cannot stand in a header, or is empty");
    }
    given.to_owned()
}

fn can_be_sent(text: &str) -> bool {
    !text.trim().is_empty() && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn headers_of_a_provider_are_checked_and_their_values_stay_unsaid() {
        let told = |rest: &str| {
            let text = format!("[providers.p]\nkind = \"openai\"\nbase_url = \"http://h/v1\"\n{rest}");
            match Config::from_toml(&text).and_then(|config| config.validate()) {
                Ok(settings) => settings.effective().to_string(),
                Err(error) => error.to_string(),
            }
        };
        let good = "user_agent = \"mine/1\"\nheaders = { openai-organization = \"org-1\", \"X-Title\" = { value = \"hunter2\" } }";
        let shown = told(good);
        assert!(
            shown.contains("openai-organization") && shown.contains("x-title") && shown.contains("mine/1"),
            "{shown}"
        );
        for (rest, says) in [
            ("headers = { Connection = \"close\" }", "belongs to the connection"),
            ("headers = { Host = \"hunter2\" }", "belongs to the connection"),
            ("headers = { Content-Length = \"5\" }", "belongs to the connection"),
            ("headers = { User-Agent = \"x\" }", "is set by user_agent"),
            ("api_key = { value = \"k\" }\nheaders = { Authorization = \"hunter2\" }", "is set by api_key"),
            ("headers = { \"a b\" = \"x\" }", "is no name of a header"),
            ("headers = { a = \"hunter2\\n\" }", "cannot stand in a header"),
            ("headers = { a = { env = \"FAIRFLOW_NOT_SET\" } }", "FAIRFLOW_NOT_SET is not set"),
            ("headers = { a = { vallue = \"hunter2\" } }", "{ env ="),
            ("headers = { a = 5 }", "{ env ="),
            ("headers = { a = \"x\", A = \"y\" }", "is there twice"),
            ("user_agent = \"\"", "user_agent: has characters"),
        ] {
            let told = told(rest);
            assert!(told.contains(says) && !told.contains("hunter2"), "{rest}: {told}");
        }
        assert!(!shown.contains("hunter2") && !shown.contains("org-1"), "{shown}");
    }
}
