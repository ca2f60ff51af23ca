//! Bodies of OpenAI's endpoints, read as typed work for providers of another dialect.

use serde_json::{Map, Value};

use super::edits;
use super::endpoint::Endpoint;
use super::images::image;
use super::request::OpenAiRequest;
use super::translatable::{Untranslated, check};
use crate::task::{Embedding, TextInference, Work};
use crate::wire::malformed::Malformed;
use crate::wire::messages::parse_messages;
use crate::wire::number::whole;
use crate::wire::responses;

impl OpenAiRequest {
    /// Reads the body as typed work.
    ///
    /// # Errors
    ///
    /// [`Malformed`] names the field that cannot be read.
    pub fn work(&self) -> Result<Work, Malformed> {
        self.typed(self.fields()?)
    }

    /// Reads the body as typed work for a provider of another dialect, which answers in one text.
    ///
    /// # Errors
    ///
    /// [`Untranslated`] names the first field that would be lost on the way, or that cannot be read.
    pub fn translated(&self) -> Result<Work, Untranslated> {
        let body = self.fields()?;
        check(self.endpoint, &body)?;
        Ok(self.typed(body)?)
    }

    fn fields(&self) -> Result<Map<String, Value>, Malformed> {
        match &self.form {
            Some(form) => edits::typed_fields(form),
            None => serde_json::from_slice(&self.body)
                .map_err(|error| Malformed::new("body", format!("must be a JSON object: {error}"))),
        }
    }

    fn typed(&self, mut body: Map<String, Value>) -> Result<Work, Malformed> {
        body.remove("model");
        body.remove("stream");
        let model = self.model.clone();
        match self.endpoint {
            Endpoint::Chat => {
                let messages = parse_messages(body.remove("messages").as_ref())?;
                let limits = ["max_completion_tokens", "max_tokens"].map(|name| body.remove(name));
                let max_tokens = limits.iter().flatten().find_map(whole);
                body.remove("stream_options");
                Ok(Work::Text(TextInference { model, messages, max_tokens, stream: self.stream, extra: body }))
            }
            Endpoint::Responses => responses::work(model, self.stream, body),
            Endpoint::Embeddings => {
                let inputs = match body.remove("input") {
                    Some(Value::String(text)) => vec![text],
                    Some(Value::Array(items)) => items
                        .into_iter()
                        .map(|item| match item {
                            Value::String(text) => Ok(text),
                            _ => Err(Malformed::new("input", "must hold strings where this provider serves the model")),
                        })
                        .collect::<Result<_, _>>()?,
                    _ => return Err(Malformed::new("input", "must be a string or an array of strings")),
                };
                Ok(Work::Embedding(Embedding { model, inputs, dimensions: body.get("dimensions").and_then(whole) }))
            }
            Endpoint::Images => Ok(Work::Image(image(self, body)?)),
            Endpoint::Edits => edits::work(self, body),
        }
    }
}
