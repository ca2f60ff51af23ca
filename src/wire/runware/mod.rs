//! Runware's shapes: arrays of task objects, answered by `data` or `errors`.

mod cost;
mod decode;
mod encode;
mod render;
pub(super) mod task;
mod work;

pub use self::decode::{decode, decode_delta, usage};
pub use self::encode::encode;
pub use self::render::{render, render_delta};
pub use self::task::RunwareTask;
