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

/// Refuses a request whose headers hold a key that is none, before any of its body is read.
///
/// # Errors
///
/// A refusal; nothing where there is no key at all, for it may be in the body.
pub(in crate::gateway) fn glance(request: &HttpRequest, settings: &Settings) -> Result<(), Refusal> {
    match key_of(request) {
        Some(_) => find(request, settings, None).map(drop),
        None => Ok(()),
    }
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
        let tenant = tenant(request, settings, key)?;
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
