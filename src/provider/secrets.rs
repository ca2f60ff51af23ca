//! Our keys, cut out of all that providers say: an answer that repeats the key it was asked with shows it to a tenant.
//!
//! It stands where answers come in, so that nothing behind it (errors, streams, frames, logs, stories, webhooks) can hold
//! a key. A key is known as it is and as it may be written in JSON, in a URL and in base64, at whatever place there.

use std::fmt;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream::{BoxStream, unfold};
use secrecy::{ExposeSecret, SecretString};

use super::Failure;

/// The text that stands in place of a key.
const CUT: &[u8] = b"[redacted]";
/// Keys shorter than this are words that may stand anywhere; no service gives such.
const SHORTEST: usize = 8;

/// The keys of an account; nothing where it has none.
#[derive(Clone, Default)]
pub(super) struct Secrets(Option<Arc<Keys>>);

/// Keys in every form, looked for all at once.
struct Keys {
    forms: Vec<String>,
    finder: AhoCorasick,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Secrets").field(&self.0.as_ref().map_or(0, |keys| keys.forms.len())).finish()
    }
}

impl Secrets {
    /// Makes the finder of some keys.
    ///
    /// # Errors
    ///
    /// A sentence, when they are too long to be looked for.
    pub(super) fn new<'a>(keys: impl IntoIterator<Item = &'a SecretString>) -> Result<Self, String> {
        let mut forms: Vec<String> = keys.into_iter().flat_map(|key| forms(key.expose_secret())).collect();
        forms.sort();
        forms.dedup();
        // The longest: what is left of a key must not be taken for another.
        let finder = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&forms);
        let finder = finder.map_err(|_| "the keys are too long to be kept out of answers")?;
        Ok(Self((!forms.is_empty()).then(|| Arc::new(Keys { forms, finder }))))
    }

    /// Cuts all keys out; what holds none is not copied.
    pub(super) fn cut(&self, bytes: Bytes) -> Bytes {
        let Some(keys) = self.0.as_ref().filter(|keys| keys.finder.is_match(&bytes)) else { return bytes };
        let (mut clean, mut from) = (BytesMut::with_capacity(bytes.len()), 0);
        for found in keys.finder.find_iter(&bytes) {
            clean.extend_from_slice(&bytes[from..found.start()]);
            clean.extend_from_slice(CUT);
            from = found.end();
        }
        clean.extend_from_slice(&bytes[from..]);
        clean.freeze()
    }

    /// Cuts all keys out of a text.
    pub(super) fn cut_text(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.cut(Bytes::copy_from_slice(text.as_bytes()))).into_owned()
    }

    /// Cuts all keys out of a stream, also those that are split over chunks: the beginning of one is held back until
    /// what follows tells. The end of an event is never the beginning of a key.
    pub(super) fn cut_stream(
        &self,
        chunks: BoxStream<'static, Result<Bytes, Failure>>,
    ) -> BoxStream<'static, Result<Bytes, Failure>> {
        if self.0.is_none() {
            return chunks;
        }
        let begin = (self.clone(), chunks.fuse(), Bytes::new());
        unfold(begin, |(secrets, mut chunks, mut held)| async move {
            loop {
                match chunks.next().await {
                    Some(Ok(chunk)) => {
                        let whole = if held.is_empty() { chunk } else { Bytes::from([&held[..], &chunk].concat()) };
                        let mut clean = secrets.cut(whole);
                        held = clean.split_off(clean.len() - secrets.begun(&clean));
                        if !clean.is_empty() {
                            return Some((Ok(clean), (secrets, chunks, held)));
                        }
                    }
                    Some(Err(failure)) => return Some((Err(failure), (secrets, chunks, Bytes::new()))),
                    None if held.is_empty() => return None,
                    None => return Some((Ok(std::mem::take(&mut held)), (secrets, chunks, held))),
                }
            }
        })
        // Who looked for a first piece in vain asks for the rest all the same.
        .fuse()
        .boxed()
    }

    /// Returns how many bytes at the end may be the beginning of a key.
    fn begun(&self, bytes: &[u8]) -> usize {
        let begun = |form: &String| {
            let form = form.as_bytes();
            let most = (form.len() - 1).min(bytes.len());
            (1..=most).rev().find(|length| bytes.ends_with(&form[..*length])).unwrap_or(0)
        };
        self.0.iter().flat_map(|keys| &keys.forms).map(begun).max().unwrap_or(0)
    }
}

/// Returns the ways in which a key may be written.
fn forms(key: &str) -> Vec<String> {
    if key.len() < SHORTEST {
        return Vec::new();
    }
    let json = serde_json::Value::from(key).to_string();
    let json = json[1..json.len() - 1].to_owned();
    let percent = |write: fn(u8) -> String| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
        let write = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { write(byte) };
        key.bytes().map(write).collect::<String>()
    };
    let urls = [percent(|byte| format!("%{byte:02X}")), percent(|byte| format!("%{byte:02x}"))];
    let mut forms = vec![key.to_owned(), json.replace('/', "\\/"), json];
    forms.extend(urls);
    // A key within something longer begins at any of three places in a group; the letters at its ends depend on what
    // stands beside it.
    for before in 0..3 {
        let bytes = [&[0; 2][..before], key.as_bytes()].concat();
        let from = [0, 2, 3][before];
        let unsure = usize::from(bytes.len() % 3 != 0);
        for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
            let written = engine.encode(&bytes);
            forms.push(written[from..written.len() - unsure].to_owned());
        }
    }
    forms.sort();
    forms.dedup();
    forms
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;
    use futures_util::stream::iter;

    use super::*;

    const KEY: &str = "sk-ours/0123+456789abcdef";

    fn secrets() -> Secrets {
        Secrets::new([
            &SecretString::from(KEY),
            &SecretString::from("another-key-of-ours"),
            &SecretString::from("short"),
        ])
        .expect("keys")
    }

    #[test]
    fn a_key_is_found_in_every_form() {
        let url = "sk-ours%2F0123%2B456789abcdef";
        let mut said = vec![
            format!("Incorrect API key provided: {KEY}."),
            format!("{KEY}{KEY}"),
            format!("GET /v1?key={url} and {}", url.to_lowercase()),
            serde_json::json!({"error": {"message": KEY}}).to_string(),
            r"sk-ours\/0123+456789abcdef".to_owned(),
            "another-key-of-ours".to_owned(),
        ];
        for before in ["", "B", "Be", "Bearer ", "user:"] {
            for after in ["", "x", "xy", " and more"] {
                let text = format!("{before}{KEY}{after}");
                said.extend([STANDARD.encode(&text), URL_SAFE_NO_PAD.encode(&text)]);
            }
        }
        for text in said {
            let clean = secrets().cut_text(&text);
            assert!(
                clean.contains("[redacted]") && !clean.contains("0123") && !clean.contains("key-of"),
                "{text}: {clean}"
            );
            assert!(!clean.contains(&STANDARD.encode("456789abc")), "{text}: {clean}");
        }
    }

    #[test]
    fn what_holds_none_is_passed_on_as_it_is() {
        let bytes = Bytes::from_static(b"a short answer about sk-ours");
        let clean = secrets().cut(bytes.clone());
        assert_eq!((clean.as_ptr(), clean.len()), (bytes.as_ptr(), bytes.len()), "not copied");
    }

    #[test]
    fn what_has_ended_may_be_asked_again() {
        let once = unfold(1, |left| async move { (left > 0).then(|| (Ok(Bytes::from_static(b"x")), left - 1)) });
        let mut clean = secrets().cut_stream(once.boxed());
        let mut next = || futures_util::FutureExt::now_or_never(clean.next()).expect("nothing to wait for");
        assert!(next().is_some());
        assert!((0..3).all(|_| next().is_none()));
    }

    #[test]
    fn a_key_that_is_split_over_chunks_is_found_and_nothing_else_waits() {
        let text = format!("data: {{\"error\": \"{KEY}\"}}\n\ndata: sk-our\n\ndata: {KEY}");
        for size in 1..text.len() {
            let chunks =
                iter(text.as_bytes().chunks(size).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect::<Vec<_>>());
            let clean = secrets().cut_stream(chunks.boxed()).map(|chunk| chunk.expect("no failure"));
            let clean = futures_util::FutureExt::now_or_never(clean.collect::<Vec<_>>()).expect("nothing to wait for");
            assert!(clean.iter().all(|chunk| !chunk.is_empty()));
            let clean = String::from_utf8(clean.concat()).expect("text");
            assert_eq!(
                clean, "data: {\"error\": \"[redacted]\"}\n\ndata: sk-our\n\ndata: [redacted]",
                "chunks of {size}"
            );
        }
        assert_eq!(secrets().begun(b"data: sk-our\n\n"), 0, "an event that is whole goes on at once");
    }
}
