//! The videos of tenants, each a job under its own id, and how they stand.

use actix_web::HttpResponse;
use serde_json::{Value, json};

use crate::gateway::http::refusal::Refusal;
use crate::jobs::Watch;
use crate::task::Video;

/// When an SDK is to ask again, in milliseconds.
const POLL_AFTER: &str = "1000";

/// The end of a video.
#[derive(Debug)]
pub(in crate::gateway) struct Made {
    pub(super) outcome: Result<Video, Refusal>,
    /// Seconds since 1970.
    pub(super) completed: u64,
}

/// Describes how a video stands.
pub(super) fn describe(order: &str, watch: &Watch<Made>) -> Value {
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

/// Answers with how a video stands.
pub(super) fn answer(order: &str, watch: &Watch<Made>) -> HttpResponse {
    HttpResponse::Ok().insert_header(("openai-poll-after-ms", POLL_AFTER)).json(describe(order, watch))
}
