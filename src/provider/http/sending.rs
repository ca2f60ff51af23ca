//! A request on its way out, which can be written more than once: its body is a chain of slices and is not copied.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::vec::IntoIter;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Request;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use percent_encoding::percent_decode_str;
use reqwest::header::{ACCEPT, AUTHORIZATION, HOST, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};

use super::key::secret_header;
use crate::wire::Body;

/// A request to an address, without the headers that an account sends with each.
#[derive(Debug)]
pub(in crate::provider) struct Sending {
    method: Method,
    pub(super) url: Url,
    headers: HeaderMap,
    body: Body,
}

impl Sending {
    pub(super) fn new(method: Method, url: Url) -> Self {
        Self { method, url, headers: HeaderMap::with_capacity(16), body: Body::default() }
    }

    /// Adds a header; the account's own of that name then stays away.
    pub(in crate::provider) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// Puts a body under the request.
    pub(in crate::provider) fn body(self, body: Body) -> Self {
        Self { body, ..self }
    }

    /// Writes the request with an account's headers.
    ///
    /// # Errors
    ///
    /// A sentence, when the address cannot be asked over HTTP.
    pub(super) fn request(&self, own: &HeaderMap) -> Result<Request<Pieces>, String> {
        let wrong = |error: http::Error| format!("the provider's address cannot be asked: {error}");
        let mut headers = self.headers.clone();
        for (name, value) in own {
            headers.entry(name).or_insert_with(|| value.clone());
        }
        if let Some(login) = login(&self.url) {
            headers.insert(AUTHORIZATION, login);
        }
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        headers.entry(HOST).or_insert(host(&self.url).map_err(|error| wrong(error.into()))?);
        let target = match self.url.query() {
            None => self.url.path().to_owned(),
            Some(query) => format!("{}?{query}", self.url.path()),
        };
        let body = Pieces { left: self.body.len() as u64, rest: self.body.pieces().to_vec().into_iter() };
        let mut request = Request::builder().method(&self.method).uri(target).body(body).map_err(wrong)?;
        *request.headers_mut() = headers;
        Ok(request)
    }
}

/// Returns the host of an address, and its port where that is not the scheme's.
fn host(url: &Url) -> Result<HeaderValue, http::header::InvalidHeaderValue> {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        None => HeaderValue::from_str(host),
        Some(port) => HeaderValue::from_str(&format!("{host}:{port}")),
    }
}

/// Returns the header for the user and password that an address names; `None` where it names neither.
fn login(url: &Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let plain = |text| percent_decode_str(text).decode_utf8_lossy();
    let both = format!("{}:{}", plain(url.username()), plain(url.password().unwrap_or_default()));
    secret_header(&format!("Basic {}", STANDARD.encode(both))).ok()
}

/// Pieces of a body on their way out; their length is known.
#[derive(Debug)]
pub(super) struct Pieces {
    rest: IntoIter<Bytes>,
    /// Bytes of the pieces that are left.
    left: u64,
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = self.rest.next();
        self.left -= next.as_ref().map_or(0, |piece| piece.len() as u64);
        Poll::Ready(next.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_host_port_and_login() {
        for (url, target, named, login) in [
            ("https://h/v1?a=b", "/v1?a=b", "h", None),
            ("http://[::1]:8080", "/", "[::1]:8080", None),
            ("https://h:443/x%20y", "/x%20y", "h", None),
            ("http://me:p%40ss@h/v1", "/v1", "h", Some("Basic bWU6cEBzcw==")),
        ] {
            let sending = Sending::new(Method::POST, Url::parse(url).expect(url));
            let request = sending.request(&HeaderMap::new()).expect(url);
            assert_eq!(request.uri(), target);
            assert_eq!(request.headers()[HOST], named);
            assert_eq!(request.headers().get(AUTHORIZATION).map(|value| value.to_str().expect("text")), login, "{url}");
        }
    }

    #[test]
    fn a_header_of_the_request_goes_before_the_account_s() {
        let own = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("own"))]);
        let sending = Sending::new(Method::GET, Url::parse("http://h").expect("an address"));
        assert_eq!(sending.request(&own).expect("a request").headers()[ACCEPT], "own");
        let sending = sending.header(ACCEPT, HeaderValue::from_static("asked"));
        assert_eq!(sending.request(&own).expect("a request").headers().get_all(ACCEPT).iter().count(), 1);
        assert_eq!(sending.request(&own).expect("a request").headers()[ACCEPT], "asked");
    }
}
