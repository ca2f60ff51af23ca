//! Products as OpenAI's endpoints answer.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::task::{Image, Product, TextDelta, Usage};
use crate::wire::fields::{Form, data_uri};

/// The label of an answer: the model that the caller named, an id and the Unix second.
#[derive(Debug, Clone, Copy)]
pub struct Label<'a> {
    /// The model as the caller named it.
    pub model: &'a str,
    /// Id of the answer.
    pub id: &'a str,
    /// Unix time in seconds.
    pub created: u64,
}

/// Writes a product as OpenAI's endpoints answer, in the form that was asked for, or in the one that there is.
#[must_use]
pub fn render(product: &Product, label: Label<'_>, form: Option<Form>) -> Value {
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
            let data: Vec<Value> = result.images.iter().map(|image| picture(image, form)).collect();
            json!({"created": label.created, "data": data})
        }
        Product::Embedding(result) => {
            let data: Vec<Value> = result
                .vectors
                .iter()
                .enumerate()
                .map(|(index, vector)| {
                    let embedding: Value = if form == Some(Form::Base64) {
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

fn picture(image: &Image, form: Option<Form>) -> Value {
    let inline = image.url.as_deref().and_then(|url| url.strip_prefix("data:")?.split_once(";base64,"));
    let data = image.base64.as_deref().or(inline.map(|(_, data)| data));
    let mut picture = match (form, &image.url, data) {
        (Some(Form::Base64), _, Some(data)) => json!({"b64_json": data}),
        (_, Some(url), _) => json!({"url": url}),
        (Some(Form::Url), None, Some(data)) => json!({"url": data_uri("image", data)}),
        (_, None, data) => json!({"b64_json": data}),
    };
    if image.nsfw == Some(true) {
        picture["nsfw"] = true.into();
    }
    picture
}

fn usage(usage: Usage) -> Value {
    let (input, output) = (usage.input_tokens.unwrap_or(0), usage.output_tokens.unwrap_or(0));
    json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": input.saturating_add(output)})
}

/// Writes one piece of a streamed text as the payloads of server-sent events.
///
/// The `first` one names the role, and no other: SDKs put pieces of text together, and the role is one. Usage has a
/// payload of its own, without choices, and is there only where the caller asked for it (`with_usage`).
#[must_use]
pub fn render_delta(delta: &TextDelta, label: Label<'_>, first: bool, with_usage: bool) -> Vec<Value> {
    let chunk = |choices: Value| {
        json!({
            "id": label.id, "object": "chat.completion.chunk", "created": label.created, "model": label.model,
            "choices": choices,
        })
    };
    let mut chunks = Vec::new();
    if !delta.text.is_empty() || delta.finish_reason.is_some() {
        let mut said = json!({});
        if first {
            said["role"] = "assistant".into();
        }
        if !delta.text.is_empty() {
            said["content"] = delta.text.as_str().into();
        }
        chunks.push(chunk(json!([{"index": 0, "delta": said, "finish_reason": delta.finish_reason}])));
    }
    if let Some(told) = delta.usage.filter(|_| with_usage) {
        let mut last = chunk(json!([]));
        last["usage"] = usage(told);
        chunks.push(last);
    }
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_role_comes_once_and_usage_by_itself() {
        let label = Label { model: "m", id: "chatcmpl-1", created: 1 };
        let delta = TextDelta { text: "a".into(), finish_reason: None, usage: None };
        assert_eq!(
            render_delta(&delta, label, true, true)[0]["choices"][0]["delta"],
            json!({"role": "assistant", "content": "a"})
        );
        let used = Usage { input_tokens: Some(1), output_tokens: Some(2), ..Usage::default() };
        let end = TextDelta { text: String::new(), finish_reason: Some("stop".into()), usage: Some(used) };
        let [stop, told] = &render_delta(&end, label, false, true)[..] else { panic!("two chunks") };
        assert_eq!((&stop["choices"][0]["delta"], stop.get("usage")), (&json!({}), None));
        assert_eq!((&told["choices"], &told["usage"]["total_tokens"]), (&json!([]), &json!(3)));
        assert_eq!(render_delta(&end, label, false, false), std::slice::from_ref(stop));
    }
}
