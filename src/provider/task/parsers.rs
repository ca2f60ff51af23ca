//! Tests that every answer of a polled service is read or refused: no parser panics.

use proptest::prelude::*;
use reqwest::header::HeaderMap;
use serde_json::{Map, Value, json};

use super::ark::Ark;
use super::bfl::Bfl;
use super::fal::Fal;
use super::preset::Preset;
use super::replicate::Replicate;
use crate::task::{ImageInference, VideoInference, Work};

/// Names that some preset looks for.
const NAMES: &[&str] = &[
    "id",
    "polling_url",
    "request_id",
    "status_url",
    "response_url",
    "cancel_url",
    "status",
    "result",
    "sample",
    "urls",
    "get",
    "cancel",
    "output",
    "error",
    "message",
    "detail",
    "images",
    "video",
    "url",
    "content",
    "video_url",
    "data",
    "usage",
    "metrics",
    "queue_position",
    "seed",
    "code",
];
const TEXTS: &[&str] = &[
    "Pending",
    "Ready",
    "Error",
    "Request Moderated",
    "Content Moderated",
    "Task not found",
    "IN_QUEUE",
    "IN_PROGRESS",
    "COMPLETED",
    "starting",
    "processing",
    "succeeded",
    "failed",
    "canceled",
    "queued",
    "running",
    "cancelled",
    "expired",
    "https://x.invalid/y",
    "/relative",
    "",
    "é",
];

fn answers() -> impl Strategy<Value = Value> {
    let name = || proptest::sample::select(NAMES).prop_map(str::to_owned);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        proptest::sample::select(TEXTS).prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 30, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(name(), inner, 0..8)
                .prop_map(|map| Value::Object(map.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

proptest! {
    #[test]
    fn any_answer_is_read_or_refused(answer in answers(), status in 100u16..600) {
        let presets: [&dyn Preset; 4] = [&Ark, &Bfl, &Fal, &Replicate];
        let works = [Work::Image(ImageInference::new("m", "x")), Work::Video(VideoInference::new("m", "x"))];
        for preset in presets {
            for work in &works {
                drop(preset.accepted("https://api.invalid/v1", work, &answer));
                drop(preset.state(work, &answer));
                drop(preset.result(work, status, &HeaderMap::new(), &answer));
            }
            let state = preset.state(&works[0], &json!({}));
            prop_assert!(state.is_err(), "an empty answer says nothing");
        }
    }
}
