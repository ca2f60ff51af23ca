//! A larger image from a small one.

use serde_json::{Map, Value};

use crate::core::cost::Cost;

/// Bytes of base64 input per cost unit: about a 64-pixel photograph as PNG. The pixels are not known without
/// decoding, and compressed size follows them closely enough to tell small from large.
const UNIT_BYTES: u64 = 10_000;

/// Upscaling of one image.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ImageUpscale {
    /// Name of the model.
    pub model: String,
    /// The image: base64, data URI, URL or a provider's id.
    pub image: String,
    /// How much larger.
    pub factor: u64,
    /// Other parameters, under the names the provider knows.
    pub extra: Map<String, Value>,
}

impl ImageUpscale {
    /// Upscales `image` (base64, data URI, URL or a provider's id) by `factor`.
    #[must_use]
    pub fn new(model: impl Into<String>, image: impl Into<String>, factor: u64) -> Self {
        Self { model: model.into(), image: image.into(), factor, extra: Map::new() }
    }

    setters!(extra);

    /// Predicts the work of the task.
    pub(super) fn predicted(&self) -> Cost {
        upscale_cost(self.image.len() as u64)
    }
}

/// Predicts the cost of upscaling an image given inline; a reference costs one unit.
pub(crate) fn upscale_cost(image_bytes: u64) -> Cost {
    Cost::new(image_bytes.div_ceil(UNIT_BYTES))
}
