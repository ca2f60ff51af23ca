//! An account without a client: its requests are made by the embedder, with `Fairflow::call`.

use super::{Answer, Attempt, BoxFuture, Failure, Outcome, Provider};
use crate::wire::Request;

/// Stands for a provider of kind `custom` that no client was given for.
#[derive(Debug)]
pub(super) struct Absent;

impl Provider for Absent {
    fn call<'a>(&'a self, _: &'a Request, attempt: &'a Attempt) -> BoxFuture<'a, Result<Answer, Failure>> {
        let name = attempt.provider();
        let message =
            format!("provider {name:?} has no client; give it one with Builder::provider, or use Fairflow::call");
        Box::pin(std::future::ready(Err(Failure::new(Outcome::Rejected, message))))
    }
}
