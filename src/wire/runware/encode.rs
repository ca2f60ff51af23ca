//! Typed work as task objects of Runware's.

use serde_json::{Map, Value, json};

use crate::task::Work;
use crate::wire::dialects;
use crate::wire::fields::{Dialect, translated};
use crate::wire::number::whole_or_not;

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
