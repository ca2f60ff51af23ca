//! fal's queue: submit, ask `status_url`, fetch `response_url`, cancel by PUT. The queue is silent: it takes everything
//! and tells a position. Source: `docs.fal.ai/model-endpoints/queue`.

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::handle::{Fault, State};
use super::output::done;
use super::preset::{Accepted, Preset, Submission, no_such, path_of, put_inputs, text, timed, words};
use super::stage::Stage;
use crate::task::{Usage, Work};
use crate::wire::Malformed;
use crate::wire::fields::{Dialect, translated};

#[derive(Debug)]
pub(crate) struct Fal;

impl Preset for Fal {
    fn name(&self) -> &'static str {
        "fal"
    }

    fn key_header(&self, key: &str) -> (&'static str, String) {
        ("authorization", format!("Key {key}"))
    }

    fn submission(&self, work: &Work, upstream: &str) -> Result<Submission, Malformed> {
        let body = match work {
            Work::Image(task) => {
                let mut body = translated(&task.extra, Dialect::Fal, upstream);
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
                let mut body = translated(&task.extra, Dialect::Fal, upstream);
                body.insert("image_url".into(), task.image.clone().into());
                body.insert("upscale_factor".into(), task.factor.into());
                body
            }
            Work::Video(task) => {
                super::preset::just_one(task.count)?;
                let mut body = timed(&task.prompt, task.seconds, translated(&task.extra, Dialect::Fal, upstream));
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
                timed(&task.prompt, task.seconds, translated(&task.extra, Dialect::Fal, upstream))
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

    fn accepted(&self, _: &str, _: &Work, answer: &Value) -> Result<Accepted, Malformed> {
        Ok(Accepted {
            id: text(answer, "request_id")?,
            poll_url: text(answer, "status_url")?,
            cancel_url: text(answer, "cancel_url").ok(),
            state: State::Queued(answer.get("queue_position").and_then(Value::as_u64)),
        })
    }

    fn state(&self, _: &Work, answer: &Value) -> Result<State, Malformed> {
        Ok(match Stage::of(&text(answer, "status")?) {
            Stage::Queued => State::Queued(answer.get("queue_position").and_then(Value::as_u64)),
            Stage::Done if answer.get("error").is_none_or(Value::is_null) => {
                State::ReadyAt(text(answer, "response_url")?)
            }
            Stage::Done | Stage::Failed => failed(answer),
            stage => stage.state(),
        })
    }

    fn result(&self, work: &Work, status: u16, headers: &HeaderMap, answer: &Value) -> Option<State> {
        // What the queue says of the generation has a type; a gateway in between knows of none.
        let kind = headers.get("x-fal-error-type").and_then(|kind| kind.to_str().ok());
        let kind = kind.or_else(|| answer.get("error_type")?.as_str());
        match status {
            200..=299 => done(work, answer, Usage::default(), None).ok(),
            // The model's own verdict on its input.
            400 | 409 | 413 | 415 | 422 => Some(State::Failed(Fault::Request, words(answer))),
            404 | 410 => Some(State::Missing),
            499 => Some(State::Cancelled),
            500..=599 if kind.is_some() || status == 500 => Some(failed(answer)),
            _ => None,
        }
    }

    fn cancel_method(&self) -> Method {
        Method::PUT
    }
}

/// A generation that ended without a result.
fn failed(answer: &Value) -> State {
    let words = words(answer);
    State::Failed(Fault::read(&words), words)
}
