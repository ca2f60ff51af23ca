//! Forms in parts (`multipart/form-data`), read in place: the parts are slices of the body, so that a file is never copied.
//!
//! A library for forms streams the content of each part; forwarding needs slices of the body, and the place of the model's
//! name in it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use memchr::memmem;
use serde_json::{Map, Value};

use super::malformed::Malformed;

/// Most parts of a form.
const MOST_PARTS: usize = 64;
/// Longest boundary, as its standard says.
const LONGEST_BOUNDARY: usize = 70;

/// A form whose body is there as a whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Form {
    content_type: Box<str>,
    parts: Vec<Part>,
}

/// A part of a form.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// The field's name, without the `[]` or `[0]` of a list.
    pub name: String,
    /// Whether the part is a file, and not a text.
    pub file: bool,
    /// The part's content.
    pub bytes: Bytes,
    kind: Option<String>,
    /// Offset of `bytes` in the body.
    pub(super) at: usize,
    /// The part with its headers.
    whole: Bytes,
}

impl Part {
    /// Returns a file as a data URI, or the text.
    ///
    /// # Errors
    ///
    /// [`Malformed`] names a text that is none.
    pub fn text(&self) -> Result<String, Malformed> {
        if self.file {
            let kind = self.kind.as_deref().unwrap_or("application/octet-stream");
            return Ok(format!("data:{kind};base64,{}", STANDARD.encode(&self.bytes)));
        }
        let text = std::str::from_utf8(&self.bytes).map_err(|_| Malformed::new(self.name.clone(), "is no text"))?;
        Ok(text.to_owned())
    }
}

impl Form {
    /// Reads a body; `None` where its `content-type` says that it is no form.
    ///
    /// # Errors
    ///
    /// [`Malformed`] where the body is not what its `content-type` says.
    pub fn parse(content_type: &str, body: &Bytes) -> Result<Option<Self>, Malformed> {
        let Some((kind, parameters)) = content_type.split_once(';') else { return Ok(None) };
        if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
            return Ok(None);
        }
        let boundary =
            parameter(parameters, "boundary").filter(|boundary| (1..=LONGEST_BOUNDARY).contains(&boundary.len()));
        let Some(boundary) = boundary else { return Ok(None) };
        let broken = |problem: &str| Malformed::new("body", format!("is no multipart/form-data: {problem}"));
        let dashes = format!("--{boundary}");
        let delimiter = format!("\r\n{dashes}");
        let finder = memmem::Finder::new(delimiter.as_bytes());
        let mut at = if body.starts_with(dashes.as_bytes()) {
            dashes.len()
        } else {
            finder.find(body).ok_or_else(|| broken("its boundary is missing"))? + delimiter.len()
        };
        let mut parts = Vec::new();
        loop {
            if body[at..].starts_with(b"--") {
                return Ok(Some(Self { content_type: content_type.into(), parts }));
            }
            at += memmem::find(&body[at..], b"\r\n").ok_or_else(|| broken("it is cut off"))? + 2;
            // The line end before a boundary belongs to the boundary; a part without headers begins with it.
            let length = finder.find(&body[at..]).ok_or_else(|| broken("it is cut off"))?;
            if parts.len() == MOST_PARTS {
                return Err(Malformed::new("body", format!("has more than {MOST_PARTS} parts")));
            }
            parts.push(part(body, at, at + length).ok_or_else(|| broken("a part has no name"))?);
            at += length + delimiter.len();
        }
    }

    /// Returns the `content-type` that the body came with.
    #[must_use]
    pub fn content_type(&self) -> &str {
        &self.content_type
    }

    /// Returns the parts in their order.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Returns the parts with their headers: what is the same in two bodies that differ in nothing but their boundary.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        self.parts.iter().map(|part| &part.whole[..])
    }

    /// Returns the texts and files by name, files as data URIs. A name that comes again makes a list.
    ///
    /// # Errors
    ///
    /// [`Malformed`] names a text that is none.
    pub fn fields(&self) -> Result<Map<String, Value>, Malformed> {
        let mut fields = Map::new();
        for part in &self.parts {
            let text = Value::from(part.text()?);
            match fields.get_mut(&part.name) {
                None => drop(fields.insert(part.name.clone(), text)),
                Some(Value::Array(list)) => list.push(text),
                Some(first) => *first = Value::Array(vec![first.take(), text]),
            }
        }
        Ok(fields)
    }
}

/// Reads one part; `None` where it does not say which field it is.
fn part(body: &Bytes, start: usize, end: usize) -> Option<Part> {
    let whole = &body[start..end];
    let length = memmem::find(whole, b"\r\n\r\n")?;
    // A file's name may be in any encoding; nobody here needs it.
    let headers = String::from_utf8_lossy(&whole[..length]);
    let header = |name: &str| {
        let mut lines = headers.split("\r\n").filter_map(|line| line.split_once(':'));
        lines.find(|(given, _)| given.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    };
    let (_, parameters) = header("content-disposition")?.split_once(';')?;
    let name = parameter(parameters, "name").filter(|name| !name.is_empty())?;
    let at = start + length + 4;
    Some(Part {
        name: without_index(&name).to_owned(),
        file: parameter(parameters, "filename").or_else(|| parameter(parameters, "filename*")).is_some(),
        bytes: body.slice(at..end),
        kind: header("content-type").filter(|kind| kind.is_ascii()).map(str::to_owned),
        at,
        whole: body.slice(start..end),
    })
}

/// Returns the name of a list's part without its place there: `image[]` and `image[0]` are of `image`.
fn without_index(name: &str) -> &str {
    let place = name.strip_suffix(']').and_then(|name| name.rsplit_once('['));
    place
        .filter(|(name, at)| !name.is_empty() && at.bytes().all(|byte| byte.is_ascii_digit()))
        .map_or(name, |(name, _)| name)
}

/// Returns a parameter of a header, without its quotes.
fn parameter(parameters: &str, name: &str) -> Option<String> {
    let mut rest = parameters;
    loop {
        let (given, after) = rest.split_once('=')?;
        let after = after.trim_start();
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => {
                let mut value = String::new();
                let mut characters = quoted.char_indices();
                let end = loop {
                    match characters.next()? {
                        (_, '\\') => value.push(characters.next()?.1),
                        (at, '"') => break at + 1,
                        (_, character) => value.push(character),
                    }
                };
                (value, &quoted[end..])
            }
            None => {
                let end = after.find(';').unwrap_or(after.len());
                (after[..end].trim().to_owned(), &after[end..])
            }
        };
        if given.trim_matches([' ', '\t', ';']).eq_ignore_ascii_case(name) {
            return Some(value);
        }
        rest = next;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const BODY: &[u8] = b"preamble\r\n--B\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\nm\r\n\
        --B \r\nContent-Disposition: form-data; name=\"image[]\"; filename=\"a\\\"; name=x.png\"\r\ncontent-type: image/png\r\n\r\nA\r\n--C\r\n\
        --B\r\ncontent-disposition: form-data; filename=b; name=image[]\r\n\r\n\r\n--B--\r\nepilogue";

    fn read(content_type: &str, body: &'static [u8]) -> Result<Option<Form>, Malformed> {
        Form::parse(content_type, &Bytes::from_static(body))
    }

    #[test]
    fn texts_and_files_are_read() {
        for content_type in ["multipart/form-data; boundary=B", "Multipart/Form-Data; charset=x; Boundary=\"B\""] {
            let form = read(content_type, BODY).expect("well-formed").expect("a form");
            let images = json!(["data:image/png;base64,QQ0KLS1D", "data:application/octet-stream;base64,"]);
            assert_eq!(Value::from(form.fields().expect("texts")), json!({"model": "m", "image": images}));
            assert_eq!(&BODY[form.parts()[0].at..][..1], b"m");
        }
    }

    #[test]
    fn what_is_no_form_is_said_to_be_none() {
        for content_type in ["application/json", "multipart/form-data", "multipart/mixed; boundary=B", ""] {
            assert_eq!(read(content_type, BODY), Ok(None), "{content_type}");
        }
        let kind = "multipart/form-data; boundary=B";
        for cut in [
            b"".as_slice(),
            b"--X",
            b"--B",
            b"--B\r\n",
            &BODY[..60],
            b"--B\r\n\r\n\r\n--B--",
            b"--B\r\nx: y\r\n\r\nz\r\n--B--",
        ] {
            assert!(read(kind, cut).is_err(), "{}", String::from_utf8_lossy(cut));
        }
        assert_eq!(read(kind, b"--B--").expect("well-formed").expect("a form").parts(), []);
    }

    #[test]
    fn too_many_parts_are_refused() {
        let part = "--B\r\ncontent-disposition: form-data; name=\"n\"\r\n\r\n1\r\n";
        let read = |count: usize| {
            Form::parse("multipart/form-data; boundary=B", &format!("{}--B--", part.repeat(count)).into())
        };
        assert_eq!(read(MOST_PARTS).expect("just enough").expect("a form").parts().len(), MOST_PARTS);
        assert!(read(MOST_PARTS + 1).is_err());
    }
}
