//! A task object of Runware's, read as typed work for providers of another dialect.

use serde_json::{Map, Value};

use super::task::RunwareTask;
use crate::task::{AudioInference, ImageInference, ImageUpscale, RawTask, TextInference, VideoInference, Work};
use crate::wire::dialects;
use crate::wire::malformed::Malformed;
use crate::wire::messages::parse_messages;
use crate::wire::number::whole;

impl RunwareTask {
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
