//! Keys: where they come from, and never where they could be read.

use std::path::PathBuf;
use std::{fmt, io};

use secrecy::SecretString;
use serde::{Deserialize, Deserializer, Serialize};

/// Where a provider's key is found. Its value never shows in `Debug`, logs or the admin API.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
#[non_exhaustive]
pub enum KeySource {
    /// An environment variable of that name.
    Env(String),
    /// The first line of a file.
    File(PathBuf),
    /// The key itself; better kept out of config files.
    #[serde(serialize_with = "redacted")]
    Value(String),
}

/// Word that is written in place of a key.
const REDACTED: &str = "[redacted]";

fn redacted<S: serde::Serializer>(_: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(REDACTED)
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Value(_) => write!(f, "[redacted]"),
        }
    }
}

/// A key that cannot be read: names the variable or file, never the key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The environment has no such variable, or it is not text.
    #[error("environment variable {0} is not set")]
    Unset(String),
    /// The file cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
    /// The key is the word that [`Config::to_toml`](super::Config::to_toml) writes in place of a key.
    #[error("the key was left out when this configuration was written; give it by env or file")]
    LeftOut,
    /// The key is empty.
    #[error("the key from {0:?} is empty")]
    Empty(KeySource),
    /// The key has control characters or characters beyond ASCII.
    #[error("the key from {0:?} has characters that cannot stand in a header")]
    Unsendable(KeySource),
}

impl KeySource {
    /// Reads the key.
    ///
    /// # Errors
    ///
    /// [`KeyError`]
    pub fn read(&self) -> Result<SecretString, KeyError> {
        let key = match self {
            Self::Env(name) => std::env::var(name).map_err(|_| KeyError::Unset(name.clone()))?,
            Self::File(path) => std::fs::read_to_string(path)
                .map(|text| text.lines().next().unwrap_or_default().to_owned())
                .map_err(|source| KeyError::Unreadable { path: path.clone(), source })?,
            Self::Value(key) => key.clone(),
        };
        let key = key.trim();
        if key == REDACTED {
            return Err(KeyError::LeftOut);
        }
        if key.is_empty() {
            return Err(KeyError::Empty(self.clone()));
        }
        if key.chars().any(|c| c.is_control() || !c.is_ascii()) {
            return Err(KeyError::Unsendable(self.clone()));
        }
        Ok(SecretString::from(key))
    }
}

/// SHA-256 of a tenant's key, as `fairflow hash-key` prints it: `sha256:` and 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash(pub [u8; 32]);

impl KeyHash {
    /// Hashes a key.
    #[cfg(feature = "gateway")]
    #[must_use]
    pub fn of(key: &str) -> Self {
        use sha2::{Digest, Sha256};
        Self(Sha256::digest(key.as_bytes()).into())
    }

    /// Parses `sha256:` and 64 hex digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let hex = text.strip_prefix("sha256:").filter(|hex| hex.len() == 64)?;
        // `from_str_radix` takes a sign for a digit.
        if !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:[redacted]")
    }
}

impl Serialize for KeyHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KeyHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        // The text may be a key pasted by mistake: it must not come back in the error.
        Self::parse(&text).ok_or_else(|| {
            serde::de::Error::custom("an API key here is written as sha256: and 64 hex digits; run `fairflow hash-key`")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_never_shows() {
        let source = KeySource::Value("sk-very-secret".into());
        assert!(!format!("{source:?}").contains("secret"));
        assert!(!serde_json::to_string(&source).expect("serialises").contains("secret"));
        let error = KeySource::Value("se\ncret".into()).read().expect_err("a line break");
        assert!(!format!("{error} {error:?}").contains("cret"), "{error}");
    }

    #[cfg(feature = "gateway")]
    #[test]
    fn hashes_are_printed_as_they_are_read() {
        let hash = KeyHash::of("abc");
        let text = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash.to_string(), text);
        assert_eq!(KeyHash::parse(text), Some(hash));
        let signs = "+1".repeat(32);
        for bad in ["zz", &"g".repeat(64), &text[8..], &signs, &signs.replace('+', "-"), &signs.replace('+', " ")] {
            assert_eq!(KeyHash::parse(&format!("sha256:{bad}")), None, "{bad}");
        }
    }
}
