//! Sound from a prompt: speech, music, effects.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{Product, Task, Usage, Work};
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
pub struct AudioInference {
    pub(crate) model: String,
    pub(crate) prompt: String,
    pub(crate) seconds: Option<f64>,
    pub(crate) count: u64,
    pub(crate) extra: Map<String, Value>,
}

impl AudioInference {
    /// Asks for one piece of the model's own length.
    #[must_use]
    pub fn new(model: impl Into<String>, prompt: impl Into<String>) -> Self {
        Self { model: model.into(), prompt: prompt.into(), seconds: None, count: 1, extra: Map::new() }
    }

    /// Sets the length in seconds.
    #[must_use]
    pub fn seconds(mut self, seconds: f64) -> Self {
        self.seconds = Some(seconds);
        self
    }

    /// Sets how many pieces are wanted; default 1.
    #[must_use]
    pub fn count(mut self, count: u64) -> Self {
        self.count = count;
        self
    }

    /// Sets any other parameter, under the name the provider knows.
    #[must_use]
    pub fn set(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.extra.insert(name.into(), value.into());
        self
    }
}

/// One piece of sound: where it is, or itself.
#[derive(Debug, Clone, PartialEq, Default)]
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

/// The pieces of one task.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AudioResult {
    /// As many as were asked for, unless the provider delivered fewer.
    pub audios: Vec<Audio>,
    /// Price, where known.
    pub usage: Usage,
}

impl Task for AudioInference {
    type Output = AudioResult;

    fn model(&self) -> &str {
        &self.model
    }

    fn cost(&self) -> Cost {
        audio_cost(self.count, self.seconds)
    }

    fn into_work(self) -> Work {
        Work::Audio(self)
    }

    fn output(product: Product) -> Result<AudioResult, Product> {
        match product {
            Product::Audio(result) => Ok(result),
            other => Err(other),
        }
    }
}
