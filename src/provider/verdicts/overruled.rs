//! An account whose operator reads some answers otherwise than the built-in tables.

use std::sync::Arc;

use super::{find, message};
use crate::config::VerdictRule;
use crate::contract::attempt::Attempt;
use crate::contract::failure::Failure;
use crate::contract::provider::{Answer, Provider};
use crate::provider::BoxFuture;
use crate::wire::Request;

/// A provider whose failures are looked up in the account's own rules first.
#[derive(Debug)]
pub(in crate::provider) struct Overruled {
    pub(in crate::provider) inner: Arc<dyn Provider>,
    pub(in crate::provider) rules: Vec<VerdictRule>,
}

impl Overruled {
    fn judge(&self, failure: Failure) -> Failure {
        let Some(said) = &failure.words else { return failure };
        let Some(rule) = find(&self.rules, said) else { return failure };
        let (message, retry_after) = (message(rule.verdict, said), failure.retry_after.or(rule.hold));
        Failure { message, retry_after, ..failure.verdict(rule.verdict) }
    }
}

impl Provider for Overruled {
    fn call<'a>(&'a self, request: &'a Request, attempt: &'a Attempt) -> BoxFuture<'a, Result<Answer, Failure>> {
        Box::pin(async move { self.inner.call(request, attempt).await.map_err(|failure| self.judge(failure)) })
    }

    fn forget_response<'a>(&'a self, id: &'a str, upstream_model: &'a str) -> BoxFuture<'a, Result<(), Failure>> {
        self.inner.forget_response(id, upstream_model)
    }
}
