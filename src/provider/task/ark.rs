//! Volcengine Ark: videos are tasks; chat, images and embeddings are OpenAI-shaped at the same address. A task can be
//! cancelled by DELETE while it is queued. Source: `volcengine.com/docs/82379/1520757` and its neighbours.

use reqwest::Method;
use serde_json::{Value, json};

use super::handle::{Fault, State};
use super::output::done;
use super::preset::{Accepted, HOUR, Preset, Submission, just_one, no_such, text, words};
use super::stage::Stage;
use crate::task::{ImageInference, Usage, Work};
use crate::wire::Malformed;
use crate::wire::fields::{Dialect, translated};
use crate::wire::whole_or_not;

const TASKS: &str = "/contents/generations/tasks";
/// Width to height, as the service names it.
const RATIOS: [(&str, f64); 6] = [
    ("16:9", 16.0 / 9.0),
    ("4:3", 4.0 / 3.0),
    ("1:1", 1.0),
    ("3:4", 3.0 / 4.0),
    ("9:16", 9.0 / 16.0),
    ("21:9", 21.0 / 9.0),
];
/// Pixels of the shorter side, as the service names it.
const RESOLUTIONS: [(&str, f64); 3] = [("480p", 480.0), ("720p", 720.0), ("1080p", 1080.0)];
/// Most that the size made may differ from the size asked for, as a share: encoders want multiples of 16.
const TOLERANCE: f64 = 0.05;

#[derive(Debug)]
pub(crate) struct Ark;

impl Preset for Ark {
    fn name(&self) -> &'static str {
        "ark"
    }

    fn is_openai_shaped(&self, work: &Work) -> bool {
        matches!(work, Work::Text(_) | Work::Image(_) | Work::Embedding(_))
    }

    fn openai_shaped(&self, work: &Work, foreign: bool) -> Result<Option<Work>, Malformed> {
        let Work::Image(task) = work else { return Ok(None) };
        let task = &match foreign {
            true => ImageInference { extra: translated(&task.extra, Dialect::Ark, &task.model), ..task.clone() },
            false => task.clone(),
        };
        match (&task.inputs[..], &task.mask) {
            ([], None) => Ok(foreign.then(|| Work::Image(task.clone()))),
            (_, Some(_)) => {
                Err(Malformed::new("mask", "is nothing that this provider knows; say in the prompt what to change"))
            }
            (images, None) => {
                let images = if let [image] = images { Value::from(image.clone()) } else { images.into() };
                Ok(Some(Work::Image(ImageInference { inputs: Vec::new(), ..task.clone() }.set("image", images))))
            }
        }
    }

    fn submission(&self, work: &Work, upstream: &str) -> Result<Submission, Malformed> {
        let Work::Video(task) = work else {
            return Err(no_such("ark", work, "text, image, embedding and video tasks"));
        };
        just_one(task.count)?;
        if task.fps.is_some_and(|fps| fps != 24) {
            return Err(Malformed::new("fps", "must be 24 at this provider, or left out"));
        }
        let mut body = translated(&task.extra, Dialect::Ark, upstream);
        let mut content = Vec::new();
        if !task.prompt.is_empty() {
            content.push(json!({"type": "text", "text": task.prompt}));
        }
        if let Some(image) = &task.first_frame {
            content.push(json!({"type": "image_url", "image_url": {"url": image}, "role": "first_frame"}));
        }
        if content.is_empty() && !body.contains_key("content") {
            return Err(Malformed::new("prompt", "is empty, and there is no first frame"));
        }
        body.insert("model".into(), upstream.into());
        if !content.is_empty() {
            body.insert("content".into(), content.into());
        }
        if let Some(seconds) = task.seconds {
            body.insert("duration".into(), whole_or_not(seconds));
        }
        if let Some((width, height)) = task.size {
            #[allow(clippy::cast_precision_loss, reason = "pixels of a video")]
            let (width, height) = (width as f64, height as f64);
            let ratio = named("size", &RATIOS, width / height.max(1.0))?;
            body.insert("ratio".into(), ratio.into());
            body.insert("resolution".into(), named("size", &RESOLUTIONS, width.min(height))?.into());
        }
        Ok(Submission { path: TASKS.into(), body: Value::Object(body) })
    }

    fn accepted(&self, base_url: &str, _: &Work, answer: &Value) -> Result<Accepted, Malformed> {
        let id = text(answer, "id")?;
        // The id becomes part of an address.
        super::preset::path_of(&id)?;
        let url = format!("{base_url}{TASKS}/{id}");
        Ok(Accepted { id, poll_url: url.clone(), cancel_url: Some(url), state: State::Queued(None) })
    }

    fn state(&self, work: &Work, answer: &Value) -> Result<State, Malformed> {
        Ok(match Stage::of(&text(answer, "status")?) {
            Stage::Done => {
                let usage = answer.get("usage").and_then(Value::as_object).map(Usage::from_json).unwrap_or_default();
                let content = answer.get("content").ok_or_else(|| Malformed::new("content", "is missing"))?;
                done(work, content, usage, Some(24 * HOUR))?
            }
            Stage::Failed => {
                let code = answer.pointer("/error/code").and_then(Value::as_str).unwrap_or_default();
                let words = format!("{code} {}", words(answer));
                State::Failed(Fault::read(&words), words.trim().to_owned())
            }
            stage => stage.state(),
        })
    }

    fn cancel_method(&self) -> Method {
        Method::DELETE
    }
}

/// Returns the name of the value nearest to what is asked for.
fn named(field: &str, names: &[(&'static str, f64)], wanted: f64) -> Result<&'static str, Malformed> {
    let near = names.iter().find(|(_, value)| (wanted / value - 1.0).abs() <= TOLERANCE);
    near.map(|(name, _)| *name).ok_or_else(|| {
        let known: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
        Malformed::new(field, format!("must come near one of {} at this provider", known.join(", ")))
    })
}
