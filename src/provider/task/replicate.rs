//! Replicate: a prediction is created, asked for at `urls.get`, cancelled at `urls.cancel`. The model's name decides the
//! path: `owner/name` (an official model), `owner/name:version` or a bare version, `deployments/owner/name`.
//! Source: `replicate.com/docs/reference/http`.

use serde_json::{Map, Value, json};

use super::handle::{Fault, State};
use super::output::done;
use super::preset::{Accepted, HOUR, Preset, Submission, just_one, no_such, path_of, put_inputs, text, timed, words};
use super::stage::Stage;
use crate::task::{Usage, Work};
use crate::wire::Malformed;
use crate::wire::fields::{Dialect, translated};

#[derive(Debug)]
pub(crate) struct Replicate;

impl Preset for Replicate {
    fn name(&self) -> &'static str {
        "replicate"
    }

    fn submission(&self, work: &Work, upstream: &str) -> Result<Submission, Malformed> {
        let upstream = path_of(upstream)?;
        let input = input(work, upstream)?;
        let (path, body) = match (upstream.rsplit_once(':'), upstream.contains('/')) {
            (Some((_, version)), _) => ("/predictions".to_owned(), json!({"version": version, "input": input})),
            (None, false) => ("/predictions".to_owned(), json!({"version": upstream, "input": input})),
            (None, true) if upstream.starts_with("deployments/") => {
                (format!("/{upstream}/predictions"), json!({"input": input}))
            }
            (None, true) => (format!("/models/{upstream}/predictions"), json!({"input": input})),
        };
        Ok(Submission { path, body })
    }

    fn accepted(&self, base_url: &str, work: &Work, answer: &Value) -> Result<Accepted, Malformed> {
        let id = text(answer, "id")?;
        let url = |name: &str| answer.pointer(&format!("/urls/{name}")).and_then(Value::as_str).map(str::to_owned);
        Ok(Accepted {
            poll_url: url("get").unwrap_or_else(|| format!("{base_url}/predictions/{id}")),
            cancel_url: url("cancel"),
            state: self.state(work, answer)?,
            id,
        })
    }

    fn state(&self, work: &Work, answer: &Value) -> Result<State, Malformed> {
        Ok(match Stage::of(&text(answer, "status")?) {
            Stage::Done => match answer.get("output") {
                // Files of predictions made by API are deleted after an hour, and then the output is gone.
                None | Some(Value::Null) => State::Missing,
                Some(output) => done(work, output, Usage::default(), Some(HOUR))?,
            },
            Stage::Failed => {
                let error = words(answer);
                State::Failed(Fault::read(&error), error)
            }
            stage => stage.state(),
        })
    }
}

/// Writes the model's input, in the names that most models use.
fn input(work: &Work, upstream: &str) -> Result<Map<String, Value>, Malformed> {
    let mut body;
    match work {
        Work::Image(task) => {
            body = translated(&task.extra, Dialect::Replicate, upstream);
            body.insert("prompt".into(), task.prompt.clone().into());
            // Models that take a ratio would refuse or ignore a size beside it.
            if !body.contains_key("aspect_ratio") {
                body.insert("width".into(), task.width.into());
                body.insert("height".into(), task.height.into());
            }
            put_inputs(&mut body, task, "image", None, "mask")?;
            // One is what every model makes; many have no such input, and refuse it.
            if task.count != 1 {
                body.insert("num_outputs".into(), task.count.into());
            }
            if let Some(steps) = task.steps {
                body.insert("num_inference_steps".into(), steps.into());
            }
        }
        Work::Upscale(task) => {
            body = translated(&task.extra, Dialect::Replicate, upstream);
            body.insert("image".into(), task.image.clone().into());
            body.insert("scale".into(), task.factor.into());
        }
        Work::Video(task) => {
            just_one(task.count)?;
            body = timed(&task.prompt, task.seconds, translated(&task.extra, Dialect::Replicate, upstream));
            if let Some(fps) = task.fps {
                body.insert("fps".into(), fps.into());
            }
            if let Some((width, height)) = task.size {
                body.insert("width".into(), width.into());
                body.insert("height".into(), height.into());
            }
            if let Some(image) = &task.first_frame {
                body.insert("image".into(), image.clone().into());
            }
        }
        Work::Audio(task) => {
            just_one(task.count)?;
            body = timed(&task.prompt, task.seconds, translated(&task.extra, Dialect::Replicate, upstream));
        }
        Work::Raw(task) if task.task_type() == "replicate" => {
            body = task.body.clone();
            for field in ["taskType", "taskUUID", "model"] {
                body.remove(field);
            }
        }
        _ => return Err(no_such("replicate", work, "image, upscale, video, audio and raw \"replicate\" tasks")),
    }
    Ok(body)
}
