//! Runware's result objects, read as typed products.

use serde_json::{Map, Value};

use crate::task::{
    Audio, AudioResult, Image, ImageResult, Product, RawResult, TextDelta, TextResult, Usage, Video, VideoResult, Work,
};
use crate::wire::event::piece_in;
use crate::wire::malformed::Malformed;

/// Returns what result objects say was used.
#[must_use]
pub fn usage(items: &[Map<String, Value>]) -> Usage {
    let told = items.iter().find_map(|item| item.get("usage")?.as_object()).map(Usage::from_json);
    let costs: Vec<f64> = items.iter().filter_map(|item| item.get("cost")?.as_f64()).collect();
    let dollars = (!costs.is_empty()).then(|| costs.iter().sum());
    Usage { dollars, ..told.unwrap_or_default() }
}

/// Reads result objects as the product of `work`.
#[must_use]
pub fn decode(work: &Work, items: Vec<Map<String, Value>>) -> Product {
    let usage = usage(&items);
    let text = |item: &Map<String, Value>, name: &str| item.get(name).and_then(Value::as_str).map(str::to_owned);
    match work {
        Work::Image(_) | Work::Upscale(_) => {
            let images = items.iter().map(|item| Image {
                id: text(item, "imageUUID"),
                url: text(item, "imageURL").or_else(|| text(item, "imageDataURI")),
                base64: text(item, "imageBase64Data"),
                seed: item.get("seed").and_then(Value::as_u64),
                nsfw: item.get("NSFWContent").and_then(Value::as_bool),
                url_lifetime: None,
            });
            Product::Image(ImageResult { images: images.collect(), usage })
        }
        Work::Text(_) => {
            let first = items.first();
            Product::Text(TextResult {
                text: first.and_then(|item| text(item, "text")).unwrap_or_default(),
                finish_reason: first.and_then(|item| text(item, "finishReason")),
                usage,
            })
        }
        Work::Video(_) => {
            let videos = items.iter().map(|item| Video {
                id: text(item, "videoUUID"),
                url: text(item, "videoURL"),
                seed: item.get("seed").and_then(Value::as_u64),
                url_lifetime: None,
            });
            Product::Video(VideoResult { videos: videos.collect(), usage })
        }
        Work::Audio(_) => {
            let audios = items.iter().map(|item| Audio {
                id: text(item, "audioUUID"),
                url: text(item, "audioURL").or_else(|| text(item, "audioDataURI")),
                base64: text(item, "audioBase64Data"),
                url_lifetime: None,
            });
            Product::Audio(AudioResult { audios: audios.collect(), usage })
        }
        Work::Embedding(_) | Work::Raw(_) => Product::Raw(RawResult { items, usage, ..RawResult::default() }),
    }
}

/// Reads one event of a streamed text inference; `None` for `[DONE]`.
///
/// # Errors
///
/// [`Malformed`] carries the provider's message where the event is an error.
pub fn decode_delta(event: &str) -> Result<Option<TextDelta>, Malformed> {
    let Some(event) = piece_in(event)? else { return Ok(None) };
    let text = event.pointer("/delta/text").and_then(Value::as_str).unwrap_or_default();
    Ok(Some(TextDelta {
        text: text.to_owned(),
        finish_reason: event.get("finishReason").and_then(Value::as_str).map(str::to_owned),
        usage: event.get("usage").and_then(Value::as_object).map(Usage::from_json),
    }))
}
