//! Who is asking.

use std::sync::Arc;

use actix_web::HttpRequest;
use subtle::ConstantTimeEq;

use crate::config::{AuthMode, KeyHash, Settings};

/// Names longer than this are cut: they come from outside and are kept per tenant.
const LONGEST_TENANT: usize = 128;

fn header<'a>(request: &'a HttpRequest, name: &str) -> Option<&'a str> {
    request.headers().get(name).and_then(|value| value.to_str().ok()).filter(|text| !text.is_empty())
}

/// Returns the tenant of a request; `key` is one given in the body, which goes before the header.
///
/// # Errors
///
/// `()` where a key is needed and is missing or unknown.
pub(super) fn tenant(request: &HttpRequest, settings: &Settings, key: Option<&str>) -> Result<Arc<str>, ()> {
    let bearer = header(request, "authorization").and_then(|text| text.strip_prefix("Bearer "));
    let key = key.or(bearer).map(str::trim);
    match settings.server.auth {
        AuthMode::Open => {
            let named = header(request, "x-fairflow-tenant").map(|name| name.chars().take(LONGEST_TENANT).collect());
            // A key is never used as a name as it is: names show in metrics and capacity.
            let hashed = || key.map(|key| format!("key-{}", &KeyHash::of(key).to_string()[7..19]));
            Ok(named.or_else(hashed).unwrap_or_else(|| "default".to_owned()).into())
        }
        AuthMode::Keys => {
            let given = KeyHash::of(key.ok_or(())?);
            // The map finds a candidate by hash of the key's SHA-256; the comparison itself takes constant time.
            let found = settings.keys.get_key_value(&given).ok_or(())?;
            if bool::from(found.0.0.ct_eq(&given.0)) { Ok(found.1.clone()) } else { Err(()) }
        }
    }
}

/// Reads `x-fairflow-class` and `x-fairflow-max-wait`.
///
/// # Errors
///
/// The header's name and what it must be.
pub(super) fn wishes(
    request: &HttpRequest,
) -> Result<(Option<crate::Class>, Option<std::time::Duration>), crate::task::wire::Malformed> {
    use crate::task::wire::Malformed;
    let class = header(request, "x-fairflow-class")
        .map(|name| {
            crate::Class::parse(name)
                .ok_or_else(|| Malformed::new("x-fairflow-class", "must be interactive, standard or batch"))
        })
        .transpose()?;
    let wait = header(request, "x-fairflow-max-wait")
        .map(|text| {
            let wrong = || Malformed::new("x-fairflow-max-wait", "must be whole milliseconds above 0");
            text.parse::<u64>().ok().filter(|ms| *ms > 0).map(std::time::Duration::from_millis).ok_or_else(wrong)
        })
        .transpose()?;
    Ok((class, wait))
}
