//! Keeps other web pages from using the admin port through an operator's browser.
//!
//! Two ways lead there. A page elsewhere can send a request without reading the answer (cross-site request forgery):
//! browsers say where it comes from. And a name of its own can be made to point to this address (DNS rebinding): then
//! it is its own origin, but the name shows in `host`. What no browser sends is not concerned.

use std::net::IpAddr;

use actix_web::HttpRequest;
use actix_web::http::header::HeaderMap;
use actix_web::http::{Method, Uri, header};

use super::refusal::Refusal;

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Checks a request to the admin port; `keyed` says whether it takes a key, which other pages do not have.
///
/// # Errors
///
/// A refusal where another page sent it, or may have.
pub(super) fn check(request: &HttpRequest, keyed: bool) -> Result<(), Refusal> {
    let host = text(request.headers(), header::HOST.as_str());
    if !keyed && !host.is_none_or(is_local) {
        return Err(Refusal::foreign(
            "`host` is a name that may lead anywhere; use localhost or an address, or set `[server] admin_key`",
        ));
    }
    if matches!(*request.method(), Method::GET | Method::HEAD) || same_origin(request.headers(), host) {
        return Ok(());
    }
    Err(Refusal::foreign(
        "another web page sent this; orders are taken from the dashboard's own page, or from no browser",
    ))
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
    let site = text(headers, "sec-fetch-site").is_none_or(|site| matches!(site, "same-origin" | "none"));
    let origin = headers.get(header::ORIGIN).is_none_or(|origin| {
        let authority = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
        authority.is_some_and(|(_, authority)| Some(authority) == host)
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
