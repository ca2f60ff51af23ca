//! `idempotency-key`: the same request under the same key is generated once.
//!
//! Successes are kept for a while and replayed; a request that comes while its twin is under way waits for that answer.
//! Failures are told to all that wait and then forgotten, so that trying again under the same key tries again. Keys are
//! jobs ([`Jobs`]): bounded in number, bytes and time, over all and for each tenant, in this process only.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::http::StatusCode;
use actix_web::http::header::HeaderMap;
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::names;
use super::refusal::Refusal;
use crate::config::{JobsConfig, Size, Span};
use crate::core::time::Time;
use crate::jobs::{Asked, Claim, Finished, Jobs, Key};
use crate::wire::Malformed;

/// Bounds of what is kept. A tenant that fills its part loses its own oldest answers, and no other tenant's.
const BOUNDS: JobsConfig = JobsConfig {
    keep: Span(Duration::from_secs(600)),
    most: 40_000,
    bytes: Size(256 << 20),
    tenant_most: 10_000,
    tenant_bytes: Size(64 << 20),
};
/// Largest answer that is replayed, in bytes.
const LARGEST: usize = 1 << 20;
/// Longest key, in bytes.
const LONGEST_KEY: usize = 255;

/// An answer that can be given again.
#[derive(Debug)]
pub(in crate::gateway) struct Kept {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Kept {
    /// Returns the bytes that keeping the answer takes, where it is to be kept.
    fn bytes(&self) -> usize {
        let is_kept = self.status.is_success() && self.body.len() <= LARGEST;
        if is_kept { self.body.len() + 512 } else { Finished::<Self>::UNKEPT }
    }

    fn replay(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        for (name, value) in &self.headers {
            response.insert_header((name.clone(), value.clone()));
        }
        response.insert_header((names::REPLAYED, "true")).body(self.body.clone())
    }
}

/// The answers given under keys.
pub(in crate::gateway) type Answers = Jobs<Kept>;

/// Tells a request under a key from others under it; `None` where it has no key.
pub(in crate::gateway) fn digest<'a>(
    request: &HttpRequest,
    pieces: impl Iterator<Item = &'a [u8]>,
) -> Option<[u8; 32]> {
    request.headers().get(names::IDEMPOTENCY_KEY)?;
    let mut digest = Sha256::new().chain_update(request.path()).chain_update([0]);
    for piece in pieces {
        digest.update(piece.len().to_le_bytes());
        digest.update(piece);
    }
    Some(digest.finalize().into())
}

/// Runs `generate`, unless the tenant has asked for the same under the same key. Requests without a key, which are most, pay
/// for none of it.
///
/// # Errors
///
/// A refusal where the key is no key, stands for another request, or is one too many.
pub(in crate::gateway) async fn once(
    answers: &Answers,
    now: impl Fn() -> Time,
    request: &HttpRequest,
    tenant: &Arc<str>,
    digest: Option<[u8; 32]>,
    generate: Pin<&mut impl Future<Output = HttpResponse>>,
) -> Result<HttpResponse, Refusal> {
    let key = request.headers().get(names::IDEMPOTENCY_KEY).zip(digest);
    let Some((key, digest)) = key else { return Ok(generate.await) };
    let key = key.to_str().ok().filter(|key| !key.is_empty() && key.len() <= LONGEST_KEY);
    let wrong = || {
        Malformed::new(names::IDEMPOTENCY_KEY.as_str(), format!("must be 1 to {LONGEST_KEY} visible ASCII characters"))
    };
    let key: Key = (tenant.clone(), Arc::from(key.ok_or_else(wrong)?));
    Box::pin(under_key(answers, now, &key, digest, generate)).await
}

async fn under_key(
    answers: &Answers,
    now: impl Fn() -> Time,
    key: &Key,
    digest: [u8; 32],
    generate: Pin<&mut impl Future<Output = HttpResponse>>,
) -> Result<HttpResponse, Refusal> {
    loop {
        match answers.claim(key, Asked { kind: "", digest, detached: false }, BOUNDS, now()) {
            Claim::Conflict => return Err(Refusal::key_reused()),
            Claim::Full => return Err(Refusal::too_many_keys()),
            Claim::New(ticket, told) => {
                let mut own = HttpResponse::Ok().finish();
                let making = async {
                    let (head, body) = generate.await.into_parts();
                    // What is generated under a key is no stream, so its body is there already.
                    let body = body.try_into_bytes().unwrap_or_default();
                    let value = Kept { status: head.status(), headers: head.headers().clone(), body: body.clone() };
                    own = head.set_body(body).map_into_boxed_body();
                    Finished { bytes: value.bytes(), value, failed: false, at: now() }
                };
                ticket.run(making).await;
                // Until here: a job without anybody who waits for it is given up.
                drop(told);
                return Ok(own);
            }
            // An error means that the request that was to answer has left.
            Claim::Known(mut told) => {
                if let Ok(kept) = told.wait_for(Option::is_some).await
                    && let Some(kept) = &*kept
                {
                    return Ok(kept.replay());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use actix_web::test::TestRequest;

    use super::*;

    /// Asks under a key, for an answer of so many bytes; says whether it was generated.
    async fn asks(answers: &Answers, tenant: &str, key: &str, (status, size): (StatusCode, usize), now: Time) -> bool {
        let request = TestRequest::default().insert_header(("idempotency-key", key)).to_http_request();
        let mut generated = false;
        let generate = async {
            generated = true;
            HttpResponse::build(status).body(vec![0; size])
        };
        let digest = digest(&request, std::iter::empty());
        let generate = pin!(generate);
        let answer = once(answers, || now, &request, &tenant.into(), digest, generate).await.expect("an answer");
        let replayed = answer.headers().contains_key(names::REPLAYED);
        assert_eq!((answer.status(), replayed), (status, !generated));
        generated
    }

    #[tokio::test]
    async fn a_tenant_that_uses_many_keys_forgets_its_own_alone() {
        let (answers, now) = (Answers::default(), Time::ZERO);
        let large = (StatusCode::OK, LARGEST);
        assert!(asks(&answers, "quiet", "k", large, now).await);
        for n in 0..200 {
            assert!(asks(&answers, "loud", &n.to_string(), large, now).await);
        }
        assert!(!asks(&answers, "quiet", "k", large, now).await, "another tenant's answer is still there");
        assert!(!asks(&answers, "loud", "199", large, now).await, "and the latest of its own");
        assert!(asks(&answers, "loud", "0", large, now).await, "the oldest of its own went");
        assert!(asks(&answers, "quiet", "k", large, now + BOUNDS.keep.0).await, "too old");
    }

    #[tokio::test]
    async fn a_caller_that_leaves_makes_way_for_its_twin() {
        let answers = Answers::default();
        let request = TestRequest::default().insert_header(("idempotency-key", "k")).to_http_request();
        let (tenant, digest) = (Arc::from("t"), digest(&request, std::iter::empty()));
        let generated = std::cell::Cell::new(0);
        let mut stuck = Box::pin(async {
            generated.set(generated.get() + 1);
            std::future::pending::<HttpResponse>().await
        });
        let mut own = Box::pin(async {
            generated.set(generated.get() + 1);
            HttpResponse::Ok().body("own")
        });
        let mut first = Box::pin(once(&answers, || Time::ZERO, &request, &tenant, digest, stuck.as_mut()));
        let mut second = Box::pin(once(&answers, || Time::ZERO, &request, &tenant, digest, own.as_mut()));
        assert!(futures_util::poll!(first.as_mut()).is_pending());
        assert!(futures_util::poll!(second.as_mut()).is_pending());
        assert_eq!(generated.get(), 1, "the twin waits for the first");
        drop(first);
        let answer = second.await.expect("an answer");
        assert!(!answer.headers().contains_key(names::REPLAYED));
        assert_eq!(generated.get(), 2, "the twin generates by itself");
    }

    #[tokio::test]
    async fn failures_and_large_answers_are_told_and_not_kept() {
        let (answers, now) = (Answers::default(), Time::ZERO);
        assert!(asks(&answers, "t", "kept", (StatusCode::OK, 1), now).await);
        for (key, status, size) in [("failed", StatusCode::BAD_GATEWAY, 1), ("large", StatusCode::OK, LARGEST + 1)] {
            for _ in 0..2 {
                assert!(asks(&answers, "t", key, (status, size), now).await, "{key}");
            }
        }
        assert!(!asks(&answers, "t", "kept", (StatusCode::OK, 1), now).await);
    }

    #[tokio::test]
    async fn a_request_that_leaves_makes_way_and_another_under_its_key_is_a_mistake() {
        let (answers, tenant): (Answers, Arc<str>) = (Answers::default(), "t".into());
        let request = TestRequest::default().insert_header(("idempotency-key", "k")).to_http_request();
        let ask = async |digest| {
            let never = pin!(std::future::pending());
            once(&answers, || Time::ZERO, &request, &tenant, Some(digest), never).await
        };
        let mut first = Box::pin(ask([0; 32]));
        let begun = futures_util::poll!(&mut first);
        assert!(begun.is_pending());
        let refused = ask([1; 32]).await.expect_err("another request");
        assert_eq!((refused.status, refused.param.as_deref()), (422, Some("idempotency-key")));
        drop(first);
        assert!(futures_util::poll!(Box::pin(ask([1; 32]))).is_pending(), "the key is free again");
    }
}
