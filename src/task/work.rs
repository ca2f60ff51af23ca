//! The typed generation as a caller writes it, and work of any kind.

use serde_json::Value;

use super::audio::{AudioInference, AudioResult};
use super::embedding::{Embedding, EmbeddingResult};
use super::image::{ImageInference, ImageResult};
use super::product::Product;
use super::raw::{RawResult, RawTask, raw_cost};
use super::text::{TextInference, TextResult};
use super::tokens::Tokens;
use super::upscale::ImageUpscale;
use super::video::{VideoInference, VideoResult};
use crate::core::cost::Cost;

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
    /// The result of the task.
    type Output: Send;

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

/// Implements [`Task`] for one kind of work.
macro_rules! task {
    ($kind:ident($task:ty) => $made:ident($result:ty) $(, $tokens:ident)?) => {
        impl Task for $task {
            type Output = $result;

            fn model(&self) -> &str {
                &self.model
            }

            fn cost(&self) -> Cost {
                self.predicted()
            }

            $(fn $tokens(&self) -> Option<Tokens> {
                Some(self.estimated())
            })?

            fn into_work(self) -> Work {
                Work::$kind(self)
            }

            fn output(product: Product) -> Result<$result, Product> {
                match product {
                    Product::$made(result) => Ok(result),
                    other => Err(other),
                }
            }
        }
    };
}

task!(Text(TextInference) => Text(TextResult), tokens);
task!(Image(ImageInference) => Image(ImageResult));
task!(Upscale(ImageUpscale) => Image(ImageResult));
task!(Video(VideoInference) => Video(VideoResult));
task!(Audio(AudioInference) => Audio(AudioResult));
task!(Embedding(Embedding) => Embedding(EmbeddingResult), tokens);

impl Task for RawTask {
    type Output = RawResult;

    fn model(&self) -> &str {
        self.body.get("model").and_then(Value::as_str).unwrap_or_default()
    }

    fn cost(&self) -> Cost {
        raw_cost(&self.body)
    }

    fn into_work(self) -> Work {
        Work::Raw(self)
    }

    fn output(product: Product) -> Result<RawResult, Product> {
        match product {
            Product::Raw(result) => Ok(result),
            other => Err(other),
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
