//! The body of a request for images.

use serde_json::{Map, Value};

use super::request::OpenAiRequest;
use crate::task::ImageInference;
use crate::wire::malformed::{Malformed, short};
use crate::wire::number::whole;
use crate::wire::size::Size;

/// The size of a picture of which none is given.
pub(super) const SQUARE: (u64, u64) = (1024, 1024);

pub(super) fn size_of(value: Option<&Value>) -> Result<Size, Malformed> {
    Size::of(value).ok_or_else(|| {
        let given = value.map_or_else(String::new, Value::to_string);
        let problem =
            format!("must be WIDTHxHEIGHT in pixels, a ratio as 16:9, 2K, 720p or auto, not {}", short(&given));
        Malformed::new("size", problem)
    })
}

/// Reads the body of a request for images.
pub(super) fn image(request: &OpenAiRequest, mut body: Map<String, Value>) -> Result<ImageInference, Malformed> {
    if request.stream {
        return Err(Malformed::new("stream", "must not be true: this model's provider sends images as a whole"));
    }
    let Size { pixels, ratio } = size_of(body.remove("size").as_ref())?;
    let (width, height) = pixels.unwrap_or(SQUARE);
    let prompt = body.remove("prompt").and_then(|prompt| prompt.as_str().map(str::to_owned));
    let prompt = prompt.ok_or_else(|| Malformed::new("prompt", "must be a string"))?;
    let count = body.remove("n").as_ref().and_then(whole).unwrap_or(1);
    if let Some((width, height)) = ratio {
        // Services that know ratios make the size of it that suits them.
        body.entry("aspect_ratio").or_insert_with(|| format!("{width}:{height}").into());
    }
    let task = ImageInference::new(request.model.clone(), prompt).size(width, height).count(count);
    Ok(ImageInference { extra: body, ..task })
}
