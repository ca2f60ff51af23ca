//! Results of tasks, in typed form.

use super::audio::AudioResult;
use super::embedding::EmbeddingResult;
use super::image::ImageResult;
use super::raw::RawResult;
use super::text::TextResult;
use super::usage::Usage;
use super::video::VideoResult;

/// A finished generation.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Product {
    /// Of a text task.
    Text(TextResult),
    /// Of an image or upscale task.
    Image(ImageResult),
    /// Of a video task.
    Video(VideoResult),
    /// Of an audio task.
    Audio(AudioResult),
    /// Of an embedding task.
    Embedding(EmbeddingResult),
    /// Of any other task.
    Raw(RawResult),
}

impl Product {
    /// Returns what the generation used.
    #[must_use]
    pub fn usage(&self) -> Usage {
        match self {
            Self::Text(result) => result.usage,
            Self::Image(result) => result.usage,
            Self::Video(result) => result.usage,
            Self::Audio(result) => result.usage,
            Self::Embedding(result) => result.usage,
            Self::Raw(result) => result.usage,
        }
    }
}
