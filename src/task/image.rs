//! Images from a prompt.

use std::time::Duration;

use serde_json::{Map, Value};

use super::usage::Usage;
use crate::core::cost::Cost;

/// Pixels of one cost unit per step: a quarter of a megapixel (512 × 512).
pub(super) const UNIT_PIXELS: u64 = 512 * 512;
/// Steps assumed where the request names none.
const DEFAULT_STEPS: u64 = 28;

/// Predicts the cost of images: count × steps × quarter-megapixels, at least one each.
pub(crate) fn image_cost(count: u64, steps: Option<u64>, width: u64, height: u64) -> Cost {
    let area = width.saturating_mul(height).div_ceil(UNIT_PIXELS).max(1);
    Cost::new(count.max(1).saturating_mul(steps.unwrap_or(DEFAULT_STEPS).max(1)).saturating_mul(area))
}

/// Image inference: one prompt, one or more images.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ImageInference {
    /// Name of the model.
    pub model: String,
    /// The prompt: a description of the image.
    pub prompt: String,
    /// Pixels.
    pub width: u64,
    /// Pixels.
    pub height: u64,
    /// Inference steps; `None` for the model's own default.
    pub steps: Option<u64>,
    /// How many images are wanted.
    pub count: u64,
    /// Images to begin from: URL, data URI, base64, or a provider's id. Most models take one.
    pub inputs: Vec<String>,
    /// Mask: the part of the first input to change, in the same forms.
    pub mask: Option<String>,
    /// Other parameters, under the names the provider knows.
    pub extra: Map<String, Value>,
}

impl ImageInference {
    /// Asks for one image of 1024 × 1024 pixels.
    #[must_use]
    pub fn new(model: impl Into<String>, prompt: impl Into<String>) -> Self {
        Self {
            model: model.into(),
            prompt: prompt.into(),
            width: 1024,
            height: 1024,
            steps: None,
            count: 1,
            inputs: Vec::new(),
            mask: None,
            extra: Map::new(),
        }
    }

    /// Sets width and height in pixels.
    #[must_use]
    pub fn size(mut self, width: u64, height: u64) -> Self {
        (self.width, self.height) = (width, height);
        self
    }

    /// Sets the number of inference steps; left out, the model's own default.
    #[must_use]
    pub fn steps(mut self, steps: u64) -> Self {
        self.steps = Some(steps);
        self
    }

    /// Adds an image to begin from (URL, data URI, base64, or a provider's id).
    #[must_use]
    pub fn input(mut self, image: impl Into<String>) -> Self {
        self.inputs.push(image.into());
        self
    }

    /// Sets which part of the first input to change.
    #[must_use]
    pub fn mask(mut self, mask: impl Into<String>) -> Self {
        self.mask = Some(mask.into());
        self
    }

    setters!(count, extra);

    /// Predicts the work of the task.
    pub(super) fn predicted(&self) -> Cost {
        image_cost(self.count, self.steps, self.width, self.height)
    }
}

/// An image: its address, or itself.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Image {
    /// The provider's id, where it gives one.
    pub id: Option<String>,
    /// Where the image can be fetched.
    pub url: Option<String>,
    /// The image, base64.
    pub base64: Option<String>,
    /// Seed that makes it again.
    pub seed: Option<u64>,
    /// Whether it was found unsafe to show, where the provider has looked.
    pub nsfw: Option<bool>,
    /// How long the URL stays good, from when it was told; `None` where the provider does not say.
    pub url_lifetime: Option<Duration>,
}

impl Image {
    setters!(at, inline);
}

/// The images of one task.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct ImageResult {
    /// As many as were asked for, unless the provider delivered fewer.
    pub images: Vec<Image>,
    /// Price, where known.
    pub usage: Usage,
}

impl ImageResult {
    /// Wraps the images of a task.
    #[must_use]
    pub fn new(images: Vec<Image>) -> Self {
        Self { images, ..Self::default() }
    }

    setters!(usage);
}
