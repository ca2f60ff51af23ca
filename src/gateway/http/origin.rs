//! Keeps other web pages from using a port through the browser of somebody who may.
//!
//! Two ways lead there. A page elsewhere can send a request without reading the answer (cross-site request forgery), or
//! open a socket and read: browsers say where it comes from. And a name of its own can be made to point to this address
//! (DNS rebinding): then it is its own origin, but the name shows in `host`. What no browser sends is not concerned.

use std::net::IpAddr;

use actix_web::HttpRequest;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, Uri, header};

use super::names;
use super::refusal::Refusal;
use crate::config::{AuthMode, ServerConfig};

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Checks a request to the admin port; `keyed` says whether it takes a key, which other pages do not have.
///
/// # Errors
///
/// A refusal where another page sent it, or may have.
pub(in crate::gateway) fn check(request: &HttpRequest, keyed: bool) -> Result<(), Refusal> {
    let host = text(request.headers(), header::HOST);
    if !keyed && !host.is_none_or(is_local) {
        return Err(Refusal::foreign(
            "`host` is a name that may lead anywhere; use localhost or an address, or set `[server] admin_key`",
        ));
    }
    if !is_order(request) || same_origin(request.headers(), host) {
        return Ok(());
    }
    Err(Refusal::foreign(
        "another web page sent this; orders are taken from the dashboard's own page, or from no browser",
    ))
}

/// The pages that may use the public port: its own, where it takes no key, and those that `[server] cors` names.
#[derive(Debug)]
pub(in crate::gateway) struct Pages {
    keyed: bool,
    origins: Vec<String>,
}

impl Pages {
    pub(in crate::gateway) fn new(server: &ServerConfig) -> Self {
        Self { keyed: server.auth == AuthMode::Keys, origins: server.cors.origins.clone() }
    }

    /// Returns the origin of the page behind a request, where it is one that is named.
    pub(in crate::gateway) fn named<'a>(&self, headers: &'a HeaderMap) -> Option<&'a HeaderValue> {
        let origin = headers.get(header::ORIGIN)?;
        let is_it = |named: &String| named == "*" || named.as_bytes() == origin.as_bytes();
        self.origins.iter().any(is_it).then_some(origin)
    }

    /// Checks a request to the public port.
    ///
    /// # Errors
    ///
    /// A refusal where the port takes no key and another page sent it, or may have.
    pub(in crate::gateway) fn check(&self, request: &HttpRequest) -> Result<(), Refusal> {
        // A key is what other pages do not have. Monitors name hosts as they like, and learn nothing.
        if self.keyed || request.path().starts_with("/health/") {
            return Ok(());
        }
        let headers = request.headers();
        let host = text(headers, header::HOST);
        let is_named = |host: &str| self.origins.iter().any(|origin| authority(origin) == Some(host));
        if !host.is_none_or(|host| is_local(host) || is_named(host)) {
            return Err(Refusal::foreign(
                "`host` is a name that may lead anywhere, and no key is asked for here; use localhost or an address, \
                 name the page in `[server] cors`, or set `auth = \"keys\"`",
            ));
        }
        let reads = !is_order(request) && !headers.contains_key(header::UPGRADE);
        if reads || self.named(headers).is_some() || same_origin(headers, host) {
            return Ok(());
        }
        Err(Refusal::foreign(
            "another web page sent this, and no key is asked for here; name its origin in `[server] cors`, or set \
             `auth = \"keys\"`",
        ))
    }
}

fn is_order(request: &HttpRequest) -> bool {
    !matches!(*request.method(), Method::GET | Method::HEAD)
}

/// Returns the host and port of an origin.
fn authority(origin: &str) -> Option<&str> {
    origin.split_once("://").map(|(_, authority)| authority)
}

/// Says whether a `host` is an address or this machine's own name.
fn is_local(host: &str) -> bool {
    let Ok(authority) = host.parse::<Uri>() else { return false };
    let Some(name) = authority.host() else { return false };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    bare.parse::<IpAddr>().is_ok() || name == "localhost" || name.ends_with(".localhost")
}

/// Says whether the headers are those of a page of this very port, or of no browser.
fn same_origin(headers: &HeaderMap, host: Option<&str>) -> bool {
    let site = text(headers, names::SEC_FETCH_SITE).is_none_or(|site| matches!(site, "same-origin" | "none"));
    let origin = headers.get(header::ORIGIN).is_none_or(|origin| {
        let authority = origin.to_str().ok().and_then(authority);
        authority.is_some() && authority == host
    });
    site && origin
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn passes(method: Method, headers: &[(&'static str, &str)], keyed: bool) -> bool {
        let request = headers
            .iter()
            .fold(TestRequest::default().method(method), |request, header| request.insert_header(*header));
        check(&request.to_http_request(), keyed).is_ok()
    }

    #[test]
    fn names_that_may_lead_anywhere_are_refused_where_no_key_is_asked_for() {
        for host in ["127.0.0.1:8081", "[::1]:8081", "localhost", "localhost:8081", "a.localhost:1", "10.0.0.7"] {
            assert!(passes(Method::GET, &[("host", host)], false), "{host}");
        }
        for host in
            ["evil.example:8081", "localhost.evil.example", "127.0.0.1.evil.example", "evil@127.0.0.1.nip.io", ""]
        {
            assert!(!passes(Method::GET, &[("host", host)], false), "{host}");
        }
        assert!(passes(Method::GET, &[("host", "fairflow.internal")], true), "a key is asked for");
        assert!(passes(Method::POST, &[], false), "no browser leaves the host out");
    }

    /// Says whether the public port takes a request with these headers.
    fn takes(pages: &Pages, method: Method, path: &str, headers: &[(&'static str, &str)]) -> bool {
        let request = TestRequest::default().method(method).uri(path);
        let request = headers.iter().fold(request, |request, header| request.insert_header(*header));
        pages.check(&request.to_http_request()).is_ok()
    }

    #[test]
    fn the_public_port_is_used_by_its_own_pages_where_it_takes_no_key() {
        let origins = vec!["https://app.example".to_owned(), "http://localhost:5173".to_owned()];
        let pages = |keyed| Pages { keyed, origins: origins.clone() };
        let host = ("host", "127.0.0.1:8080");
        let socket = ("upgrade", "websocket");
        for (headers, get, post, upgraded) in [
            (&[host][..], true, true, true),
            (&[host, ("origin", "http://127.0.0.1:8080")], true, true, true),
            (&[host, ("origin", "http://evil.example")], true, false, false),
            (&[host, ("origin", "https://app.example.evil")], true, false, false),
            (&[host, ("origin", "null")], true, false, false),
            (&[host, ("sec-fetch-site", "cross-site")], true, false, false),
            (&[host, ("origin", "https://app.example"), ("sec-fetch-site", "cross-site")], true, true, true),
            (&[host, ("origin", "http://localhost:5173"), ("sec-fetch-site", "same-site")], true, true, true),
            (&[("host", "evil.example")], false, false, false),
            (&[("host", "app.example"), ("origin", "https://app.example")], true, true, true),
        ] {
            let open = pages(false);
            assert_eq!(takes(&open, Method::GET, "/v1/models", headers), get, "GET {headers:?}");
            assert_eq!(takes(&open, Method::POST, "/v1/chat/completions", headers), post, "POST {headers:?}");
            assert_eq!(takes(&open, Method::DELETE, "/v1/videos/x", headers), post, "DELETE {headers:?}");
            assert_eq!(takes(&open, Method::GET, "/v1", &[headers, &[socket]].concat()), upgraded, "GET {headers:?}");
            assert!(takes(&open, Method::GET, "/health/ready", headers), "{headers:?}");
            assert!(takes(&pages(true), Method::POST, "/v1/chat/completions", headers), "with a key: {headers:?}");
        }
    }

    #[test]
    fn orders_of_other_pages_are_refused() {
        let host = ("host", "127.0.0.1:8081");
        let own = ("origin", "http://127.0.0.1:8081");
        for (headers, passed) in [
            (vec![], true),
            (vec![own], true),
            (vec![own, ("sec-fetch-site", "same-origin")], true),
            (vec![("sec-fetch-site", "none")], true),
            (vec![("sec-fetch-site", "cross-site")], false),
            (vec![("sec-fetch-site", "same-site")], false),
            (vec![("origin", "http://127.0.0.1:9999")], false),
            (vec![("origin", "http://evil.example")], false),
            (vec![("origin", "null")], false),
        ] {
            let headers = [&headers[..], &[host]].concat();
            for keyed in [false, true] {
                assert_eq!(passes(Method::POST, &headers, keyed), passed, "{headers:?}");
            }
            assert!(passes(Method::GET, &headers, false), "what is read stays unread elsewhere: {headers:?}");
        }
    }
}
