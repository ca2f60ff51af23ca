//! Whole answers of OpenAI's endpoints, read as typed products.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::endpoint::Endpoint;
use super::pieces::text_of;
use crate::task::{EmbeddingResult, Image, ImageResult, Product, TextResult, Usage};
use crate::wire::malformed::Malformed;

/// Reads an endpoint's answer.
///
/// # Errors
///
/// [`Malformed`] names what is missing.
pub fn decode(endpoint: Endpoint, body: &[u8]) -> Result<Product, Malformed> {
    let body: Value =
        serde_json::from_slice(body).map_err(|error| Malformed::new("answer", format!("is not JSON: {error}")))?;
    let usage = body.get("usage").and_then(Value::as_object).map(Usage::from_json).unwrap_or_default();
    let items = |field: &str| {
        body.get(field).and_then(Value::as_array).ok_or_else(|| Malformed::new(field, "is missing from the answer"))
    };
    match endpoint {
        Endpoint::Responses => Err(Malformed::new("endpoint", "is not used toward providers that do not stream")),
        Endpoint::Chat => {
            let choices = items("choices")?;
            let choice = choices.first().ok_or_else(|| Malformed::new("choices", "is empty"))?;
            let message = choice.get("message").filter(|message| message.is_object());
            let message = message.ok_or_else(|| Malformed::new("choices[0].message", "is missing from the answer"))?;
            let text = message.get("content").map(text_of).unwrap_or_default();
            let finish_reason = choice.get("finish_reason").and_then(Value::as_str).map(str::to_owned);
            Ok(Product::Text(TextResult { text, finish_reason, usage }))
        }
        Endpoint::Images | Endpoint::Edits => {
            let text = |item: &Value, name: &str| item.get(name).and_then(Value::as_str).map(str::to_owned);
            let images: Vec<_> = items("data")?
                .iter()
                .map(|item| Image { url: text(item, "url"), base64: text(item, "b64_json"), ..Image::default() })
                .filter(|image| image.url.is_some() || image.base64.is_some())
                .collect();
            if images.is_empty() {
                return Err(Malformed::new("data", "holds no image"));
            }
            Ok(Product::Image(ImageResult { images, usage }))
        }
        Endpoint::Embeddings => {
            let vectors = items("data")?.iter().map(decode_vector).collect::<Result<_, _>>()?;
            Ok(Product::Embedding(EmbeddingResult { vectors, usage }))
        }
    }
}

fn decode_vector(item: &Value) -> Result<Vec<f32>, Malformed> {
    let wrong = || Malformed::new("data[].embedding", "is neither numbers nor base64 of little-endian f32");
    match item.get("embedding") {
        #[allow(clippy::cast_possible_truncation, reason = "embeddings are f32 by definition")]
        Some(Value::Array(numbers)) => numbers.iter().map(|n| n.as_f64().map(|n| n as f32).ok_or_else(wrong)).collect(),
        Some(Value::String(text)) => {
            let bytes = STANDARD.decode(text).map_err(|_| wrong())?;
            let words = bytes.chunks_exact(4);
            if !words.remainder().is_empty() {
                return Err(wrong());
            }
            Ok(words.map(|word| f32::from_le_bytes([word[0], word[1], word[2], word[3]])).collect())
        }
        _ => Err(wrong()),
    }
}
