//! Doors to the parsers of this room, for those who throw everything at them (`tests/fuzz`). No public interface.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::Failure;
use super::http::classify;
use super::task::preset_of;
use crate::config;
use crate::task::{ImageInference, RawTask, VideoInference, Work};
use crate::wire::said::Said;

/// Reads lines of `name: value` as the headers of an answer.
pub fn headers(data: &[u8]) {
    let headers = lines(data);
    std::hint::black_box((super::headers::hints(&headers), super::headers::stated_wait(&headers, data)));
}

/// Reads a line with a status, lines of headers, an empty line and a body as an answer that is no success.
pub fn verdict(data: &[u8]) -> Failure {
    let line = data.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let status = std::str::from_utf8(line).ok().and_then(|line| line.trim().parse().ok()).unwrap_or(500);
    let rest = &data[line.len()..];
    let split = rest.windows(2).position(|pair| pair == b"\n\n").map_or(rest.len(), |at| at + 2);
    classify(status, &lines(&rest[..split]), bytes::Bytes::copy_from_slice(&rest[split..]))
}

fn lines(data: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n').take(64) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = line.split_at(colon);
        let pair = HeaderName::from_bytes(name).ok().zip(HeaderValue::from_bytes(value[1..].trim_ascii()).ok());
        headers.extend(pair.map(|(name, value)| (Some(name), value)));
    }
    headers
}

/// Reads JSON as what each service answers to a submission, a question, and for a result.
pub fn polls(data: &[u8]) {
    std::hint::black_box(Said::read(data));
    let Ok(answer) = serde_json::from_slice::<Value>(data) else { return };
    let raw = Work::Raw(RawTask::new("videoInference", "m").set("taskUUID", "u"));
    let works = [Work::Image(ImageInference::new("m", "x")), Work::Video(VideoInference::new("m", "x")), raw];
    let kinds = [config::Preset::Ark, config::Preset::Bfl, config::Preset::Fal, config::Preset::Replicate];
    super::runware::read_answer(data);
    for preset in kinds.into_iter().map(preset_of) {
        for work in &works {
            drop(preset.accepted("https://api.invalid/v1", work, &answer));
            drop(preset.state(work, &answer));
            for status in [200, 404, 422, 500] {
                drop(preset.result(work, status, &HeaderMap::new(), &answer));
            }
        }
    }
}

/// Reads a frame of a server's socket.
#[cfg(feature = "websocket")]
pub fn frame(data: &[u8]) {
    super::runware::read_frame(data);
}
