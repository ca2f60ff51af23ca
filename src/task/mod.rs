//! Typed generation messages and what comes back.
//!
//! A [`Task`] is what an embedder writes, [`Work`] is a task of any kind, a [`Product`] is what a provider made of it.

/// Setters that tasks share.
macro_rules! setters {
    ($($field:ident),+) => { $(setters!(@$field);)+ };
    (@count) => {
        /// Sets how many results are wanted; default 1.
        #[must_use]
        pub fn count(mut self, count: u64) -> Self {
            self.count = count;
            self
        }
    };
    (@seconds) => {
        /// Sets the length in seconds.
        #[must_use]
        pub fn seconds(mut self, seconds: f64) -> Self {
            self.seconds = Some(seconds);
            self
        }
    };
    (@finish_reason) => {
        /// Sets why the text ended: `stop`, `length`, …
        #[must_use]
        pub fn finish_reason(mut self, reason: impl Into<String>) -> Self {
            self.finish_reason = Some(reason.into());
            self
        }
    };
    (@at) => {
        /// Wraps the address of a result.
        #[must_use]
        pub fn at(url: impl Into<String>) -> Self {
            Self { url: Some(url.into()), ..Self::default() }
        }
    };
    (@inline) => {
        /// Wraps a result itself, base64.
        #[must_use]
        pub fn inline(base64: impl Into<String>) -> Self {
            Self { base64: Some(base64.into()), ..Self::default() }
        }
    };
    (@usage) => {
        /// Sets what the generation used.
        #[must_use]
        pub fn usage(mut self, usage: Usage) -> Self {
            self.usage = usage;
            self
        }
    };
    (@extra) => {
        /// Sets any other parameter, under the name the provider knows.
        #[must_use]
        pub fn set(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
            self.extra.insert(name.into(), value.into());
            self
        }
    };
}

mod audio;
mod embedding;
mod image;
mod product;
mod raw;
mod text;
mod tokens;
mod upscale;
mod usage;
mod video;
mod work;

pub(crate) use self::audio::audio_cost;
pub use self::audio::{Audio, AudioInference, AudioResult};
pub use self::embedding::{Embedding, EmbeddingResult};
pub(crate) use self::image::image_cost;
pub use self::image::{Image, ImageInference, ImageResult};
pub use self::product::Product;
pub use self::raw::{RawResult, RawTask};
pub(crate) use self::raw::{raw_cost, results_wanted};
pub use self::text::{Message, TextDelta, TextInference, TextResult};
pub use self::tokens::Tokens;
#[cfg(feature = "gateway")]
pub(crate) use self::tokens::output_units;
pub(crate) use self::tokens::{BYTES_PER_TOKEN, output_tokens, text_cost};
pub use self::upscale::ImageUpscale;
pub(crate) use self::upscale::upscale_cost;
pub use self::usage::Usage;
pub(crate) use self::video::video_cost;
pub use self::video::{Video, VideoInference, VideoResult};
pub use self::work::{Task, Work};
pub use crate::core::cost::Cost;
