//! Orders of videos.

use std::sync::Arc;

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::store::{Made, answer};
use crate::Error;
use crate::clock::unix_time;
use crate::contract::provider::Reply;
use crate::engine::caller::plan::Plan;
use crate::gateway::app::Gateway;
use crate::gateway::http::body::{self, content_type};
use crate::gateway::http::caller::{Caller, Wishes};
use crate::gateway::http::refusal::Refusal;
use crate::gateway::http::request_span;
use crate::jobs::{Asked, Claim, Finished, Key, REFUSED_AT_ONCE};
use crate::task::{Product, Task, Video, VideoInference, Work};
use crate::telemetry::{Marked, Marks};
use crate::wire::form::Form;
use crate::wire::size::Size;
use crate::wire::{Malformed, Request};

/// Longest prompt of a video, in bytes: it is kept with the video.
const LONGEST_PROMPT: usize = 64 * 1024;
/// Length of a video whose order names none, in seconds, as OpenAI has it.
const SECONDS: &str = "4";
/// Size of a video whose order names none, as OpenAI has it.
const SIZE: &str = "720x1280";
/// `POST /v1/videos`.
pub(in crate::gateway) async fn create(
    request: HttpRequest,
    Caller { tenant, wishes: Wishes { class, max_wait }, origin }: Caller,
    payload: Payload,
    gateway: Data<Gateway>,
) -> Result<HttpResponse, Refusal> {
    let settings = gateway.fairflow.settings();
    let body = body::read(&request, payload, settings.server.max_body.0).await?;
    let (order, task) = read(fields(content_type(&request), &body)?)?;
    let name = order["id"].as_str().unwrap_or_default();
    let key: Key = (tenant.clone(), name.into());
    request_span::note_model(task.model());
    let witness = gateway.telemetry.witness(&origin, "video_generation", Some(name.into()));
    let spec = Plan { tenant: Some(tenant), class, max_wait, witness, ..Plan::of(&task) };
    let now = gateway.fairflow.now();
    let order = order.to_string();
    let asked = Asked { kind: &order, digest: [0; 32], detached: true };
    let claim = gateway.videos.claim(&key, asked, settings.delivery.jobs, now);
    let Claim::New(ticket, mut watch) = claim else { return Err(Refusal::too_many_jobs()) };
    let (maker, bytes) = (gateway.clone(), order.len() + 2_048);
    let making = ticket.run(async move {
        let name = Arc::from(format!("{}/{}", key.0, key.1));
        let work = Request::Typed(Work::Video(task));
        let outcome = match maker.fairflow.dispatch_job(spec, &work, Some(name)).await {
            Ok((reply, settling, _)) => {
                settling.done();
                first_video(reply)
            }
            Err(error) => Err(error.into()),
        };
        let value = Made { outcome, completed: unix_time() };
        Finished { value, bytes, failed: false, at: maker.fairflow.now() }
    });
    tokio::spawn(Marked::new(Marks::current(), Box::pin(making)));
    // What is refused at once is refused here, where an SDK sees it, and not as a video that failed.
    drop(tokio::time::timeout(REFUSED_AT_ONCE, watch.wait_for(Option::is_some)).await);
    if let Some(Err(refusal)) = watch.borrow().as_ref().map(|made| &made.outcome) {
        return Err(refusal.clone());
    }
    Ok(answer(&order, &watch))
}

/// Reads the fields of a form, or of a JSON object.
fn fields(content_type: &str, body: &Bytes) -> Result<Map<String, Value>, Malformed> {
    match Form::parse(content_type, body)? {
        Some(form) => form.fields(),
        None => serde_json::from_slice(body)
            .map_err(|error| Malformed::new("body", format!("must be a JSON object or multipart/form-data: {error}"))),
    }
}

fn first_video(reply: Reply) -> Result<Video, Refusal> {
    let Reply::Product(Product::Video(mut result)) = reply else {
        return Err(Error::Internal("the provider made no video".into()).into());
    };
    if result.videos.is_empty() {
        return Err(Error::Internal("the provider made no video".into()).into());
    }
    Ok(result.videos.remove(0))
}

/// Reads an order: what is told of it, and what is done.
fn read(mut fields: Map<String, Value>) -> Result<(Value, VideoInference), Malformed> {
    let mut text = |name: &'static str| match fields.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(_) => Err(Malformed::new(name, "must be a string")),
    };
    let required = |name, value: Option<String>| {
        value.filter(|text| !text.is_empty()).ok_or_else(|| Malformed::new(name, "is missing"))
    };
    let (model, prompt) = (required("model", text("model")?)?, required("prompt", text("prompt")?)?);
    if prompt.len() > LONGEST_PROMPT {
        let problem = format!("must be at most {LONGEST_PROMPT} bytes, not {}", prompt.len());
        return Err(Malformed::new("prompt", problem));
    }
    let (seconds, size, reference) = (text("seconds")?, text("size")?, text("input_reference")?);
    let mut task = VideoInference::new(&model, &prompt);
    if let Some(seconds) = &seconds {
        let wrong = || Malformed::new("seconds", "must be a number above 0");
        let seconds = seconds.parse().ok().filter(|seconds: &f64| seconds.is_finite() && *seconds > 0.0);
        task = task.seconds(seconds.ok_or_else(wrong)?);
    }
    if let Some(size) = &size {
        let wrong = || Malformed::new("size", "must be WIDTHxHEIGHT in pixels, a ratio as 16:9, 720p or auto");
        let size = Size::read(size).ok_or_else(wrong)?;
        if let Some((width, height)) = size.of_video() {
            task = task.size(width, height);
        }
    }
    if let Some(reference) = reference {
        task = task.first_frame(reference);
    }
    for (name, value) in fields {
        task = task.set(name, value);
    }
    let id = format!("video_{}", uuid::Uuid::new_v4().simple());
    let order = json!({"id": id, "object": "video", "created_at": unix_time(), "model": model, "prompt": prompt,
        "seconds": seconds.as_deref().unwrap_or(SECONDS), "size": size.as_deref().unwrap_or(SIZE), "status": "in_progress", "progress": 0,
        "completed_at": null, "expires_at": null, "error": null, "remixed_from_video_id": null});
    Ok((order, task))
}
