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
    fn known(&self, model: &str) -> Option<bool> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(model).copied()
    }

    fn learn(&self, model: &str, takes: bool) {
        let mut models = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if models.len() < MOST_MODELS || models.contains_key(model) {
            models.insert(model.into(), takes);
        }
    }

    /// Makes a request, which asks for the usage where it is `wished` for and the model has not refused yet. Where the model
    /// refuses now, the same request is made without, at once: nothing was made for the first. A refusal that does not name
    /// the wish may be of anything else, so it counts until the model has once taken the wish, and only if the plain
    /// request is taken.
    pub(super) async fn ask<T, F>(&self, model: &str, wished: bool, make: impl Fn(bool) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let known = self.known(model);
        let asks = wished && known != Some(false);
        let mut refused = false;
        loop {
            match make(asks && !refused).await {
                Ok(answer) if refused => {
                    tracing::info!(
                        model,
                        "the provider refuses to tell the usage of streams; it is estimated from their pieces"
                    );
                    self.learn(model, false);
                    return Ok(answer);
                }
                Ok(answer) => {
                    if asks && known.is_none() {
                        self.learn(model, true);
                    }
                    return Ok(answer);
                }
                Err(refusal) => {
                    let of_the_wish = || names_the_wish(&refusal).is_some_and(|named| named || known.is_none());
                    if !asks || refused || !of_the_wish() {
                        return Err(refusal);
                    }
                    refused = true;
                }
            }
        }
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

    /// Asks once; a model answers `asked` where it is asked to tell, and otherwise `plain`.
    async fn ask(
        wish: &UsageWish,
        model: &str,
        asked: Result<&'static str, Failure>,
        plain: Result<&'static str, Failure>,
    ) -> Result<&'static str, Failure> {
        wish.ask(model, true, |asks| ready(if asks { asked.clone() } else { plain.clone() })).await
    }

    #[tokio::test]
    async fn a_model_that_refuses_the_wish_is_not_asked_again() {
        let wish = UsageWish::default();
        let unnamed = ask(&wish, "a", refused(422, "extra inputs"), Ok("plain")).await;
        assert_eq!(unnamed.expect("taken"), "plain");
        assert_eq!(ask(&wish, "a", Ok("asked"), Ok("plain")).await.expect("taken"), "plain", "it has refused");
        ask(&wish, "b", refused(400, "bad prompt"), refused(400, "bad prompt")).await.expect_err("bad");
        assert_eq!(ask(&wish, "b", Ok("asked"), Ok("plain")).await.expect("taken"), "asked", "the prompt was at fault");
        let other = ask(&wish, "b", refused(400, "bad prompt"), Ok("plain")).await;
        assert_eq!(other.expect_err("its own fault").message, "no");
        let named = ask(&wish, "b", refused(400, "unknown: stream_options"), Ok("plain")).await;
        assert_eq!(named.expect("taken"), "plain");
        assert_eq!(ask(&wish, "b", Ok("asked"), Ok("plain")).await.expect("taken"), "plain", "it has refused");
        ask(&wish, "c", refused(500, "stream_options"), Ok("plain")).await.expect_err("not its matter");
        let unasked = wish.ask("c", false, |asks| ready(Ok(asks))).await;
        assert!(!unasked.expect("taken"), "nobody wished for it");
    }
}
