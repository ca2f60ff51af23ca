//! The caller's side of a request. It runs in the caller's task and knows no actor.

pub(crate) mod accounting;
pub(crate) mod dispatch;
mod journey;
pub(crate) mod plan;
pub(crate) mod quote;
mod recorder;
pub(crate) mod run;
pub(crate) mod slot;
pub(crate) mod stream;
