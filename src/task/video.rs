//! Moving images from a prompt, a first frame, or both.

use std::time::Duration;

use serde_json::{Map, Value};

use super::image::UNIT_PIXELS;
use super::usage::Usage;
use crate::core::cost::Cost;

/// Seconds assumed where the request names none.
const DEFAULT_SECONDS: f64 = 5.0;
/// Frames per second assumed where the request names none.
const DEFAULT_FPS: u64 = 24;
/// Pixels assumed where the request names none: 720p.
const DEFAULT_PIXELS: u64 = 1280 * 720;

/// Predicts the cost of videos: count × seconds × frames per second × quarter-megapixels, at least one.
pub(crate) fn video_cost(count: u64, seconds: Option<f64>, fps: Option<u64>, size: Option<(u64, u64)>) -> Cost {
    let pixels = size.map_or(DEFAULT_PIXELS, |(width, height)| width.saturating_mul(height));
    let area = pixels.div_ceil(UNIT_PIXELS).max(1);
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "saturates"
    )]
    let frames = (seconds.unwrap_or(DEFAULT_SECONDS).max(0.0) * fps.unwrap_or(DEFAULT_FPS) as f64).ceil() as u64;
    Cost::new(count.max(1).saturating_mul(frames.max(1)).saturating_mul(area))
}

/// Video inference: one prompt, one or more videos.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct VideoInference {
    /// Name of the model.
    pub model: String,
    /// The prompt: a description of the video.
    pub prompt: String,
    /// Length; `None` for the model's own.
    pub seconds: Option<f64>,
    /// Frames per second; `None` for the model's own.
    pub fps: Option<u64>,
    /// Width and height in pixels; `None` for the model's own.
    pub size: Option<(u64, u64)>,
    /// The image it begins with: URL or data URI.
    pub first_frame: Option<String>,
    /// How many videos are wanted.
    pub count: u64,
    /// Other parameters, under the names the provider knows.
    pub extra: Map<String, Value>,
}

impl VideoInference {
    /// Asks for one video of the model's own length, size and frame rate.
    ///
    /// # Examples
    ///
    /// ```
    /// use fairflow::task::{Task, VideoInference};
    ///
    /// let task = VideoInference::new("seedance", "a red fox runs").seconds(5.0).fps(24).size(1024, 512);
    /// // seconds × frames per second × quarter-megapixels
    /// assert_eq!(task.cost().units(), 240);
    /// ```
    #[must_use]
    pub fn new(model: impl Into<String>, prompt: impl Into<String>) -> Self {
        Self {
            model: model.into(),
            prompt: prompt.into(),
            seconds: None,
            fps: None,
            size: None,
            first_frame: None,
            count: 1,
            extra: Map::new(),
        }
    }

    setters!(seconds, count, extra);

    /// Sets the frames per second.
    #[must_use]
    pub fn fps(mut self, fps: u64) -> Self {
        self.fps = Some(fps);
        self
    }

    /// Sets width and height in pixels.
    #[must_use]
    pub fn size(mut self, width: u64, height: u64) -> Self {
        self.size = Some((width, height));
        self
    }

    /// Begins with an image: URL or data URI.
    #[must_use]
    pub fn first_frame(mut self, image: impl Into<String>) -> Self {
        self.first_frame = Some(image.into());
        self
    }

    /// Predicts the work of the task.
    pub(super) fn predicted(&self) -> Cost {
        video_cost(self.count, self.seconds, self.fps, self.size)
    }
}

/// A video, by its address.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Video {
    /// The provider's id, where it gives one.
    pub id: Option<String>,
    /// Where the video can be fetched.
    pub url: Option<String>,
    /// Seed that makes it again.
    pub seed: Option<u64>,
    /// How long the URL stays good, from when it was told; `None` where the provider does not say.
    pub url_lifetime: Option<Duration>,
}

impl Video {
    setters!(at);
}

/// The videos of one task.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct VideoResult {
    /// As many as were asked for, unless the provider delivered fewer.
    pub videos: Vec<Video>,
    /// Price, where known.
    pub usage: Usage,
}

impl VideoResult {
    /// Wraps the videos of a task.
    #[must_use]
    pub fn new(videos: Vec<Video>) -> Self {
        Self { videos, ..Self::default() }
    }

    setters!(usage);
}
