//! fal's queue: submit, ask `status_url`, fetch `response_url`, cancel by PUT. The queue is silent: it takes everything
//! and tells a position. Source: `docs.fal.ai/model-endpoints/queue`.

use reqwest::Method;
use serde_json::{Map, Value, json};

use super::handle::{Fault, State};
use super::output::done;
use super::preset::{Accepted, Preset, Submission, no_such, parameters, path_of, put_inputs, text};
use crate::task::wire::Malformed;
use crate::task::wire::runware::whole_or_not;
use crate::task::{Usage, Work};

/// Where models of all kinds put their files.
const FIELDS: [&str; 8] = ["images", "image", "videos", "video", "audio", "audio_file", "audio_url", "audios"];

#[derive(Debug)]
pub(crate) struct Fal;

impl Preset for Fal {
    fn name(&self) -> &'static str {
        "fal"
    }

    fn key_header(&self, key: &str) -> (&'static str, String) {
        ("authorization", format!("Key {key}"))
    }

    fn submission(&self, work: &Work, upstream: &str, _: &str) -> Result<Submission, Malformed> {
        let body = match work {
            Work::Image(task) => {
                let mut body = parameters(&task.extra, "jpeg")?;
                body.insert("prompt".into(), task.prompt.clone().into());
                body.insert("image_size".into(), json!({"width": task.width, "height": task.height}));
                put_inputs(&mut body, task, "image_url", Some("image_urls"), "mask_url")?;
                body.insert("num_images".into(), task.count.into());
                if let Some(steps) = task.steps {
                    body.insert("num_inference_steps".into(), steps.into());
                }
                body
            }
            Work::Upscale(task) => {
                let mut body = parameters(&task.extra, "jpeg")?;
                body.insert("image_url".into(), task.image.clone().into());
                body.insert("upscale_factor".into(), task.factor.into());
                body
            }
            Work::Video(task) => {
                super::preset::just_one(task.count)?;
                let mut body = timed(&task.prompt, task.seconds, &task.extra)?;
                if let Some(image) = &task.first_frame {
                    body.insert("image_url".into(), image.clone().into());
                }
                if let Some(fps) = task.fps {
                    body.insert("fps".into(), fps.into());
                }
                if let Some((width, height)) = task.size {
                    body.insert("video_size".into(), json!({"width": width, "height": height}));
                }
                body
            }
            Work::Audio(task) => {
                super::preset::just_one(task.count)?;
                timed(&task.prompt, task.seconds, &task.extra)?
            }
            Work::Raw(task) if task.task_type() == "fal" => {
                let mut body = task.body.clone();
                for field in ["taskType", "taskUUID", "model"] {
                    body.remove(field);
                }
                body
            }
            _ => return Err(no_such("fal", work, "image, upscale, video, audio and raw \"fal\" tasks")),
        };
        Ok(Submission { path: format!("/{}", path_of(upstream)?), body: Value::Object(body) })
    }

    fn accepted(&self, _: &str, _: &Work, answer: &Value, _: bool) -> Result<Accepted, Malformed> {
        Ok(Accepted {
            id: text(answer, "request_id")?,
            poll_url: text(answer, "status_url")?,
            cancel_url: text(answer, "cancel_url").ok(),
            state: State::Queued(answer.get("queue_position").and_then(Value::as_u64)),
        })
    }

    fn state(&self, _: &Work, answer: &Value) -> Result<State, Malformed> {
        Ok(match text(answer, "status")?.as_str() {
            "IN_QUEUE" => State::Queued(answer.get("queue_position").and_then(Value::as_u64)),
            "IN_PROGRESS" => State::Running,
            "COMPLETED" => match answer.get("error").and_then(Value::as_str) {
                Some(error) => State::Failed(Fault::read(error), error.to_owned()),
                None => State::ReadyAt(text(answer, "response_url")?),
            },
            "CANCELED" | "CANCELLED" => State::Cancelled,
            "FAILED" => State::Failed(Fault::Provider, "the generation failed".into()),
            other => return Err(Malformed::new("status", format!("{other:?} is not known"))),
        })
    }

    fn result(&self, work: &Work, status: u16, answer: &Value) -> Option<State> {
        match status {
            200..=299 => done(work, answer, &FIELDS, Usage::default(), None).ok(),
            // The model's own verdict on its input; its words stand in `detail`.
            400 | 422 => {
                let detail = answer.get("detail").map_or_else(|| answer.to_string(), Value::to_string);
                Some(State::Failed(Fault::Request, detail))
            }
            404 | 410 => Some(State::Expired),
            500 => Some(State::Failed(Fault::Provider, "the generation failed".into())),
            _ => None,
        }
    }

    fn cancel_method(&self) -> Method {
        Method::PUT
    }
}

fn timed(prompt: &str, seconds: Option<f64>, extra: &Map<String, Value>) -> Result<Map<String, Value>, Malformed> {
    let mut body = parameters(extra, "jpeg")?;
    body.insert("prompt".into(), prompt.into());
    if let Some(seconds) = seconds {
        body.insert("duration".into(), whole_or_not(seconds));
    }
    Ok(body)
}
