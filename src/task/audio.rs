//! Sound from a prompt: speech, music, effects.

use std::time::Duration;

use serde_json::{Map, Value};

use super::usage::Usage;
use crate::core::cost::Cost;

/// Seconds assumed where the request names none.
const DEFAULT_SECONDS: f64 = 10.0;

/// Predicts the cost of sound: count × seconds, at least one.
pub(crate) fn audio_cost(count: u64, seconds: Option<f64>) -> Cost {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative, and saturates")]
    let seconds = seconds.unwrap_or(DEFAULT_SECONDS).max(0.0).ceil() as u64;
    Cost::new(count.max(1).saturating_mul(seconds.max(1)))
}

/// Audio inference: one prompt, one or more pieces of sound.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct AudioInference {
    /// Name of the model.
    pub model: String,
    /// The prompt: a description of the sound.
    pub prompt: String,
    /// Length; `None` for the model's own.
    pub seconds: Option<f64>,
    /// How many pieces are wanted.
    pub count: u64,
    /// Other parameters, under the names the provider knows.
    pub extra: Map<String, Value>,
}

impl AudioInference {
    /// Asks for one piece of the model's own length.
    #[must_use]
    pub fn new(model: impl Into<String>, prompt: impl Into<String>) -> Self {
        Self { model: model.into(), prompt: prompt.into(), seconds: None, count: 1, extra: Map::new() }
    }

    setters!(seconds, count, extra);

    /// Predicts the work of the task.
    pub(super) fn predicted(&self) -> Cost {
        audio_cost(self.count, self.seconds)
    }
}

/// A piece of sound: its address, or itself.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Audio {
    /// The provider's id, where it gives one.
    pub id: Option<String>,
    /// Where the sound can be fetched.
    pub url: Option<String>,
    /// The sound, base64.
    pub base64: Option<String>,
    /// How long the URL stays good, from when it was told; `None` where the provider does not say.
    pub url_lifetime: Option<Duration>,
}

impl Audio {
    setters!(at, inline);
}

/// The pieces of one task.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct AudioResult {
    /// As many as were asked for, unless the provider delivered fewer.
    pub audios: Vec<Audio>,
    /// Price, where known.
    pub usage: Usage,
}

impl AudioResult {
    /// Wraps the pieces of sound of a task.
    #[must_use]
    pub fn new(audios: Vec<Audio>) -> Self {
        Self { audios, ..Self::default() }
    }

    setters!(usage);
}
