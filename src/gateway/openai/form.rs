//! Fields of a body: JSON, or a form in parts whose files become data URIs.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::stream::once;
use serde_json::{Map, Value};

use crate::task::wire::Malformed;

/// Most parts of a form.
const MOST_PARTS: usize = 64;

/// Reads the fields of a body, texts and files alike, by name. A name that comes again makes a list.
///
/// # Errors
///
/// [`Malformed`] where the body is not what its `content-type` says.
pub(super) async fn fields(content_type: &str, body: Bytes) -> Result<Map<String, Value>, Malformed> {
    let Ok(boundary) = multer::parse_boundary(content_type) else {
        return serde_json::from_slice(&body)
            .map_err(|error| Malformed::new("body", format!("must be a JSON object or multipart/form-data: {error}")));
    };
    let broken = |error: multer::Error| Malformed::new("body", format!("is no multipart/form-data: {error}"));
    let body = once(std::future::ready(Ok::<_, std::convert::Infallible>(body)));
    let mut parts = multer::Multipart::new(body, boundary);
    let mut found: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for _ in 0..MOST_PARTS {
        let Some(part) = parts.next_field().await.map_err(broken)? else {
            let single = |mut values: Vec<Value>| if values.len() == 1 { values.remove(0) } else { values.into() };
            return Ok(found.into_iter().map(|(name, values)| (name, single(values))).collect());
        };
        let name = part.name().unwrap_or_default().trim_end_matches("[]").to_owned();
        let file = part.file_name().is_some();
        let kind = part.content_type().map(ToString::to_string);
        let bytes = part.bytes().await.map_err(broken)?;
        let value = if file {
            let kind = kind.unwrap_or_else(|| "application/octet-stream".to_owned());
            format!("data:{kind};base64,{}", STANDARD.encode(&bytes))
        } else {
            String::from_utf8(bytes.to_vec()).map_err(|_| Malformed::new(name.clone(), "is no text"))?
        };
        found.entry(name).or_default().push(value.into());
    }
    Err(Malformed::new("body", format!("has more than {MOST_PARTS} parts")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(content_type: &str, body: &[u8]) -> Result<Map<String, Value>, Malformed> {
        futures_util::FutureExt::now_or_never(fields(content_type, Bytes::copy_from_slice(body))).expect("all is there")
    }

    #[test]
    fn texts_and_files_are_read() {
        let body = b"--B\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\nm\r\n\
            --B\r\ncontent-disposition: form-data; name=\"image[]\"; filename=\"a.png\"\r\ncontent-type: image/png\r\n\r\nABC\r\n\
            --B\r\ncontent-disposition: form-data; name=\"image[]\"; filename=\"b\"\r\n\r\nD\r\n--B--\r\n";
        let found = read("multipart/form-data; boundary=B", body).expect("a form");
        let images = json!(["data:image/png;base64,QUJD", "data:application/octet-stream;base64,RA=="]);
        assert_eq!(Value::from(found), json!({"model": "m", "image": images}));
        assert_eq!(Value::from(read("application/json", b"{\"a\":1}").expect("JSON")), json!({"a": 1}));
        assert!(read("multipart/form-data; boundary=B", &body[..60]).is_err(), "cut off");
        assert!(read("text/plain", b"x").is_err());
    }

    proptest! {
        #[test]
        fn nothing_in_a_body_panics(body in proptest::collection::vec(any::<u8>(), 0..300), parts in any::<bool>()) {
            let body = if parts { [b"--B\r\ncontent-disposition: form-data; name=\"", &body[..], b"\r\n--B--"].concat() } else { body };
            for kind in ["multipart/form-data; boundary=B", "application/json", "multipart/form-data", ""] {
                drop(read(kind, &body));
            }
        }
    }
}
