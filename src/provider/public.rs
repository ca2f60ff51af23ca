//! Where an address that somebody else names may lead, be it a webhook or a result: to public addresses over https, or to
//! hosts that the configuration names.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::Url;
use reqwest::dns::{Name, Resolve, Resolving};

/// Checks an address as far as it can be told without asking DNS.
///
/// # Errors
///
/// A problem with the address, to stand behind the name of the field.
pub(crate) fn check(url: &str, hosts: &[String]) -> Result<Url, String> {
    let url = Url::parse(url).map_err(|error| format!("is no address: {error}"))?;
    let Some(host) = url.host_str() else { return Err("names no host".to_owned()) };
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must hold no user or password".to_owned());
    }
    if hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(host)) && matches!(url.scheme(), "http" | "https") {
        return Ok(url);
    }
    if url.scheme() != "https" {
        return Err("must begin with https://".to_owned());
    }
    let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    if literal.is_ok_and(|address| !is_public(address)) || host.eq_ignore_ascii_case("localhost") {
        return Err(format!("must lead to a public address, not {host}"));
    }
    Ok(url)
}

/// Resolves names to public addresses only, each time anew, so that a name cannot be public first and private later.
#[derive(Debug)]
pub(crate) struct PublicOnly {
    /// Names whose addresses may be any.
    pub(crate) hosts: Vec<String>,
}

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        let trusted = self.hosts.iter().any(|host| host.eq_ignore_ascii_case(name.as_str()));
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let safe: Vec<SocketAddr> = found.filter(|address| trusted || is_public(address.ip())).collect();
            if safe.is_empty() {
                return Err(format!("{} has no public address", name.as_str()).into());
            }
            Ok(Box::new(safe.into_iter()) as reqwest::dns::Addrs)
        })
    }
}

/// Says whether an address is one of the open internet.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let reserved = a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (18..20).contains(&b));
    !(reserved
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || address.is_multicast())
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        // What stands for an IPv4 address is as public as that.
        [0, 0, 0, 0, 0, 0xffff | 0, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => embedded(high, low),
        [0x2002, high, low, ..] => embedded(high, low),
        // Teredo hides one; documentation and benchmarks lead nowhere.
        [0x2001, 0 | 2 | 0xdb8, ..] | [0x3fff, ..] => false,
        // All that is assigned to the open internet.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_over_https_pass() {
        let hosts = ["hooks.internal".to_owned(), "127.0.0.1".to_owned()];
        for (url, passes) in [
            ("https://example.com/hook?x=1", true),
            ("https://8.8.8.8/", true),
            ("http://example.com/", false),
            ("http://hooks.internal:8080/x", true),
            ("http://127.0.0.1:9/", true),
            ("ftp://hooks.internal/", false),
            ("https://127.0.0.2/", false),
            ("https://2130706433/", true),
            ("https://0x7f.2/", false),
            ("https://localhost/", false),
            ("https://10.1.2.3/", false),
            ("https://169.254.169.254/latest", false),
            ("https://[::1]/", false),
            ("https://[::ffff:10.0.0.1]/", false),
            ("https://[fe80::1]/", false),
            ("https://[fd00::1]/", false),
            ("https://[2606:4700::1111]/", true),
            ("https://user@example.com/", false),
            ("file:///etc/passwd", false),
            ("nonsense", false),
            ("", false),
        ] {
            assert_eq!(check(url, &hosts).is_ok(), passes, "{url}");
        }
        assert!(check("https://2130706433/", &[]).is_err(), "127.0.0.1 in another spelling");
    }

    #[test]
    fn private_ranges_are_not_public() {
        for address in [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "127.9.9.9",
            "169.254.0.1",
            "172.16.0.1",
            "192.0.0.8",
            "192.168.1.1",
            "198.18.0.1",
            "203.0.113.9",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001::1",
            "2001:db8::1",
            "fc00::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(address.parse().expect("an address")), "{address}");
        }
        for address in ["1.1.1.1", "100.128.0.1", "172.32.0.1", "2a00:1450::1", "64:ff9b::808:808"] {
            assert!(is_public(address.parse().expect("an address")), "{address}");
        }
    }

    #[tokio::test]
    async fn a_name_that_leads_home_does_not_resolve() {
        use std::str::FromStr;
        let name = || Name::from_str("localhost").expect("a name");
        assert!(PublicOnly { hosts: Vec::new() }.resolve(name()).await.is_err());
        assert!(PublicOnly { hosts: vec!["LOCALHOST".to_owned()] }.resolve(name()).await.is_ok());
    }
}
