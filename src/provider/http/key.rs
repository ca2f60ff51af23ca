//! Keys, as the headers that carry them.

use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

/// Writes a key as the header that carries it, marked as sensitive.
///
/// # Errors
///
/// A sentence, when the key cannot stand in a header.
pub(crate) fn bearer(key: &SecretString) -> Result<HeaderValue, String> {
    secret_header(&format!("Bearer {}", key.expose_secret()))
}

/// Writes a header that holds a key, marked as sensitive.
///
/// # Errors
///
/// A sentence, when the key cannot stand in a header.
pub(in crate::provider) fn secret_header(text: &str) -> Result<HeaderValue, String> {
    let mut value =
        HeaderValue::from_str(text).map_err(|_| "the key has characters that cannot stand in a header".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}
