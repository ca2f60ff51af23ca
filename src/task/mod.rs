//! Typed generation messages and what comes back.
//!
//! A [`Task`] is what an embedder writes; a [`Request`] is what a provider is asked to do. A request that arrived over
//! the wire keeps its original form: a provider of the same dialect forwards it verbatim, any other reads it as typed
//! [`Work`]. So nothing is parsed or copied beyond what deciding needs.

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
mod upscale;
mod video;
pub mod wire;

pub use self::audio::{Audio, AudioInference, AudioResult};
pub use self::embedding::{Embedding, EmbeddingResult};
pub use self::image::{Image, ImageInference, ImageResult};
pub use self::product::{Product, Usage};
pub(crate) use self::raw::results_wanted;
pub use self::raw::{RawResult, RawTask};
pub(crate) use self::text::output_tokens;
#[cfg(feature = "gateway")]
pub(crate) use self::text::output_units;
pub use self::text::{Message, TextDelta, TextInference, TextResult, Tokens};
pub use self::upscale::ImageUpscale;
pub use self::video::{Video, VideoInference, VideoResult};
use self::wire::{Malformed, Wire};
pub use crate::core::cost::Cost;

/// A typed generation: what [`Fairflow::generate`](crate::Fairflow::generate) takes.
///
/// # Examples
///
/// ```
/// use fairflow::task::{ImageInference, Task};
///
/// let task = ImageInference::new("runware:101@1", "a red fox at dawn").size(512, 512).steps(20).count(2);
/// assert_eq!(task.model(), "runware:101@1");
/// // count × steps × quarter-megapixels
/// assert_eq!(task.cost().units(), 40);
/// ```
pub trait Task: Send + 'static {
    /// What the task produces.
    type Output;

    /// Returns the model that is to do it, by its configured name.
    fn model(&self) -> &str;

    /// Returns the predicted work, in the units of this kind of task.
    fn cost(&self) -> Cost;

    /// Returns the tokens that the task is about to take, where a price by the token applies to it: what its price is
    /// estimated by before an answer tells. By default none are known.
    fn tokens(&self) -> Option<Tokens> {
        None
    }

    /// Turns the task into what providers understand.
    fn into_work(self) -> Work;

    /// Reads the task's own output from what a provider made.
    ///
    /// # Errors
    ///
    /// The product, when it is of another kind.
    fn output(product: Product) -> Result<Self::Output, Product>;
}

/// The kinds of generation that are typed.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Work {
    /// Text from messages.
    Text(TextInference),
    /// Images from a prompt.
    Image(ImageInference),
    /// A larger image from a small one.
    Upscale(ImageUpscale),
    /// Moving images from a prompt or a first frame.
    Video(VideoInference),
    /// Sound from a prompt.
    Audio(AudioInference),
    /// Vectors from texts.
    Embedding(Embedding),
    /// Anything else, in Runware's form.
    Raw(RawTask),
}

impl Work {
    /// Returns the name of the kind, as used in metrics and errors.
    #[must_use]
    pub fn kind(&self) -> &str {
        match self {
            Self::Text(_) => "text",
            Self::Image(_) => "image",
            Self::Upscale(_) => "upscale",
            Self::Video(_) => "video",
            Self::Audio(_) => "audio",
            Self::Embedding(_) => "embedding",
            Self::Raw(task) => task.task_type(),
        }
    }
}

/// Work whose kind is known only at run time; its output is whatever was made.
impl Task for Work {
    type Output = Product;

    fn model(&self) -> &str {
        match self {
            Self::Text(task) => task.model(),
            Self::Image(task) => task.model(),
            Self::Upscale(task) => task.model(),
            Self::Video(task) => task.model(),
            Self::Audio(task) => task.model(),
            Self::Embedding(task) => task.model(),
            Self::Raw(task) => task.model(),
        }
    }

    fn cost(&self) -> Cost {
        match self {
            Self::Text(task) => task.cost(),
            Self::Image(task) => task.cost(),
            Self::Upscale(task) => task.cost(),
            Self::Video(task) => task.cost(),
            Self::Audio(task) => task.cost(),
            Self::Embedding(task) => task.cost(),
            Self::Raw(task) => task.cost(),
        }
    }

    fn tokens(&self) -> Option<Tokens> {
        match self {
            Self::Text(task) => task.tokens(),
            Self::Embedding(task) => task.tokens(),
            Self::Image(_) | Self::Upscale(_) | Self::Video(_) | Self::Audio(_) | Self::Raw(_) => None,
        }
    }

    fn into_work(self) -> Work {
        self
    }

    fn output(product: Product) -> Result<Product, Product> {
        Ok(product)
    }
}

/// What a provider is asked to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// A typed task of an embedder.
    Typed(Work),
    /// A request that arrived over the wire, in its own form.
    Wire(Wire),
}

impl Request {
    /// Reads the request as typed work.
    ///
    /// # Errors
    ///
    /// [`Malformed`] names the field of a wire request that cannot be read.
    pub fn work(&self) -> Result<Work, Malformed> {
        match self {
            Self::Typed(work) => Ok(work.clone()),
            Self::Wire(wire) => wire.work(),
        }
    }

    /// Says whether the answer is wanted piece by piece.
    #[must_use]
    pub fn wants_stream(&self) -> bool {
        match self {
            Self::Typed(Work::Text(task)) => task.stream,
            Self::Typed(_) => false,
            Self::Wire(wire) => wire.wants_stream(),
        }
    }
}
