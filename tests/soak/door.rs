//! The doors that callers of the soak use: OpenAI's chat and images, Runware's tasks.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::heard::{self, Heard};
use crate::provider::text;
use crate::services::picture;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    Chat,
    Images,
    Tasks,
}

impl Door {
    pub fn of(model: &str) -> Self {
        match model {
            "draw" => Self::Images,
            "paint" | "sketch" => Self::Tasks,
            _ => Self::Chat,
        }
    }

    /// Writes a request: its path and its body.
    pub fn request(self, model: &str, prompt: &str, stream: bool) -> (&'static str, Value) {
        match self {
            Self::Chat => {
                let messages = json!([{"role": "user", "content": prompt}]);
                let body = json!({"model": model, "stream": stream, "max_tokens": 16, "messages": messages});
                ("/v1/chat/completions", body)
            }
            Self::Images => ("/v1/images/generations", json!({"model": model, "prompt": prompt, "size": "512x512"})),
            Self::Tasks => {
                let task = json!({"taskType": "imageInference", "taskUUID": uuid(prompt), "model": model,
                    "positivePrompt": prompt, "width": 512, "height": 512});
                ("/v1", json!([task]))
            }
        }
    }

    /// Reads an answer.
    ///
    /// # Errors
    ///
    /// What no caller should ever hear.
    pub fn judge(
        self,
        status: u16,
        reason: &str,
        kind: &str,
        body: &[u8],
        prompt: &str,
        stream: bool,
    ) -> Result<Heard, String> {
        match self {
            Self::Chat => heard::chat(status, reason, kind, body, stream, &text(prompt)),
            Self::Images => heard::made(status, reason, body, |answer| answer["data"][0]["url"] == picture(prompt)),
            Self::Tasks => heard::made(status, reason, body, |answer| {
                let item = &answer["data"][0];
                item["imageURL"] == picture(prompt) && item["taskUUID"] == uuid(prompt)
            }),
        }
    }
}

/// The UUID of a task is its prompt's.
fn uuid(prompt: &str) -> String {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, prompt.as_bytes()).to_string()
}
