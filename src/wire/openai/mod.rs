//! OpenAI's shapes: chat completions, responses, embeddings, image generations and edits.

#[cfg(feature = "gateway")]
mod conversation;
mod decode;
pub mod edits;
mod encode;
pub(super) mod endpoint;
mod images;
mod json;
mod pieces;
pub(super) mod render;
pub(super) mod request;
mod stream_options;
pub mod translatable;
mod work;

pub use self::decode::decode;
pub use self::encode::encode;
pub use self::endpoint::Endpoint;
pub use self::pieces::{chunks, decode_delta, image_events, text_of};
pub use self::render::{Label, render, render_delta};
pub use self::request::OpenAiRequest;
pub use self::stream_options::is_usage_alone;
