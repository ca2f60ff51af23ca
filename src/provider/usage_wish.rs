//! Which models of an account tell what a stream used when they are asked to, and which refuse the question.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Mutex, PoisonError};

use super::Failure;

/// Models of which it is remembered. Names may come from outside, so their number has an end.
const MOST_MODELS: usize = 1_000;

/// The models of an account that tell usage, and those that refuse to.
#[derive(Debug, Default)]
pub(super) struct UsageWish(Mutex<HashMap<Box<str>, bool>>);

impl UsageWish {
    /// Says whether a model may be asked: it has not refused yet.
    pub(super) fn may_ask(&self, model: &str) -> bool {
        self.known(model) != Some(false)
    }

    fn known(&self, model: &str) -> Option<bool> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(model).copied()
    }

    fn learn(&self, model: &str, takes: bool) {
        let mut models = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if models.len() < MOST_MODELS || models.contains_key(model) {
            models.insert(model.into(), takes);
        }
    }

    /// Makes a request that asks, and where the model refuses that, at once the same one `plain`: nothing was made for the
    /// first. A refusal that does not name the wish may be of anything else, so it counts until the model has once taken
    /// the wish, and only if the plain request is taken.
    pub(super) async fn ask<T, F>(
        &self,
        model: &str,
        asking: impl Future<Output = Result<T, Failure>>,
        plain: impl FnOnce() -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let known = self.known(model);
        let refusal = match asking.await {
            Ok(answer) => {
                if known.is_none() {
                    self.learn(model, true);
                }
                return Ok(answer);
            }
            Err(failure) => failure,
        };
        let named = names_the_wish(&refusal);
        if named.is_none_or(|named| !named && known.is_some()) {
            return Err(refusal);
        }
        let answer = plain().await?;
        tracing::info!(model, "the provider refuses to tell the usage of streams; it is estimated from their pieces");
        self.learn(model, false);
        Ok(answer)
    }
}

/// Says whether a refusal of the request names the wish; `None` where it is no such refusal.
fn names_the_wish(failure: &Failure) -> Option<bool> {
    let upstream = failure.upstream.as_ref().filter(|upstream| matches!(upstream.status, 400 | 422))?;
    let words = String::from_utf8_lossy(&upstream.body);
    Some(words.contains("stream_options") || words.contains("include_usage"))
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use super::*;
    use crate::provider::{Outcome, Upstream};

    fn refused(status: u16, body: &str) -> Result<&'static str, Failure> {
        let upstream = Upstream { status, content_type: "application/json".into(), body: body.to_owned().into() };
        Err(Failure { upstream: Some(upstream), ..Failure::new(Outcome::Rejected, "no") })
    }

    #[tokio::test]
    async fn a_model_that_refuses_the_wish_is_not_asked_again() {
        let wish = UsageWish::default();
        let unnamed = wish.ask("a", ready(refused(422, "extra inputs")), || ready(Ok("plain"))).await;
        assert_eq!((unnamed.expect("taken"), wish.may_ask("a"), wish.may_ask("b")), ("plain", false, true));
        wish.ask("b", ready(refused(400, "bad prompt")), || ready(refused(400, "bad prompt"))).await.expect_err("bad");
        assert!(wish.may_ask("b"), "the prompt was at fault");
        wish.ask("b", ready(Ok("asked")), || ready(Ok("plain"))).await.expect("taken");
        let other = wish.ask("b", ready(refused(400, "bad prompt")), || ready(Ok("plain"))).await;
        assert_eq!(other.expect_err("its own fault").message, "no");
        let named = wish.ask("b", ready(refused(400, "unknown: stream_options")), || ready(Ok("plain"))).await;
        assert_eq!((named.expect("taken"), wish.may_ask("b")), ("plain", false));
        wish.ask("c", ready(refused(500, "stream_options")), || ready(Ok("plain"))).await.expect_err("not its matter");
    }
}
