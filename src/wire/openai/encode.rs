//! Typed work as OpenAI's endpoints take it.

use serde_json::{Value, json};

use super::endpoint::Endpoint;
use crate::task::Work;
use crate::wire::{dialects, fields};

/// Writes typed work for an upstream model; `None` where OpenAI has no such endpoint.
#[must_use]
pub fn encode(work: &Work, upstream: &str) -> Option<(Endpoint, Value)> {
    match work {
        Work::Text(task) => {
            let mut body = dialects::openai(task);
            body.insert("model".into(), upstream.into());
            if task.stream {
                body.insert("stream".into(), true.into());
                body.insert("stream_options".into(), json!({"include_usage": true}));
            }
            Some((Endpoint::Chat, Value::Object(body)))
        }
        Work::Image(task) => {
            let mut body = fields::translated(&task.extra, fields::Dialect::OpenAi, upstream);
            body.insert("model".into(), upstream.into());
            body.insert("prompt".into(), task.prompt.clone().into());
            body.insert("size".into(), format!("{}x{}", task.width, task.height).into());
            body.insert("n".into(), task.count.into());
            Some((Endpoint::Images, Value::Object(body)))
        }
        Work::Embedding(task) => {
            let mut body = json!({"model": upstream, "input": task.inputs, "encoding_format": "base64"});
            if let Some(dimensions) = task.dimensions {
                body["dimensions"] = dimensions.into();
            }
            Some((Endpoint::Embeddings, body))
        }
        Work::Upscale(_) | Work::Video(_) | Work::Audio(_) | Work::Raw(_) => None,
    }
}
