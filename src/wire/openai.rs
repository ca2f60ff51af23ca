//! OpenAI's shapes: chat completions, embeddings, image generations and edits.

mod pieces;
mod render;
mod stream_options;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

pub use self::pieces::{chunks, decode_delta, image_events, text_of};
pub use self::render::{Label, render, render_delta};
pub(super) use self::stream_options::StreamOptions;
pub use self::stream_options::is_usage_alone;
use self::stream_options::splice;
use super::form::Form;
use super::size::Size;
use super::{Malformed, dialects, edits, fields, responses};
use crate::core::cost::Cost;
use crate::task::image_cost;
use crate::task::text_cost;
use crate::task::{
    Embedding, EmbeddingResult, Image, ImageInference, ImageResult, Message, Product, TextInference, TextResult,
    Tokens, Usage, Work,
};

/// The endpoints that generate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// `POST /chat/completions`.
    Chat,
    /// `POST /embeddings`.
    Embeddings,
    /// `POST /images/generations`.
    Images,
    /// `POST /images/edits`.
    Edits,
    /// `POST /responses`.
    Responses,
}

impl Endpoint {
    /// Every endpoint, in the order of their declaration.
    pub const ALL: [Self; 5] = [Self::Chat, Self::Embeddings, Self::Images, Self::Edits, Self::Responses];

    /// Returns the path below the base URL, which ends in `/v1` by custom.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Chat => "/chat/completions",
            Self::Embeddings => "/embeddings",
            Self::Images => "/images/generations",
            Self::Edits => "/images/edits",
            Self::Responses => "/responses",
        }
    }

    /// Says whether it answers in text, of which a stream sends about an event per token.
    #[cfg(feature = "gateway")]
    pub(crate) const fn is_text(self) -> bool {
        matches!(self, Self::Chat | Self::Responses)
    }

    /// Returns what a generation cost that used so much, in the unit of its prediction; nothing where tokens do not tell.
    #[cfg(any(feature = "gateway", feature = "openai", feature = "task"))]
    pub(crate) fn cost(self, usage: Usage) -> Option<Cost> {
        match self {
            Self::Chat | Self::Responses => usage.text_cost(),
            Self::Embeddings => usage.input_tokens.map(Cost::new),
            Self::Images | Self::Edits => None,
        }
    }
}

/// A body for an OpenAI endpoint, with what scheduling needs to know of it.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenAiRequest {
    /// Where it goes.
    pub endpoint: Endpoint,
    /// The body as it came.
    pub body: Bytes,
    /// The model asked for.
    pub model: String,
    /// Whether server-sent events are wanted.
    pub stream: bool,
    /// Predicted cost.
    pub cost: Cost,
    /// The tokens it is about to take, where a price by the token applies to it.
    pub tokens: Option<Tokens>,
    /// Where the model's name stands in the body: as a JSON string, or as it is in a form.
    pub(super) model_at: (usize, usize),
    /// What is asked of a stream.
    pub(super) options: StreamOptions,
    /// The response that this one continues, where the conversation up to it was put before the input here.
    pub(crate) previous: Option<String>,
    pub(super) form: Option<Form>,
    /// Headers that go on to a provider of the same dialect, by name.
    pub(crate) passed: Vec<(Box<str>, Box<str>)>,
}

/// The fields that decide; all others are skipped, not parsed.
#[derive(Deserialize)]
struct Peek<'a> {
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    messages: Option<&'a RawValue>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    prompt: Option<&'a RawValue>,
    #[serde(borrow)]
    stream: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "stream_options::raw")]
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
        let input = inputs.into_iter().flatten().map(|raw| raw.get().len() as u64).sum();
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
            (start, start + raw.get().len())
        };
        let model_at = place(raw_model);
        let options = StreamOptions::read(peek.stream_options, place);
        let (previous, form, passed) = (None, None, Vec::new());
        Ok(Self { endpoint, model, stream, cost, tokens, model_at, options, previous, body, form, passed })
    }

    /// Returns the `content-type` of the body.
    #[must_use]
    pub fn content_type(&self) -> &str {
        self.form.as_ref().map_or("application/json", Form::content_type)
    }

    /// Returns what tells the body from others; the boundary of a form does not.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let whole = self.form.is_none().then_some(&self.body[..]);
        whole.into_iter().chain(self.form.iter().flat_map(Form::pieces))
    }

    /// Returns the body with the model's name replaced by `upstream`, copying only where they differ.
    #[must_use]
    pub fn body_for(&self, upstream: &str) -> Bytes {
        if self.model == upstream {
            return self.body.clone();
        }
        Bytes::from(splice(&self.body, &mut [(self.model_at, self.written(upstream))]))
    }

    /// Writes the name of a model as the body has it.
    fn written(&self, upstream: &str) -> String {
        let name = upstream.to_owned();
        if self.form.is_some() { name } else { Value::String(name).to_string() }
    }

    /// Returns a top-level field of the body.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<Value> {
        serde_json::from_slice::<Map<String, Value>>(&self.body).ok()?.remove(name)
    }

    /// Reads the body as typed work.
    ///
    /// # Errors
    ///
    /// [`Malformed`] names the field that cannot be read.
    pub fn work(&self) -> Result<Work, Malformed> {
        let mut body: Map<String, Value> = match &self.form {
            Some(form) => edits::typed_fields(form)?,
            None => serde_json::from_slice(&self.body)
                .map_err(|error| Malformed::new("body", format!("must be a JSON object: {error}")))?,
        };
        body.remove("model");
        body.remove("stream");
        let model = self.model.clone();
        match self.endpoint {
            Endpoint::Chat => {
                let messages = parse_messages(body.remove("messages").as_ref())?;
                let limits = ["max_completion_tokens", "max_tokens"].map(|name| body.remove(name));
                let max_tokens = limits.iter().flatten().find_map(super::whole);
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
                Ok(Work::Embedding(Embedding {
                    model,
                    inputs,
                    dimensions: body.get("dimensions").and_then(super::whole),
                }))
            }
            Endpoint::Images => Ok(Work::Image(image(self, body)?)),
            Endpoint::Edits => edits::work(self, body),
        }
    }
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
    let count = body.remove("n").as_ref().and_then(super::whole).unwrap_or(1);
    if let Some((width, height)) = ratio {
        // Services that know ratios make the size of it that suits them.
        body.entry("aspect_ratio").or_insert_with(|| format!("{width}:{height}").into());
    }
    let task = ImageInference::new(request.model.clone(), prompt).size(width, height).count(count);
    Ok(ImageInference { extra: body, ..task })
}

pub(super) fn parse_messages(messages: Option<&Value>) -> Result<Vec<Message>, Malformed> {
    let items = messages.and_then(Value::as_array).filter(|items| !items.is_empty());
    let items = items.ok_or_else(|| Malformed::new("messages", "must be a non-empty array of messages"))?;
    items
        .iter()
        .enumerate()
        .map(|(index, item)| {
            let role = item.get("role").and_then(Value::as_str);
            let role = role.ok_or_else(|| Malformed::new(format!("messages[{index}].role"), "must be a string"))?;
            Ok(Message { role: role.to_owned(), content: item.get("content").cloned().unwrap_or(Value::Null) })
        })
        .collect()
}

/// Reads a count above 0, however it is written; what is none is the provider's to judge.
fn whole(raw: Option<&RawValue>) -> Option<u64> {
    let value = serde_json::from_str(raw?.get()).ok()?;
    super::whole(&value).filter(|count| *count > 0)
}

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

/// Cuts a value that goes into an error message.
pub(super) fn short(text: &str) -> String {
    let mut cut: String = text.chars().take(40).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    cut
}

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
