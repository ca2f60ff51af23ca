//! The caller of a request: its tenant, its wishes, and where the request comes from.

use std::future::{Ready, ready};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header::{AUTHORIZATION, HeaderName};
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};
use subtle::ConstantTimeEq;

use super::refusal::Refusal;
use super::{names, request_span};
use crate::config::{AuthMode, KeyHash, Settings};
use crate::jobs::Key;
use crate::telemetry::Origin;
use crate::wire::Malformed;
use crate::{Class, Fairflow};

/// Longest name of a tenant, in characters, with `auth = "open"`; longer names are cut, for they come from outside.
const LONGEST_TENANT: usize = 128;

fn header<'a>(request: &'a HttpRequest, name: &HeaderName) -> Option<&'a str> {
    request.headers().get(name).and_then(|value| value.to_str().ok()).filter(|text| !text.is_empty())
}

/// Returns the key of a bearer; the scheme may be written in any case (RFC 9110 §11.1).
pub(in crate::gateway) fn bearer(request: &HttpRequest) -> Option<&str> {
    let (scheme, key) = header(request, &AUTHORIZATION)?.trim_start().split_once([' ', '\t'])?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim()).filter(|key| !key.is_empty())
}

/// Returns the key of a request's headers: a bearer, or where Azure's and Anthropic's clients put theirs.
fn key_of(request: &HttpRequest) -> Option<&str> {
    bearer(request).or_else(|| {
        [&names::API_KEY, &names::X_API_KEY].into_iter().find_map(|name| header(request, name)).map(str::trim)
    })
}

/// Returns the tenant of the key in a request's headers, before any of its body is read; `None` where they hold no key, for
/// it may be in the body.
///
/// # Errors
///
/// A refusal where the key is unknown.
pub(in crate::gateway) fn glance(request: &HttpRequest, settings: &Settings) -> Result<Option<Tenant>, Refusal> {
    key_of(request).map(|_| find(request, settings, None).map(Tenant)).transpose()
}

/// Returns the tenant of a request; `key` is one given in the body, which goes before the header.
///
/// # Errors
///
/// A refusal where a key is needed and is missing or unknown.
pub(in crate::gateway) fn tenant(
    request: &HttpRequest,
    settings: &Settings,
    key: Option<&str>,
) -> Result<Arc<str>, Refusal> {
    find(request, settings, key).inspect(request_span::note_tenant)
}

fn find(request: &HttpRequest, settings: &Settings, key: Option<&str>) -> Result<Arc<str>, Refusal> {
    let key = key.map(str::trim).or_else(|| key_of(request));
    match settings.server.auth {
        AuthMode::Open => {
            let named = tenant_named(request)?;
            // A key is never used as a name as it is: names show in metrics and capacity.
            let hashed = || {
                let KeyHash([a, b, c, d, e, f, ..]) = KeyHash::of(key?);
                Some(format!("key-{:012x}", u64::from_be_bytes([0, 0, a, b, c, d, e, f])))
            };
            Ok(named.or_else(hashed).unwrap_or_else(|| "default".to_owned()).into())
        }
        AuthMode::Keys => {
            let given = KeyHash::of(key.ok_or_else(Refusal::invalid_key)?);
            // The map finds a candidate by hash of the key's SHA-256; the comparison itself takes constant time.
            let found = settings.keys.get_key_value(&given).ok_or_else(Refusal::invalid_key)?;
            if bool::from(found.0.0.ct_eq(&given.0)) { Ok(found.1.clone()) } else { Err(Refusal::invalid_key()) }
        }
    }
}

/// Returns the tenant that a request names.
fn tenant_named(request: &HttpRequest) -> Result<Option<String>, Refusal> {
    let Some(value) = request.headers().get(names::TENANT).filter(|value| !value.is_empty()) else { return Ok(None) };
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) if !text.contains(char::is_control) => Ok(Some(text.chars().take(LONGEST_TENANT).collect())),
        _ => Err(Malformed::new(names::TENANT.as_str(), "must be UTF-8 without control characters").into()),
    }
}

/// The caller's wishes of the scheduler, beside the generation.
#[derive(Debug, Clone, Copy)]
pub(in crate::gateway) struct Wishes {
    pub(in crate::gateway) class: Option<Class>,
    pub(in crate::gateway) max_wait: Option<Duration>,
}

/// Reads `x-fairflow-class` and `x-fairflow-max-wait`.
///
/// # Errors
///
/// A refusal that names the header, its value, and what it must be.
pub(in crate::gateway) fn wishes(request: &HttpRequest) -> Result<Wishes, Refusal> {
    Ok(Wishes {
        class: wish(request, names::CLASS, "interactive, standard or batch", Class::parse)?,
        max_wait: wish(request, names::MAX_WAIT, "whole milliseconds above 0", |text| {
            text.parse().ok().filter(|ms| *ms > 0).map(Duration::from_millis)
        })?,
    })
}

fn wish<T>(
    request: &HttpRequest,
    name: HeaderName,
    is: &str,
    read: fn(&str) -> Option<T>,
) -> Result<Option<T>, Refusal> {
    let Some(value) = request.headers().get(&name).filter(|value| !value.is_empty()) else { return Ok(None) };
    let text = String::from_utf8_lossy(value.as_bytes());
    match read(text.trim()) {
        Some(wish) => Ok(Some(wish)),
        None => {
            let given: String = text.chars().take(40).collect();
            Err(Malformed::new(name.as_str(), format!("must be {is}, not {given:?}")).into())
        }
    }
}

/// The tenant that the headers of a request name.
#[derive(Debug, Clone)]
pub(in crate::gateway) struct Tenant(pub(in crate::gateway) Arc<str>);

impl Tenant {
    /// Returns the key under which the tenant keeps what has that name.
    pub(in crate::gateway) fn key(&self, name: &str) -> Key {
        (self.0.clone(), name.into())
    }
}

/// The caller of a generation.
#[derive(Debug, Clone)]
pub(in crate::gateway) struct Caller {
    pub(in crate::gateway) tenant: Arc<str>,
    pub(in crate::gateway) wishes: Wishes,
    pub(in crate::gateway) origin: Origin,
}

impl Caller {
    /// Reads the caller of a request; `key` is a key given in the body, which goes before the headers.
    ///
    /// # Errors
    ///
    /// A refusal where a key is needed and is missing or unknown, or where a header is none.
    pub(in crate::gateway) fn of(
        request: &HttpRequest,
        settings: &Settings,
        key: Option<&str>,
    ) -> Result<Self, Refusal> {
        Self::with(request, tenant(request, settings, key)?)
    }

    /// Reads the caller of a request at whose headers [`glance`] has looked; `key` is a key given in the body. The tenant
    /// that was found is the caller's, unless the body's key is another.
    ///
    /// # Errors
    ///
    /// As [`of`](Self::of).
    pub(in crate::gateway) fn after_glance(
        request: &HttpRequest,
        settings: &Settings,
        found: Option<Tenant>,
        key: Option<&str>,
    ) -> Result<Self, Refusal> {
        match found.filter(|_| key.is_none_or(|key| Some(key.trim()) == key_of(request))) {
            Some(Tenant(tenant)) => {
                request_span::note_tenant(&tenant);
                Self::with(request, tenant)
            }
            None => Self::of(request, settings, key),
        }
    }

    fn with(request: &HttpRequest, tenant: Arc<str>) -> Result<Self, Refusal> {
        Ok(Self { tenant, wishes: wishes(request)?, origin: request_span::origin(request) })
    }
}

fn settings(request: &HttpRequest) -> Result<Arc<Settings>, Refusal> {
    let fairflow = request.app_data::<Data<Fairflow>>();
    fairflow.map(|fairflow| fairflow.settings()).ok_or_else(|| Refusal::internal("the scheduler is not there"))
}

/// Looks at the headers alone, before any of the body is read.
impl FromRequest for Tenant {
    type Error = Refusal;
    type Future = Ready<Result<Self, Refusal>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(settings(request).and_then(|settings| Ok(Self(tenant(request, &settings, None)?))))
    }
}

/// Looks at the headers alone, before any of the body is read.
impl FromRequest for Caller {
    type Error = Refusal;
    type Future = Ready<Result<Self, Refusal>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(settings(request).and_then(|settings| Self::of(request, &settings, None)))
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;
    use crate::config::Config;

    /// Returns settings in which each key is of a tenant.
    fn keys(tenants: &[(&str, &str)]) -> Settings {
        let table = |(name, key): &(&str, &str)| format!("[tenants.{name}]\napi_keys = [\"{}\"]\n", KeyHash::of(key));
        let text = format!("[server]\nauth = \"keys\"\n{}", tenants.iter().map(table).collect::<String>());
        Config::from_toml(&text).expect("TOML").validate().expect("valid")
    }

    #[test]
    fn a_tenant_is_found_once_and_the_bodys_key_goes_before_the_headers() {
        let settings = keys(&[("acme", "one"), ("other", "two")]);
        let request = TestRequest::default().insert_header(("authorization", "Bearer one")).to_http_request();
        let found = glance(&request, &settings).expect("a known key");
        let caller = |settings: &Settings, key| {
            Caller::after_glance(&request, settings, found.clone(), key).map(|caller| caller.tenant.to_string())
        };
        let nobody = keys(&[("nobody", "unused")]);
        for same in [None, Some("one"), Some(" one ")] {
            assert_eq!(caller(&nobody, same).expect("found before"), "acme", "{same:?}");
        }
        assert_eq!(caller(&settings, Some("two")).expect("a known key"), "other");
        caller(&settings, Some("three")).expect_err("an unknown key in the body");
        caller(&settings, Some("")).expect_err("an empty key in the body");
    }

    #[test]
    fn a_key_may_be_in_the_body_alone() {
        let settings = keys(&[("acme", "one")]);
        let request = TestRequest::default().to_http_request();
        let found = glance(&request, &settings).expect("nothing to refuse");
        assert!(found.is_none());
        let caller = |key| Caller::after_glance(&request, &settings, None, key);
        assert_eq!(&*caller(Some("one")).expect("a known key").tenant, "acme");
        caller(None).expect_err("no key at all");
        let request = TestRequest::default().insert_header(("api-key", "two")).to_http_request();
        glance(&request, &settings).expect_err("an unknown key");
    }
}
