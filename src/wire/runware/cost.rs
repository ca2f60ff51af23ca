//! The predicted cost of a task object.

use serde_json::{Map, Value};

use crate::core::cost::Cost;
use crate::task::{audio_cost, image_cost, raw_cost, text_cost, upscale_cost, video_cost};
use crate::wire::malformed::Malformed;
use crate::wire::number::{length, whole};

/// Predicts the cost of a task object.
pub(super) fn cost(body: &Map<String, Value>) -> Result<Cost, Malformed> {
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
    let length = |name: &str| match body.get(name) {
        None => 0,
        Some(Value::String(text)) => text.len() as u64,
        Some(value) => length(value),
    };
    Ok(match body.get("taskType").and_then(Value::as_str).unwrap_or_default() {
        "imageInference" => image_cost(
            number("numberResults")?.unwrap_or(1),
            number("steps")?,
            number("width")?.unwrap_or(1024),
            number("height")?.unwrap_or(1024),
        ),
        "textInference" => text_cost(length("messages"), number("maxTokens")?),
        "videoInference" => video_cost(
            number("numberResults")?.unwrap_or(1),
            seconds("duration")?,
            number("fps")?,
            number("width")?.zip(number("height")?),
        ),
        "audioInference" => audio_cost(number("numberResults")?.unwrap_or(1), seconds("duration")?),
        "imageUpscale" | "upscale" => upscale_cost(length("inputImage")),
        _ => raw_cost(body),
    })
}
