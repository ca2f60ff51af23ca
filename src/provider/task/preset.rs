//! Presets, which say how the services that are submitted to and polled differ.

use std::fmt;
use std::time::Duration;

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Map, Value};

use super::handle::State;
use crate::provider::Failure;
use crate::provider::translate::inexpressible;
use crate::task::{ImageInference, Work};
use crate::wire::Malformed;
use crate::wire::said::Said;
use crate::wire::whole_or_not;

/// A request in a service's own form, below its base URL.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Submission {
    pub(crate) path: String,
    pub(crate) body: Value,
}

/// A service's answer to a submission: where to ask, and perhaps already how the generation stands.
#[derive(Debug, PartialEq)]
pub(crate) struct Accepted {
    pub(crate) id: String,
    pub(crate) poll_url: String,
    pub(crate) cancel_url: Option<String>,
    pub(crate) state: State,
}

/// A service's dialect. It only writes and reads: the adapter sends, waits and decides.
pub(crate) trait Preset: fmt::Debug + Send + Sync {
    /// Returns the name of the kind.
    fn name(&self) -> &'static str;

    /// Returns the header that carries the key, and its value.
    fn key_header(&self, key: &str) -> (&'static str, String) {
        ("authorization", format!("Bearer {key}"))
    }

    /// Returns hosts of the service, beside that of the base URL, to which its polling URLs lead.
    fn hosts(&self) -> &'static [&'static str] {
        &[]
    }

    /// Says whether this work is OpenAI-shaped there.
    fn is_openai_shaped(&self, _: &Work) -> bool {
        false
    }

    /// Rewrites OpenAI-shaped work that the service wants otherwise than OpenAI does; `foreign` where its parameters are
    /// another dialect's.
    ///
    /// # Errors
    ///
    /// [`Malformed`] names what the service cannot do.
    fn openai_shaped(&self, _: &Work, _foreign: bool) -> Result<Option<Work>, Malformed> {
        Ok(None)
    }

    /// Writes work as a submission.
    ///
    /// # Errors
    ///
    /// [`Malformed`] names what the service cannot do.
    fn submission(&self, work: &Work, upstream: &str) -> Result<Submission, Malformed>;

    /// Reads the answer to a submission.
    ///
    /// # Errors
    ///
    /// [`Malformed`] names what is missing.
    fn accepted(&self, base_url: &str, work: &Work, answer: &Value) -> Result<Accepted, Malformed>;

    /// Reads a state.
    ///
    /// # Errors
    ///
    /// [`Malformed`] names what is missing or not known.
    fn state(&self, work: &Work, answer: &Value) -> Result<State, Malformed>;

    /// Reads a result that was fetched from [`State::ReadyAt`]; `None` where the answer says nothing final.
    fn result(&self, _work: &Work, _status: u16, _headers: &HeaderMap, _answer: &Value) -> Option<State> {
        None
    }

    /// Returns how a generation is cancelled at `cancel_url`.
    fn cancel_method(&self) -> Method {
        Method::POST
    }
}

/// Words a request that a service cannot carry out: the caller's to change, before anything is spent.
pub(crate) fn unable(kind: &str, malformed: &Malformed) -> Failure {
    inexpressible(format!("{kind} cannot do this: {malformed}")).caused_by(malformed.clone())
}

/// Refuses a kind of work.
pub(crate) fn no_such(kind: &str, work: &Work, does: &str) -> Malformed {
    Malformed::new("model", format!("is served by {kind}, which does {does}, not {} tasks", work.kind()))
}

/// Refuses more than one result, for services that make one per submission.
pub(crate) fn just_one(count: u64) -> Result<(), Malformed> {
    if count == 1 { Ok(()) } else { Err(Malformed::new("count", format!("must be 1 at this provider, not {count}"))) }
}

/// Writes the images to begin from, and the mask, under a service's own names: `one` for a single image, `several` for
/// more, where there is such a name.
pub(crate) fn put_inputs(
    body: &mut Map<String, Value>,
    task: &ImageInference,
    one: &str,
    several: Option<&str>,
    mask: &str,
) -> Result<(), Malformed> {
    match (&task.inputs[..], several) {
        ([], _) if task.mask.is_some() => return Err(Malformed::new("mask", "needs an image that it is the mask of")),
        ([], _) => {}
        ([image], _) => drop(body.insert(one.to_owned(), image.clone().into())),
        (images, Some(several)) => drop(body.insert(several.to_owned(), images.into())),
        (images, None) => {
            let problem = format!("must be one image at this provider, not {}", images.len());
            return Err(Malformed::new("image", problem));
        }
    }
    body.extend(task.mask.as_ref().map(|image| (mask.to_owned(), image.clone().into())));
    Ok(())
}

/// Adds what video and audio have in common.
pub(crate) fn timed(prompt: &str, seconds: Option<f64>, mut body: Map<String, Value>) -> Map<String, Value> {
    body.insert("prompt".into(), prompt.into());
    if let Some(seconds) = seconds {
        body.insert("duration".into(), whole_or_not(seconds));
    }
    body
}

/// Checks a model's name that becomes part of a path: a caller may have chosen it.
pub(crate) fn path_of(upstream: &str) -> Result<&str, Malformed> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:@".contains(&byte);
    let walks = upstream.split('/').any(|part| matches!(part, "" | "." | ".."));
    if walks || !upstream.bytes().all(plain) {
        return Err(Malformed::new("model", format!("{upstream:?} is no model name of this provider")));
    }
    Ok(upstream)
}

/// Returns what an answer says of a generation that failed.
pub(crate) fn words(answer: &Value) -> String {
    Said::of(answer).map_or_else(|| "the generation failed".to_owned(), |said| said.message)
}

/// Returns a text field.
pub(crate) fn text(answer: &Value, field: &str) -> Result<String, Malformed> {
    let found = answer.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
    found.map(str::to_owned).ok_or_else(|| Malformed::new(field, "is missing from the answer"))
}

pub(crate) const HOUR: Duration = Duration::from_secs(3_600);
