//! Asynchronous jobs: what is under way or done under a caller's own name for it, and results posted to where it says.

mod store;
mod webhook;

pub(crate) use self::store::{Claim, Finished, Jobs, Key, Posting, Watch};
pub(crate) use self::webhook::Webhooks;
