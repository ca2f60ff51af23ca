//! Requests and answers as they travel: OpenAI's and Runware's shapes, read, written and translated.
//!
//! A [`Request`] is what a provider is asked to do. A request that arrived over the wire keeps its original form: a provider
//! of the same dialect forwards it as it is, any other reads it as typed [`Work`](crate::task::Work). So nothing is parsed or
//! copied beyond what deciding needs.

mod body;
mod dialects;
pub mod event;
pub mod fields;
pub mod form;
mod malformed;
mod messages;
mod number;
pub mod openai;
mod request;
pub mod responses;
pub mod runware;
pub mod said;
pub(crate) mod size;
pub mod sse;
#[cfg(test)]
mod tests;
mod told;
pub mod usage;

pub use self::body::Body;
pub use self::malformed::Malformed;
#[cfg(feature = "task")]
pub(crate) use self::number::whole_or_not;
pub use self::request::{Request, Wire};
