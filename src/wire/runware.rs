//! Runware's shapes: arrays of task objects, answered by `data` or `errors`.

mod render;

use std::sync::Arc;

use serde_json::{Map, Number, Value, json};

pub use self::render::{render, render_delta};
use super::event::error_of;
use super::fields::{Dialect, translated};
use super::openai::parse_messages;
use super::{Malformed, dialects, whole};
use crate::core::cost::Cost;
use crate::task::audio_cost;
use crate::task::image_cost;
use crate::task::raw_cost;
use crate::task::text_cost;
use crate::task::upscale_cost;
use crate::task::video_cost;
use crate::task::{
    Audio, AudioInference, AudioResult, Image, ImageInference, ImageResult, ImageUpscale, Product, RawResult, RawTask,
    TextDelta, TextInference, TextResult, Usage, Video, VideoInference, VideoResult, Work,
};

/// The types of task that no model could be guessed for.
const GENERATES: [&str; 5] = ["imageInference", "textInference", "videoInference", "audioInference", "photoMaker"];

/// One task object, checked as far as scheduling needs.
#[derive(Debug, Clone, PartialEq)]
pub struct RunwareTask {
    /// Shared: it may hold media of many megabytes.
    body: Arc<Map<String, Value>>,
    cost: Cost,
}

impl RunwareTask {
    /// Checks a task object. A null is taken as absent, and `20.0` as the whole number that it is.
    ///
    /// # Errors
    ///
    /// [`Malformed`] names the field: not an object, no `taskType`, no `model`, or a number that is none.
    pub fn parse(task: Value) -> Result<Self, Malformed> {
        let Value::Object(mut body) = task else {
            return Err(Malformed::new("task", "must be an object with taskType, taskUUID and model"));
        };
        normalise(&mut body);
        let generates = body.get("taskType").and_then(Value::as_str).is_some_and(|kind| GENERATES.contains(&kind));
        for field in ["taskType", "model"] {
            match body.get(field) {
                Some(Value::String(text)) if !text.is_empty() => {}
                None if field == "model" && !generates => {}
                None => return Err(Malformed::new(field, "is missing")),
                Some(_) => return Err(Malformed::new(field, "must be a non-empty string")),
            }
        }
        if body.get("taskUUID").is_some_and(|uuid| !uuid.is_string() && !uuid.is_null()) {
            return Err(Malformed::new("taskUUID", "must be a string"));
        }
        let cost = cost(&body)?;
        Ok(Self { body: Arc::new(body), cost })
    }

    /// Returns the task's type.
    #[must_use]
    pub fn task_type(&self) -> &str {
        self.text("taskType")
    }

    /// Returns the task's id; empty when it has none.
    #[must_use]
    pub fn uuid(&self) -> &str {
        self.text("taskUUID")
    }

    /// Returns the model asked for; empty where the task names none.
    #[must_use]
    pub fn model(&self) -> &str {
        self.text("model")
    }

    /// Returns the predicted cost.
    #[must_use]
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// Says whether the answer is wanted as a stream of text.
    #[must_use]
    pub fn wants_stream(&self) -> bool {
        self.text("deliveryMethod") == "stream"
    }

    /// Returns a field of the task.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.body.get(name)
    }

    /// Returns the whole task object.
    #[must_use]
    pub fn body(&self) -> &Map<String, Value> {
        &self.body
    }

    fn text(&self, name: &str) -> &str {
        self.body.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// Returns the object with the model's name, where it has one, replaced by `upstream`.
    #[must_use]
    pub fn body_for(&self, upstream: &str) -> Map<String, Value> {
        let mut body = Map::clone(&self.body);
        if let Some(model) = body.get_mut("model") {
            *model = upstream.into();
        }
        body
    }

    /// Reads the task as typed work.
    ///
    /// # Errors
    ///
    /// [`Malformed`] names the field that cannot be read.
    pub fn work(&self) -> Result<Work, Malformed> {
        let mut body = Map::clone(&self.body);
        let model = self.model().to_owned();
        let stream = self.wants_stream();
        let task_type = self.task_type().to_owned();
        let known = ["imageInference", "textInference", "imageUpscale", "upscale", "videoInference", "audioInference"];
        // What is upscaled may be a video too.
        let of_another = task_type == "upscale" && !body.contains_key("inputImage");
        if !known.contains(&task_type.as_str()) || of_another {
            return Ok(Work::Raw(RawTask { body }));
        }
        for field in ["taskType", "taskUUID", "model", "deliveryMethod", "includeCost", "includeUsage", "webhookURL"] {
            body.remove(field);
        }
        body.retain(|_, value| !value.is_null());
        let mut take = |name: &str| body.remove(name);
        match task_type.as_str() {
            "imageInference" => {
                let prompt = take("positivePrompt").and_then(|prompt| prompt.as_str().map(str::to_owned));
                let prompt = prompt.ok_or_else(|| Malformed::new("positivePrompt", "must be a string"))?;
                let mut number = |name: &str| whole(&take(name)?);
                let (width, height) = (number("width").unwrap_or(1024), number("height").unwrap_or(1024));
                let (steps, count) = (number("steps"), number("numberResults").unwrap_or(1));
                let (inputs, mask) = pictures(&mut body);
                Ok(Work::Image(ImageInference {
                    model,
                    prompt,
                    width,
                    height,
                    steps,
                    count,
                    inputs,
                    mask,
                    extra: body,
                }))
            }
            "videoInference" | "audioInference" => {
                // Some models need no prompt: a first frame or a track says it all.
                let prompt = take("positivePrompt").and_then(|prompt| prompt.as_str().map(str::to_owned));
                let prompt = prompt.unwrap_or_default();
                let seconds = take("duration").and_then(|seconds| seconds.as_f64());
                let count = take("numberResults").as_ref().and_then(whole).unwrap_or(1);
                if task_type == "audioInference" {
                    return Ok(Work::Audio(AudioInference { model, prompt, seconds, count, extra: body }));
                }
                let mut number = |name: &str| whole(&take(name)?);
                let (fps, width, height) = (number("fps"), number("width"), number("height"));
                let first_frame = lone_frame(body.get("frameImages"));
                if first_frame.is_some() {
                    body.remove("frameImages");
                }
                let size = width.zip(height);
                Ok(Work::Video(VideoInference { model, prompt, seconds, fps, size, first_frame, count, extra: body }))
            }
            "textInference" => {
                let messages = parse_messages(take("messages").as_ref())?;
                let max_tokens = dialects::take_max_tokens(&mut body);
                Ok(Work::Text(TextInference { model, messages, max_tokens, stream, extra: body }))
            }
            _ => {
                let image = take("inputImage").and_then(|image| image.as_str().map(str::to_owned));
                let image = image.ok_or_else(|| Malformed::new("inputImage", "must be base64, a data URI or a URL"))?;
                let factor = take("upscaleFactor").as_ref().and_then(whole).unwrap_or(2);
                Ok(Work::Upscale(ImageUpscale { model, image, factor, extra: body }))
            }
        }
    }
}

/// Leaves out nulls, which SDKs send for what is not set, and writes whole numbers as such, which some languages write as
/// fractions.
fn normalise(fields: &mut Map<String, Value>) {
    fields.retain(|_, value| !value.is_null());
    for value in fields.values_mut() {
        match value {
            Value::Object(fields) => normalise(fields),
            Value::Number(number) => *number = whole_number(number).unwrap_or_else(|| number.clone()),
            _ => {}
        }
    }
}

/// Returns a fraction that is a whole number, as far as a fraction holds these exactly.
fn whole_number(number: &Number) -> Option<Number> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let fraction = number.as_f64().filter(|fraction| number.is_f64() && fraction.fract() == 0.0)?;
    #[allow(clippy::cast_possible_truncation, reason = "compared just before")]
    (fraction.abs() <= EXACT).then(|| Number::from(fraction as i64))
}

/// Takes out the images to begin from, where the first is a seed, and the mask.
fn pictures(body: &mut Map<String, Value>) -> (Vec<String>, Option<String>) {
    if !body.get("seedImage").is_some_and(Value::is_string) {
        return (Vec::new(), None);
    }
    let mut take = |name: &str| if let Some(Value::String(image)) = body.remove(name) { Some(image) } else { None };
    let (mut inputs, mask): (Vec<String>, _) = (take("seedImage").into_iter().collect(), take("maskImage"));
    let all_texts = |list: &Vec<Value>| list.iter().all(Value::is_string);
    if body.get("referenceImages").and_then(Value::as_array).is_some_and(all_texts)
        && let Some(Value::Array(list)) = body.remove("referenceImages")
    {
        inputs.extend(list.into_iter().filter_map(|image| image.as_str().map(str::to_owned)));
    }
    (inputs, mask)
}

/// Returns the image that a video begins with, where that is all that `frameImages` says.
fn lone_frame(frames: Option<&Value>) -> Option<String> {
    let [frame] = &frames?.as_array()?[..] else { return None };
    let image = frame.as_str().or_else(|| frame.get("inputImage").or_else(|| frame.get("inputImages"))?.as_str());
    let first = frame.get("frame").is_none_or(|frame| frame == "first");
    image.filter(|_| first).map(str::to_owned)
}

/// Predicts the cost of a task object.
fn cost(body: &Map<String, Value>) -> Result<Cost, Malformed> {
    // What one of Runware's packages writes beside the settings, another writes into them.
    let set = |name: &str| body.get(name).or_else(|| body.get("settings")?.get(name));
    let number = |name: &str| match set(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match whole(value) {
            Some(value) if value > 0 => Ok(Some(value)),
            _ => Err(Malformed::new(name, format!("must be a whole number above 0, not {value}"))),
        },
    };
    let seconds = |name: &str| match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_f64() {
            Some(seconds) if seconds > 0.0 => Ok(Some(seconds)),
            _ => Err(Malformed::new(name, format!("must be a number of seconds above 0, not {value}"))),
        },
    };
    let length =
        |name: &str| body.get(name).map_or(0, |value| value.as_str().map_or_else(|| value.to_string().len(), str::len));
    Ok(match body.get("taskType").and_then(Value::as_str).unwrap_or_default() {
        "imageInference" => image_cost(
            number("numberResults")?.unwrap_or(1),
            number("steps")?,
            number("width")?.unwrap_or(1024),
            number("height")?.unwrap_or(1024),
        ),
        "textInference" => text_cost(length("messages") as u64, number("maxTokens")?),
        "videoInference" => video_cost(
            number("numberResults")?.unwrap_or(1),
            seconds("duration")?,
            number("fps")?,
            number("width")?.zip(number("height")?),
        ),
        "audioInference" => audio_cost(number("numberResults")?.unwrap_or(1), seconds("duration")?),
        "imageUpscale" | "upscale" => upscale_cost(length("inputImage") as u64),
        _ => raw_cost(body),
    })
}

/// Writes typed work as a task object for an upstream model; `None` where Runware has no such task.
#[must_use]
pub fn encode(work: &Work, upstream: &str, uuid: &str) -> Option<Map<String, Value>> {
    let (task_type, mut body) = match work {
        Work::Image(task) => {
            let mut body = translated(&task.extra, Dialect::Runware, upstream);
            body.insert("positivePrompt".into(), task.prompt.clone().into());
            body.insert("width".into(), task.width.into());
            body.insert("height".into(), task.height.into());
            body.insert("numberResults".into(), task.count.into());
            if let Some(steps) = task.steps {
                body.insert("steps".into(), steps.into());
            }
            let mut inputs = task.inputs.iter();
            body.extend(inputs.next().map(|image| ("seedImage".to_owned(), image.clone().into())));
            if inputs.len() > 0 {
                body.insert("referenceImages".into(), inputs.cloned().collect());
            }
            body.extend(task.mask.as_ref().map(|mask| ("maskImage".to_owned(), mask.clone().into())));
            ("imageInference", body)
        }
        Work::Text(task) => {
            let mut body = dialects::runware(task);
            body.insert("includeUsage".into(), true.into());
            ("textInference", body)
        }
        Work::Upscale(task) => {
            let mut body = translated(&task.extra, Dialect::Runware, upstream);
            body.insert("inputImage".into(), task.image.clone().into());
            body.insert("upscaleFactor".into(), task.factor.into());
            ("imageUpscale", body)
        }
        Work::Video(task) => {
            let extra = translated(&task.extra, Dialect::Runware, upstream);
            let mut body = media(&task.prompt, task.seconds, task.count, extra);
            if let Some((width, height)) = task.size {
                body.insert("width".into(), width.into());
                body.insert("height".into(), height.into());
            }
            if let Some(fps) = task.fps {
                body.insert("fps".into(), fps.into());
            }
            if let Some(image) = &task.first_frame {
                body.insert("frameImages".into(), json!([{"inputImage": image}]));
            }
            ("videoInference", body)
        }
        Work::Audio(task) => {
            let extra = translated(&task.extra, Dialect::Runware, upstream);
            ("audioInference", media(&task.prompt, task.seconds, task.count, extra))
        }
        Work::Raw(task) => (task.task_type(), task.body.clone()),
        Work::Embedding(_) => return None,
    };
    let stream = matches!(work, Work::Text(task) if task.stream);
    body.insert("taskType".into(), task_type.into());
    body.insert("taskUUID".into(), uuid.into());
    body.insert("model".into(), upstream.into());
    body.insert("includeCost".into(), true.into());
    let delivery = match work {
        // Minutes of work: the connection would not last.
        Work::Video(_) | Work::Audio(_) => "async",
        _ if stream => "stream",
        _ => "sync",
    };
    body.entry("deliveryMethod").or_insert_with(|| delivery.into());
    Some(body)
}

/// Writes what video and audio tasks have in common.
fn media(prompt: &str, seconds: Option<f64>, count: u64, mut body: Map<String, Value>) -> Map<String, Value> {
    if !prompt.is_empty() {
        body.insert("positivePrompt".into(), prompt.into());
    }
    if let Some(seconds) = seconds {
        body.insert("duration".into(), whole_or_not(seconds));
    }
    body.insert("numberResults".into(), count.into());
    body
}

/// Writes a number of seconds as services want it: whole where it is.
#[must_use]
pub(crate) fn whole_or_not(seconds: f64) -> Value {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "compared just before")]
    if seconds.fract() == 0.0 && (0.0..1e9).contains(&seconds) { (seconds as u64).into() } else { seconds.into() }
}

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
    if event.trim() == "[DONE]" {
        return Ok(None);
    }
    let event: Value =
        serde_json::from_str(event).map_err(|error| Malformed::new("event", format!("is not JSON: {error}")))?;
    if let Some(error) = error_of(&event) {
        let message = error.get("message").and_then(Value::as_str).unwrap_or("the provider broke off");
        return Err(Malformed::new("stream", message));
    }
    let text = event.pointer("/delta/text").and_then(Value::as_str).unwrap_or_default();
    Ok(Some(TextDelta {
        text: text.to_owned(),
        finish_reason: event.get("finishReason").and_then(Value::as_str).map(str::to_owned),
        usage: event.get("usage").and_then(Value::as_object).map(Usage::from_json),
    }))
}
