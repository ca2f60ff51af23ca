//! Tasks whose result can be had piece by piece.

use crate::contract::provider::{Pieces, Reply};
use crate::core::cost::Cost;
use crate::task::{Task, TextDelta, TextInference, Usage, Work};

/// A task whose result can be had piece by piece: what [`Generate::stream`](crate::Generate::stream) takes.
///
/// # Examples
///
/// A task of one's own, for a provider that streams bytes:
///
/// ```
/// use bytes::Bytes;
/// use fairflow::Streams;
/// use fairflow::provider::{Pieces, Reply};
/// use fairflow::task::{Cost, Product, RawTask, Task, Work};
///
/// struct Speech(String);
///
/// impl Task for Speech {
///     type Output = ();
///
///     fn model(&self) -> &str {
///         "voice"
///     }
///
///     /// Thousands of bytes: a letter takes about one.
///     fn cost(&self) -> Cost {
///         Cost::new(self.0.len() as u64)
///     }
///
///     fn into_work(self) -> Work {
///         Work::Raw(RawTask::new("speech", "voice").set("text", self.0))
///     }
///
///     fn output(product: Product) -> Result<(), Product> {
///         Err(product) // it is only streamed
///     }
/// }
///
/// impl Streams for Speech {
///     type Piece = Bytes;
///
///     fn pieces(reply: Reply) -> Result<Pieces<Bytes>, Reply> {
///         match reply {
///             Reply::Stream(bytes) => Ok(bytes),
///             other => Err(other),
///         }
///     }
///
///     fn units(piece: &Bytes) -> u64 {
///         piece.len() as u64 / 1_000
///     }
/// }
/// ```
pub trait Streams: Task {
    /// A piece of the result.
    type Piece: Send + 'static;

    /// Turns the task into what providers understand, with the wish for pieces where that has to be said.
    fn into_streamed(self) -> Work
    where
        Self: Sized,
    {
        self.into_work()
    }

    /// Reads the pieces from what a provider answers.
    ///
    /// # Errors
    ///
    /// The reply, when it is no stream of such pieces.
    fn pieces(reply: Reply) -> Result<Pieces<Self::Piece>, Reply>;

    /// Returns the work that went into a piece, in the units of [`cost`](Task::cost). Where the pieces exceed what was
    /// predicted, the tenant is charged for more while they pass; with 0, the default, when the stream has ended.
    fn units(_piece: &Self::Piece) -> u64 {
        0
    }

    /// Reads what the generation used, from a piece that tells.
    fn usage(_piece: &Self::Piece) -> Option<Usage> {
        None
    }

    /// Returns what a generation that used as much did cost, in the units of [`cost`](Task::cost).
    fn spent(_usage: Usage) -> Option<Cost> {
        None
    }
}

impl Streams for TextInference {
    type Piece = TextDelta;

    fn into_streamed(self) -> Work {
        Self { stream: true, ..self }.into_work()
    }

    fn pieces(reply: Reply) -> Result<Pieces<TextDelta>, Reply> {
        match reply {
            Reply::Deltas(deltas) => Ok(deltas),
            other => Err(other),
        }
    }

    fn units(piece: &TextDelta) -> u64 {
        piece.units()
    }

    fn usage(piece: &TextDelta) -> Option<Usage> {
        piece.usage
    }

    fn spent(usage: Usage) -> Option<Cost> {
        usage.text_cost()
    }
}

/// Work whose kind is known only at run time: text streams.
impl Streams for Work {
    type Piece = TextDelta;

    fn into_streamed(self) -> Work {
        match self {
            Self::Text(task) => task.into_streamed(),
            other => other,
        }
    }

    fn pieces(reply: Reply) -> Result<Pieces<TextDelta>, Reply> {
        TextInference::pieces(reply)
    }

    fn units(piece: &TextDelta) -> u64 {
        TextInference::units(piece)
    }

    fn usage(piece: &TextDelta) -> Option<Usage> {
        TextInference::usage(piece)
    }

    fn spent(usage: Usage) -> Option<Cost> {
        TextInference::spent(usage)
    }
}
