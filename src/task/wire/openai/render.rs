//! Products as OpenAI's endpoints answer.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::task::{Product, TextDelta, Usage};

/// What an answer is labelled with: the model the caller named, an id and the Unix second.
#[derive(Debug, Clone, Copy)]
pub struct Label<'a> {
    /// The model as the caller named it.
    pub model: &'a str,
    /// Id of the answer.
    pub id: &'a str,
    /// Unix time in seconds.
    pub created: u64,
}

/// Writes a product as OpenAI's endpoints answer.
#[must_use]
pub fn render(product: &Product, label: Label<'_>, base64: bool) -> Value {
    match product {
        Product::Text(result) => json!({
            "id": label.id, "object": "chat.completion", "created": label.created, "model": label.model,
            "choices": [{
                "index": 0, "logprobs": null,
                "message": {"role": "assistant", "content": result.text, "refusal": null},
                "finish_reason": result.finish_reason.as_deref().unwrap_or("stop"),
            }],
            "usage": usage(result.usage),
        }),
        Product::Image(result) => {
            let data: Vec<Value> = result
                .images
                .iter()
                .map(|image| match (&image.url, &image.base64) {
                    (Some(url), _) => json!({"url": url}),
                    (None, base64) => json!({"b64_json": base64}),
                })
                .collect();
            json!({"created": label.created, "data": data})
        }
        Product::Embedding(result) => {
            let data: Vec<Value> = result
                .vectors
                .iter()
                .enumerate()
                .map(|(index, vector)| {
                    let embedding: Value = if base64 {
                        STANDARD.encode(vector.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>()).into()
                    } else {
                        vector.iter().map(|x| Value::from(*x)).collect()
                    };
                    json!({"object": "embedding", "index": index, "embedding": embedding})
                })
                .collect();
            let tokens = result.usage.input_tokens.unwrap_or(0);
            let usage = json!({"prompt_tokens": tokens, "total_tokens": tokens});
            json!({"object": "list", "data": data, "model": label.model, "usage": usage})
        }
        Product::Video(result) => {
            let data: Vec<Value> = result.videos.iter().map(|video| json!({"url": video.url})).collect();
            json!({"created": label.created, "data": data})
        }
        Product::Audio(result) => {
            let data: Vec<Value> = result.audios.iter().map(|audio| json!({"url": audio.url})).collect();
            json!({"created": label.created, "data": data})
        }
        Product::Raw(result) => json!({"data": result.items}),
    }
}

fn usage(usage: Usage) -> Value {
    let (input, output) = (usage.input_tokens.unwrap_or(0), usage.output_tokens.unwrap_or(0));
    json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": input.saturating_add(output)})
}

/// Writes one piece of a streamed text as the payload of a server-sent event.
#[must_use]
pub fn render_delta(delta: &TextDelta, label: Label<'_>, include_usage: bool) -> Option<Value> {
    let mut choices = Vec::new();
    if !delta.text.is_empty() || delta.finish_reason.is_some() {
        let content =
            if delta.text.is_empty() { json!({}) } else { json!({"role": "assistant", "content": delta.text}) };
        choices.push(json!({"index": 0, "delta": content, "finish_reason": delta.finish_reason}));
    }
    let told = delta.usage.filter(|_| include_usage).map(usage);
    if choices.is_empty() && told.is_none() {
        return None;
    }
    Some(json!({
        "id": label.id, "object": "chat.completion.chunk", "created": label.created, "model": label.model,
        "choices": choices, "usage": told,
    }))
}
