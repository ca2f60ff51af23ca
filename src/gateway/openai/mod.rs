//! OpenAI's routes.

mod forget;
mod generation;
mod models;
pub(super) mod responses;
pub(super) mod videos;

pub(super) use self::generation::generation;
pub(super) use self::models::{model, models};
