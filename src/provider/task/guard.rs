//! Where the key may go: a provider names the address to poll, and could name anybody's.

use reqwest::Url;

use crate::provider::{Failure, Outcome};
use crate::wording;

/// The origin of the base URL, and hosts trusted beside it.
#[derive(Debug)]
pub(crate) struct Guard {
    base: Url,
    /// In lower case; `*` stands for one label.
    hosts: Vec<String>,
}

impl Guard {
    /// Trusts `service`, the hosts of the service itself, only where the base URL is one of them: at another address
    /// the key is another's.
    ///
    /// # Errors
    ///
    /// A sentence, where the base URL is none.
    pub(crate) fn new(base_url: &str, service: &[&str], allowed: &[String]) -> Result<Self, String> {
        let base = Url::parse(base_url).map_err(|error| format!("{} is no URL: {error}", wording::shown(base_url)))?;
        let mut hosts = allowed.to_vec();
        if service.iter().any(|pattern| matches(pattern, base.host_str().unwrap_or_default())) {
            hosts.extend(service.iter().map(|host| (*host).to_owned()));
        }
        Ok(Self { base, hosts })
    }

    /// Lets an address pass that is the provider's own.
    ///
    /// # Errors
    ///
    /// A failure that names the host; the provider has taken the work by then.
    pub(crate) fn admit(&self, url: &str) -> Result<Url, Failure> {
        let refuse = |what: &str| {
            let message = format!("the provider's answer leads {what}, which gets no key; poll.hosts can allow a host");
            Failure { spent: true, ..Failure::new(Outcome::Overloaded, message) }
        };
        let url = Url::parse(url).map_err(|_| refuse("to no valid address"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refuse("to an address with a password"));
        }
        if url.origin() == self.base.origin() {
            return Ok(url);
        }
        let host = url.host_str().unwrap_or_default();
        // Never from https down to http.
        let scheme = url.scheme() == "https" || url.scheme() == self.base.scheme();
        if scheme && self.hosts.iter().any(|pattern| matches(pattern, host)) {
            return Ok(url);
        }
        Err(refuse(&format!("to the foreign host {host:?}")))
    }
}

fn matches(pattern: &str, host: &str) -> bool {
    let (mut labels, mut wanted) = (host.split('.'), pattern.split('.'));
    loop {
        match (labels.next(), wanted.next()) {
            (None, None) => return true,
            (Some(label), Some(want)) if want == "*" && !label.is_empty() || label == want => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_providers_own_hosts_get_the_key() {
        let guard = Guard::new("https://api.bfl.ai/v1", &["api.bfl.ai", "api.*.bfl.ai"], &[]).expect("valid");
        for (url, passes) in [
            ("https://api.bfl.ai/v1/get_result?id=1", true),
            ("https://api.us1.bfl.ai/v1/get_result?id=1", true),
            ("https://API.EU.BFL.AI/v1/get_result", true),
            ("http://api.us1.bfl.ai/v1/get_result", false),
            ("http://api.bfl.ai/v1/get_result", false),
            ("https://api.bfl.ai.evil.example/", false),
            ("https://api.a.b.bfl.ai/", false),
            ("https://evil.example/?api.bfl.ai", false),
            ("https://api.bfl.ai@evil.example/", false),
            ("https://key@api.bfl.ai/", false),
            ("https://169.254.169.254/latest", false),
            ("file:///etc/passwd", false),
            ("/v1/get_result", false),
            ("", false),
        ] {
            assert_eq!(guard.admit(url).is_ok(), passes, "{url}");
        }
    }

    #[test]
    fn another_port_of_the_same_host_is_foreign() {
        let guard = Guard::new("http://127.0.0.1:9000", &["api.*.bfl.ai"], &[]).expect("valid");
        assert!(guard.admit("https://api.us1.bfl.ai/").is_err(), "the key is another service's");
        assert!(guard.admit("http://127.0.0.1:9000/x").is_ok());
        let refused = guard.admit("http://127.0.0.1:9001/x").expect_err("another server");
        assert!(refused.spent && refused.message.contains("127.0.0.1"), "{refused:?}");
    }
}
