//! JSON bodies of OpenAI's endpoints, read in one pass as far as fairflow has to know them.

use bytes::Bytes;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::edits;
use super::endpoint::Endpoint;
use super::images::{SQUARE, size_of};
use super::request::{OpenAiRequest, Turn};
use super::stream_options::StreamOptions;
use crate::task::{Tokens, image_cost, text_cost};
use crate::wire::form::Form;
use crate::wire::malformed::{Malformed, short};
use crate::wire::{fields, number};

/// The fields that are looked at; all others are skipped, not parsed.
#[derive(Deserialize)]
struct Peek<'a> {
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    messages: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "as_it_stands")]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    prompt: Option<&'a RawValue>,
    #[serde(borrow)]
    stream: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "as_it_stands")]
    stream_options: Option<&'a RawValue>,
    #[serde(borrow)]
    max_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    max_completion_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    max_output_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    n: Option<&'a RawValue>,
    #[serde(borrow)]
    size: Option<&'a RawValue>,
    #[serde(borrow)]
    response_format: Option<&'a RawValue>,
    #[serde(borrow)]
    encoding_format: Option<&'a RawValue>,
    #[serde(borrow)]
    store: Option<&'a RawValue>,
    #[serde(borrow)]
    previous_response_id: Option<&'a RawValue>,
}

/// Reads a field as it stands, null too.
fn as_it_stands<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl OpenAiRequest {
    /// Reads what scheduling needs from a body of some `content-type`: image edits may be a form.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse), and where the body is no form though it should be one.
    pub fn read(endpoint: Endpoint, content_type: &str, body: Bytes) -> Result<Self, Malformed> {
        if endpoint == Endpoint::Edits
            && let Some(form) = Form::parse(content_type, &body)?
        {
            return edits::parse(form, body);
        }
        Self::parse(endpoint, body)
    }

    /// Reads what scheduling needs from a JSON body.
    ///
    /// # Errors
    ///
    /// [`Malformed`] names the field: no JSON object, no model, or a `stream` that is neither true nor false. What else may
    /// be wrong its provider judges, which knows what it takes.
    pub fn parse(endpoint: Endpoint, body: Bytes) -> Result<Self, Malformed> {
        // Checked by hand: an array would be read as the fields in their order.
        if body.trim_ascii_start().first().is_some_and(|byte| *byte != b'{') {
            return Err(Malformed::new("body", "must be a JSON object"));
        }
        // Whole, since what is skipped is forwarded too.
        let text =
            std::str::from_utf8(&body).map_err(|error| Malformed::new("body", format!("must be UTF-8: {error}")))?;
        let peek: Peek<'_> = serde_json::from_str(text)
            .map_err(|error| Malformed::new("body", format!("must be a JSON object: {error}")))?;
        let raw_model = peek.model.ok_or_else(|| Malformed::new("model", "is missing; name a configured model"))?;
        let model: String = serde_json::from_str(raw_model.get())
            .map_err(|_| Malformed::new("model", format!("must be a string, not {}", short(raw_model.get()))))?;
        if model.is_empty() {
            return Err(Malformed::new("model", "is empty; name a configured model"));
        }
        let stream = match peek.stream.map(RawValue::get) {
            None | Some("false" | "null") => false,
            Some("true") => true,
            Some(other) => {
                return Err(Malformed::new("stream", format!("must be true or false, not {}", short(other))));
            }
        };
        let inputs = [peek.messages, peek.input, peek.prompt];
        let inputs = inputs.into_iter().flatten().map(RawValue::get).filter(|raw| *raw != "null");
        let input = inputs.map(|raw| raw.len() as u64).sum();
        let most = whole(peek.max_output_tokens);
        let limit = whole(peek.max_completion_tokens).or(whole(peek.max_tokens));
        let count = whole(peek.n).unwrap_or(1);
        let cost = match endpoint {
            Endpoint::Chat => text_cost(input, limit),
            Endpoint::Responses => text_cost(input, most),
            Endpoint::Embeddings => text_cost(input, Some(0)),
            Endpoint::Images | Endpoint::Edits => {
                let size: Option<Value> = peek.size.and_then(|raw| serde_json::from_str(raw.get()).ok());
                let size = size_of(size.as_ref()).ok().and_then(|size| size.pixels);
                let (width, height) = size.unwrap_or(SQUARE);
                image_cost(count, None, width, height)
            }
        };
        let tokens = match endpoint {
            Endpoint::Chat => Some(Tokens::of_bytes(input, limit).times(count)),
            Endpoint::Responses => Some(Tokens::of_bytes(input, most)),
            Endpoint::Embeddings => Some(Tokens::of_bytes(input, Some(0))),
            Endpoint::Images | Endpoint::Edits => None,
        };
        let place = |raw: &RawValue| {
            let start = raw.get().as_ptr() as usize - body.as_ptr() as usize;
            start..start + raw.get().len()
        };
        let wanted = match endpoint {
            Endpoint::Embeddings => peek.encoding_format,
            Endpoint::Images | Endpoint::Edits => peek.response_format,
            Endpoint::Chat | Endpoint::Responses => None,
        };
        let after: Option<Box<str>> = peek.previous_response_id.and_then(|raw| serde_json::from_str(raw.get()).ok());
        let turn = Turn {
            is_private: peek.store.is_some_and(|store| store.get() == "false"),
            after_at: peek.previous_response_id.filter(|_| after.is_some()).map(place),
            after,
            input_at: peek.input.map(place),
        };
        Ok(Self {
            endpoint,
            model,
            stream,
            cost,
            tokens,
            wanted: wanted.and_then(|raw| fields::Form::named(&serde_json::from_str(raw.get()).ok()?)),
            turn,
            previous: None,
            passed: Vec::new(),
            model_at: place(raw_model),
            options: StreamOptions::read(peek.stream_options, place),
            form: None,
            body,
        })
    }
}

/// Reads a count above 0, however it is written; what is none is the provider's to judge.
fn whole(raw: Option<&RawValue>) -> Option<u64> {
    let value = serde_json::from_str(raw?.get()).ok()?;
    number::whole(&value).filter(|count| *count > 0)
}
