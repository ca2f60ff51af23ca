//! Videos: ordered, asked for, fetched. Each is a job under its own id, kept like every asynchronous result.

mod list;

use std::sync::Arc;

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value, json};
use tracing::{Instrument, Span};

pub(in crate::gateway) use self::list::{list, remove};
use super::{content_type, own, refuse};
use crate::Error;
use crate::clock::unix_time;
use crate::contract::provider::Reply;
use crate::engine::caller::plan::Plan;
use crate::gateway::refusal::{Refusal, request_id};
use crate::gateway::state::Gateway;
use crate::gateway::{auth, body, trail};
use crate::jobs::{Claim, Finished, Key, Watch};
use crate::task::{Product, Task, Video, VideoInference, Work};
use crate::wire::Malformed;
use crate::wire::Request;
use crate::wire::form::Form;
use crate::wire::size::Size;

/// Longest prompt, in bytes: it is kept with the video.
const LONGEST_PROMPT: usize = 64 * 1024;
/// What a video is said to be whose order does not say: as OpenAI has it.
const SECONDS: &str = "4";
const SIZE: &str = "720x1280";
/// When an SDK is to ask again, in milliseconds.
const POLL_AFTER: &str = "1000";

/// How a video ended.
#[derive(Debug)]
pub(in crate::gateway) struct Made {
    outcome: Result<Video, Refusal>,
    completed: u64,
}

/// `POST /v1/videos`.
pub(in crate::gateway) async fn create(request: HttpRequest, payload: Payload, gateway: Data<Gateway>) -> HttpResponse {
    let id = request_id(&request);
    order(&request, payload, &gateway, &id).await.unwrap_or_else(|refusal| refuse(&gateway, &refusal, &id))
}

/// `GET /v1/videos/{id}`.
pub(in crate::gateway) async fn state(
    request: HttpRequest,
    video: Path<String>,
    gateway: Data<Gateway>,
) -> HttpResponse {
    let id = request_id(&request);
    let found = find(&request, &gateway, &video);
    found.map(|(order, watch)| answer(&order, &watch, &id)).unwrap_or_else(|refusal| refuse(&gateway, &refusal, &id))
}

/// `POST /v1/videos/{id}/remix`.
pub(in crate::gateway) async fn remix(request: HttpRequest, gateway: Data<Gateway>) -> HttpResponse {
    let refusal = Refusal::not_offered("remixes of videos", "order a new video that says what is to be otherwise");
    refuse(&gateway, &refusal, &request_id(&request))
}

/// `GET /v1/videos/{id}/content`: leads to where the provider keeps it, or answers with it where the provider sent it along.
pub(in crate::gateway) async fn content(
    request: HttpRequest,
    video: Path<String>,
    gateway: Data<Gateway>,
) -> HttpResponse {
    let id = request_id(&request);
    let located = find(&request, &gateway, &video).and_then(|(_, watch)| {
        let made = watch.borrow().clone();
        let made = made.ok_or_else(|| Malformed::new("video_id", "names a video that is not completed yet"))?;
        let url = made.outcome.as_ref().map_err(Clone::clone)?.url.clone();
        Ok(url.ok_or_else(|| Error::Internal("the provider told no address".into()))?)
    });
    match located {
        Ok(url) => match inline(&url) {
            Some((kind, film)) => HttpResponse::Ok().insert_header(("x-request-id", id)).content_type(kind).body(film),
            None => HttpResponse::Found()
                .insert_header(("x-request-id", id))
                .insert_header(("location", url.as_str()))
                .finish(),
        },
        Err(refusal) => refuse(&gateway, &refusal, &id),
    }
}

/// Reads what an address holds itself: a data URI.
fn inline(url: &str) -> Option<(&str, Vec<u8>)> {
    let (kind, data) = url.strip_prefix("data:")?.split_once(";base64,")?;
    Some((kind, STANDARD.decode(data).ok()?))
}

fn find(request: &HttpRequest, gateway: &Gateway, video: &str) -> Result<(Arc<str>, Watch<Made>), Refusal> {
    let key = own(request, gateway, video)?;
    gateway.videos.find(&key, gateway.fairflow.now()).ok_or_else(Refusal::unknown_video)
}

async fn order(
    request: &HttpRequest,
    payload: Payload,
    gateway: &Data<Gateway>,
    id: &str,
) -> Result<HttpResponse, Refusal> {
    let settings = gateway.fairflow.settings();
    let tenant = auth::tenant(request, &settings, None)?;
    let auth::Wishes { class, max_wait } = auth::wishes(request)?;
    let body = body::read(request, payload, settings.server.max_body.0).await?;
    let (order, task) = read(fields(content_type(request), &body)?)?;
    let name = order["id"].as_str().unwrap_or_default();
    let key: Key = (tenant.clone(), name.into());
    trail::note("model", task.model());
    let witness = gateway.telemetry.witness(&trail::origin(request, id), "video_generation", Some(name.into()));
    let spec = Plan { tenant: Some(tenant), class, max_wait, witness, ..Plan::of(&task) };
    let now = gateway.fairflow.now();
    let order = order.to_string();
    let claim = gateway.videos.claim(&key, (&order, [0; 32]), true, settings.delivery.jobs, now);
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
    tokio::spawn(making.instrument(Span::current()));
    // What is refused at once is refused here, where an SDK sees it, and not as a video that failed.
    let moment = std::time::Duration::from_millis(25);
    drop(tokio::time::timeout(moment, watch.wait_for(Option::is_some)).await);
    if let Some(Err(refusal)) = watch.borrow().as_ref().map(|made| &made.outcome) {
        return Err(refusal.clone());
    }
    Ok(answer(&order, &watch, id))
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

/// Says how a video stands.
fn describe(order: &str, watch: &Watch<Made>) -> Value {
    let mut video: Value = serde_json::from_str(order).unwrap_or_default();
    if let Some(made) = &*watch.borrow() {
        video["completed_at"] = made.completed.into();
        match &made.outcome {
            Ok(told) => {
                video["status"] = "completed".into();
                video["progress"] = 100.into();
                video["expires_at"] = told.url_lifetime.map(|span| made.completed + span.as_secs()).into();
            }
            Err(refusal) => {
                video["status"] = "failed".into();
                video["error"] = json!({"code": refusal.openai_code(), "message": refusal.message});
            }
        }
    }
    video
}

fn answer(order: &str, watch: &Watch<Made>, id: &str) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header(("x-request-id", id))
        .insert_header(("openai-poll-after-ms", POLL_AFTER))
        .json(describe(order, watch))
}
