//! Files among a service's results, whatever the fields are called that hold them.

use std::time::Duration;

use serde_json::Value;

use super::handle::State;
use crate::task::wire::Malformed;
use crate::task::{Audio, AudioResult, Image, ImageResult, Product, RawResult, Usage, Video, VideoResult, Work};

/// Collects addresses and data URIs: of a text, of a list, or of objects with a `url`.
fn urls(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(url) if ["http://", "https://", "data:"].iter().any(|scheme| url.starts_with(scheme)) => {
            found.push(url.clone());
        }
        Value::Array(items) => items.iter().for_each(|item| urls(item, found)),
        Value::Object(object) => {
            if let Some(url) = object.get("url") {
                urls(url, found);
            }
        }
        _ => {}
    }
}

/// Reads a result as the product of `work`, from the first of `fields` that holds a file, or from the whole.
///
/// # Errors
///
/// [`Malformed`] where there is no file.
pub(crate) fn done(
    work: &Work,
    answer: &Value,
    fields: &[&str],
    usage: Usage,
    url_lifetime: Option<Duration>,
) -> Result<State, Malformed> {
    if let Work::Raw(_) = work {
        let item = match answer {
            Value::Object(object) => object.clone(),
            other => [("output".to_owned(), other.clone())].into_iter().collect(),
        };
        return Ok(State::Done(Product::Raw(RawResult { items: vec![item], usage })));
    }
    let mut found = Vec::new();
    for place in fields.iter().filter_map(|field| answer.get(field)).chain([answer]) {
        if found.is_empty() {
            urls(place, &mut found);
        }
    }
    if found.is_empty() {
        return Err(Malformed::new("output", "holds no file"));
    }
    let seed = answer.get("seed").and_then(Value::as_u64);
    let found = found.into_iter().map(Some);
    Ok(State::Done(match work {
        Work::Video(_) => {
            let videos = found.map(|url| Video { url, seed, url_lifetime, ..Video::default() }).collect();
            Product::Video(VideoResult { videos, usage })
        }
        Work::Audio(_) => {
            let audios = found.map(|url| Audio { url, url_lifetime, ..Audio::default() }).collect();
            Product::Audio(AudioResult { audios, usage })
        }
        _ => {
            let images = found.map(|url| Image { url, seed, url_lifetime, ..Image::default() }).collect();
            Product::Image(ImageResult { images, usage })
        }
    }))
}
