//! Web pages of other origins: `[server] cors`.

use serde::{Deserialize, Serialize};

use super::check::Check;

/// `cors = { … }` of `[server]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct CorsConfig {
    /// Origins as browsers send them, like `"https://app.example"`; with `auth = "keys"` also `"*"`, for any.
    pub origins: Vec<String>,
}

impl CorsConfig {
    pub(super) fn is_empty(&self) -> bool {
        self.origins.is_empty()
    }

    /// Checks each origin; `has_keys` says that callers are told apart by keys, so that any page may ask.
    pub(super) fn check(&self, check: &mut Check, has_keys: bool) {
        for (index, origin) in self.origins.iter().enumerate() {
            let any = origin == "*" && has_keys;
            if !any && !is_origin(origin) {
                let remedy = "write it as browsers do, like \"https://app.example\", or with auth = \"keys\" \"*\"";
                check.problem(format!("server.cors.origins[{index}]"), format!("{origin:?} is no origin; {remedy}"));
            }
        }
    }
}

/// Says whether a text is an origin as browsers send them: scheme, host and port, in small letters.
fn is_origin(origin: &str) -> bool {
    let small = |text: &str, more: &[u8]| {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || more.contains(&byte);
        !text.is_empty() && text.bytes().all(plain)
    };
    origin.split_once("://").is_some_and(|(scheme, host)| small(scheme, b"+-.") && small(host, b"-._:[]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_written_as_browsers_do() {
        let wrong = |origin: &str, has_keys| {
            let mut check = Check::default();
            CorsConfig { origins: vec![origin.to_owned()] }.check(&mut check, has_keys);
            !check.is_clean()
        };
        for good in ["https://app.example", "http://localhost:5173", "http://[::1]:8080", "vscode-file://vscode-app"] {
            assert!(!wrong(good, false) && !wrong(good, true), "{good}");
        }
        for bad in
            ["", "app.example", "https://app.example/", "https://App.example", "https://*.example", "null", "https://"]
        {
            assert!(wrong(bad, false) && wrong(bad, true), "{bad}");
        }
        assert!(wrong("*", false) && !wrong("*", true));
    }
}
