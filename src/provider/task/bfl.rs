//! Black Forest Labs: `POST /v1/<model>`, then the `polling_url` it names, which lies in the region that took the work.
//! There is no way to cancel. Sources: `docs.bfl.ai` ("Integration guidelines"), `help.bfl.ai` ("Which API endpoint
//! should I use?").

use std::time::Duration;

use serde_json::{Map, Value};

use super::handle::{Fault, State};
use super::preset::{Accepted, Preset, Submission, just_one, no_such, path_of, text, words};
use super::stage::Stage;
use crate::task::{Image, ImageInference, ImageResult, Product, Usage, Work};
use crate::wire::Malformed;
use crate::wire::fields::{Dialect, translated};

/// A delivered image can be fetched for ten minutes.
const URL_LIFETIME: Duration = Duration::from_secs(600);
/// Prices are told in credits of one cent.
const DOLLARS_PER_CREDIT: f64 = 0.01;

/// Most images that a model here begins from.
const MOST_INPUTS: usize = 8;

/// In the names of models that take a ratio instead of width and height.
const BY_RATIO: [&str; 2] = ["ultra", "kontext"];

#[derive(Debug)]
pub(crate) struct Bfl;

impl Preset for Bfl {
    fn name(&self) -> &'static str {
        "bfl"
    }

    fn key_header(&self, key: &str) -> (&'static str, String) {
        ("x-key", key.to_owned())
    }

    fn hosts(&self) -> &'static [&'static str] {
        &["api.bfl.ai", "api.*.bfl.ai"]
    }

    fn submission(&self, work: &Work, upstream: &str) -> Result<Submission, Malformed> {
        let Work::Image(task) = work else { return Err(no_such("bfl", work, "image tasks")) };
        just_one(task.count)?;
        let mut body = translated(&task.extra, Dialect::Bfl, upstream);
        body.insert("prompt".into(), task.prompt.clone().into());
        if BY_RATIO.iter().any(|name| upstream.contains(name)) {
            body.entry("aspect_ratio").or_insert_with(|| ratio(task.width, task.height).into());
        } else {
            body.remove("aspect_ratio");
            body.insert("width".into(), task.width.into());
            body.insert("height".into(), task.height.into());
        }
        put_inputs(&mut body, task)?;
        if let Some(steps) = task.steps {
            body.insert("steps".into(), steps.into());
        }
        Ok(Submission { path: format!("/{}", path_of(upstream)?), body: Value::Object(body) })
    }

    fn accepted(&self, _: &str, _: &Work, answer: &Value) -> Result<Accepted, Malformed> {
        Ok(Accepted {
            id: text(answer, "id")?,
            poll_url: text(answer, "polling_url")?,
            cancel_url: None,
            state: State::Queued(None),
        })
    }

    fn state(&self, _: &Work, answer: &Value) -> Result<State, Malformed> {
        Ok(match Stage::of(&text(answer, "status")?) {
            Stage::Done => {
                let result = answer.get("result").ok_or_else(|| Malformed::new("result", "is missing"))?;
                let dollars = answer.get("cost").and_then(Value::as_f64).map(|credits| credits * DOLLARS_PER_CREDIT);
                let image = Image {
                    id: answer.get("id").and_then(Value::as_str).map(str::to_owned),
                    url: Some(text(result, "sample")?),
                    base64: None,
                    seed: result.get("seed").and_then(Value::as_u64),
                    nsfw: None,
                    url_lifetime: Some(URL_LIFETIME),
                };
                let usage = Usage { dollars, ..Usage::default() };
                State::Done(Product::Image(ImageResult { images: vec![image], usage }))
            }
            Stage::Moderated => State::Failed(Fault::Request, words(answer)),
            Stage::Failed => {
                let words = words(answer);
                State::Failed(Fault::read(&words), format!("the generation failed: {words}"))
            }
            stage => stage.state(),
        })
    }
}

/// Writes width and height as the ratio of the smallest whole numbers.
fn ratio(width: u64, height: u64) -> String {
    let (mut divisor, mut rest) = (width.max(1), height.max(1));
    while rest > 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    format!("{}:{}", width / divisor, height / divisor)
}

/// Writes the images to begin from: `image` and `mask` for models that fill, else `input_image`, `input_image_2`, ….
fn put_inputs(body: &mut Map<String, Value>, task: &ImageInference) -> Result<(), Malformed> {
    // Base64 is wanted as it is, without what a data URI puts before it.
    let bare = |image: &str| image.split_once(";base64,").map_or(image, |(_, data)| data).to_owned();
    let inputs = task.inputs.len();
    if inputs > MOST_INPUTS || (task.mask.is_some() && inputs != 1) {
        let most = if task.mask.is_some() { 1 } else { MOST_INPUTS };
        let problem = format!("must be at most {most} at this provider, and one with a mask, not {inputs}");
        return Err(Malformed::new("image", problem));
    }
    for (index, image) in task.inputs.iter().enumerate() {
        let name = match (&task.mask, index) {
            (Some(_), _) => "image".to_owned(),
            (None, 0) => "input_image".to_owned(),
            (None, index) => format!("input_image_{}", index + 1),
        };
        body.insert(name, bare(image).into());
    }
    body.extend(task.mask.as_ref().map(|mask| ("mask".to_owned(), bare(mask).into())));
    Ok(())
}
