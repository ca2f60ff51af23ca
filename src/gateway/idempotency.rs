//! `idempotency-key`: the same request under the same key is generated once.
//!
//! Successes are kept for a while and replayed; a request that comes while its twin is under way waits for that one's
//! answer. Failures are told to who waits and then forgotten, so that trying again under the same key tries again.
//! What is kept is bounded in number, in bytes and in time, and lives in this process only.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::http::StatusCode;
use actix_web::http::header::HeaderMap;
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use super::refusal::Refusal;
use super::state::Gateway;
use crate::core::time::Time;
use crate::wire::Malformed;

/// How long a success is replayed.
const KEPT_FOR: Duration = Duration::from_secs(600);
/// Most keys remembered, answered or under way; beyond, the oldest is forgotten.
const MOST_KEYS: usize = 10_000;
/// Most bytes of answers kept in all, and of one: a larger one is not replayed.
const MOST_BYTES: usize = 64 << 20;
const LARGEST: usize = 1 << 20;
/// Longest key taken.
const LONGEST_KEY: usize = 255;

/// An answer that can be given again.
#[derive(Debug)]
struct Kept {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// Who asked, and the key they gave.
type Key = (Arc<str>, Arc<str>);

#[derive(Debug)]
struct Entry {
    /// Which use of the key it is: an older one must not end a newer.
    number: u64,
    digest: [u8; 32],
    answer: watch::Receiver<Option<Arc<Kept>>>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Table {
    entries: HashMap<Key, Entry>,
    /// By age, the oldest first; may name uses that are gone.
    order: VecDeque<(Time, Key, u64)>,
    bytes: usize,
    next: u64,
}

impl Table {
    fn forget(&mut self, key: &Key, number: u64) {
        if self.entries.get(key).is_some_and(|entry| entry.number == number)
            && let Some(entry) = self.entries.remove(key)
        {
            self.bytes -= entry.bytes;
        }
    }

    fn trim(&mut self, now: Time) {
        while let Some((since, key, number)) = self.order.front().cloned() {
            let gone = self.entries.get(&key).is_none_or(|entry| entry.number != number);
            let full = self.order.len() > MOST_KEYS || self.bytes > MOST_BYTES;
            if !gone && !full && now.since(since) < KEPT_FOR {
                break;
            }
            self.order.pop_front();
            self.forget(&key, number);
        }
    }
}

/// The answers given under keys.
#[derive(Debug, Default)]
pub(super) struct Answers(Mutex<Table>);

/// What a request under a key is to do.
enum Role<'a> {
    /// Generate, and tell.
    Lead(Lead<'a>),
    /// Wait for the one that does.
    Follow(watch::Receiver<Option<Arc<Kept>>>),
    /// Nothing: the key stands for another request.
    Conflict,
}

/// The duty to answer for a key; dropped unanswered, the next that asks takes over.
struct Lead<'a> {
    answers: &'a Answers,
    key: Key,
    number: u64,
    answer: watch::Sender<Option<Arc<Kept>>>,
}

impl Answers {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn role(&self, key: &Key, digest: [u8; 32], now: Time) -> Role<'_> {
        let mut table = self.table();
        table.trim(now);
        match table.entries.get(key) {
            Some(entry) if entry.digest != digest => Role::Conflict,
            Some(entry) => Role::Follow(entry.answer.clone()),
            None => {
                let (sender, answer) = watch::channel(None);
                let number = table.next;
                table.next += 1;
                table.entries.insert(key.clone(), Entry { number, digest, answer, bytes: 0 });
                table.order.push_back((now, key.clone(), number));
                Role::Lead(Lead { answers: self, key: key.clone(), number, answer: sender })
            }
        }
    }
}

impl Lead<'_> {
    fn tell(&self, kept: Kept, now: Time) {
        let (size, keep) = (kept.body.len(), kept.status.is_success() && kept.body.len() <= LARGEST);
        self.answer.send_replace(Some(Arc::new(kept)));
        let mut table = self.answers.table();
        if !keep {
            table.forget(&self.key, self.number);
        } else if let Some(entry) = table.entries.get_mut(&self.key).filter(|entry| entry.number == self.number) {
            entry.bytes = size;
            table.bytes += size;
            table.trim(now);
        }
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        if self.answer.borrow().is_none() {
            self.answers.table().forget(&self.key, self.number);
        }
    }
}

/// Tells a request under a key from others under it; `None` where it has no key.
pub(super) fn digest<'a>(request: &HttpRequest, pieces: impl Iterator<Item = &'a [u8]>) -> Option<[u8; 32]> {
    request.headers().get("idempotency-key")?;
    let mut digest = Sha256::new().chain_update(request.path()).chain_update([0]);
    for piece in pieces {
        digest.update(piece.len().to_le_bytes());
        digest.update(piece);
    }
    Some(digest.finalize().into())
}

/// Runs `generate`, unless the tenant has asked for the same under the same key.
///
/// # Errors
///
/// A refusal where the key is no key, or stands for another request.
pub(super) async fn once(
    gateway: &Gateway,
    request: &HttpRequest,
    tenant: &Arc<str>,
    digest: Option<[u8; 32]>,
    id: &str,
    generate: impl Future<Output = HttpResponse>,
) -> Result<HttpResponse, Refusal> {
    let key = request.headers().get("idempotency-key").zip(digest);
    let Some((key, digest)) = key else { return Ok(generate.await) };
    let key = key.to_str().ok().filter(|key| !key.is_empty() && key.len() <= LONGEST_KEY);
    let wrong = || Malformed::new("idempotency-key", format!("must be 1 to {LONGEST_KEY} visible ASCII characters"));
    let key = (tenant.clone(), Arc::from(key.ok_or_else(wrong)?));
    let now = || gateway.fairflow.now();
    loop {
        match gateway.answers.role(&key, digest, now()) {
            Role::Conflict => return Err(Refusal::key_reused()),
            Role::Lead(lead) => {
                let (head, body) = generate.await.into_parts();
                // What is generated under a key is no stream, so its body is there already.
                let body = body.try_into_bytes().unwrap_or_default();
                let headers = head.headers().clone();
                lead.tell(Kept { status: head.status(), headers, body: body.clone() }, now());
                return Ok(head.set_body(body).map_into_boxed_body());
            }
            Role::Follow(mut answer) => {
                // An error means that the one that led has left.
                if let Ok(kept) = answer.wait_for(Option::is_some).await
                    && let Some(kept) = &*kept
                {
                    return Ok(replay(kept, id));
                }
            }
        }
    }
}

fn replay(kept: &Kept, id: &str) -> HttpResponse {
    let mut response = HttpResponse::build(kept.status);
    for (name, value) in &kept.headers {
        response.insert_header((name.clone(), value.clone()));
    }
    response.insert_header(("x-request-id", id)).insert_header(("x-fairflow-replayed", "true"));
    response.body(kept.body.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        ("t".into(), name.into())
    }

    fn answer(size: usize) -> Kept {
        Kept { status: StatusCode::OK, headers: HeaderMap::new(), body: vec![0; size].into() }
    }

    fn lead(answers: &Answers, name: &str, now: Time) -> Option<usize> {
        match answers.role(&key(name), [0; 32], now) {
            Role::Lead(lead) => {
                lead.tell(answer(LARGEST), now);
                Some(answers.table().bytes)
            }
            _ => None,
        }
    }

    #[test]
    fn what_is_kept_is_bounded_in_bytes_number_and_time() {
        let answers = Answers::default();
        for n in 0..100 {
            let bytes = lead(&answers, &n.to_string(), Time::ZERO).expect("a new key");
            assert!(bytes <= MOST_BYTES, "{bytes}");
        }
        assert_eq!(answers.table().entries.len(), MOST_BYTES / LARGEST);
        assert!(lead(&answers, "99", Time::ZERO).is_none(), "kept");
        assert!(lead(&answers, "0", Time::ZERO).is_some(), "the oldest went");
        assert!(lead(&answers, "99", Time::ZERO + KEPT_FOR).is_some(), "too old");
        assert_eq!(answers.table().bytes, LARGEST);
        let leads: Vec<_> =
            (0..MOST_KEYS + 50).map(|n| answers.role(&key(&format!("x{n}")), [0; 32], Time::ZERO)).collect();
        let sizes = || {
            let table = answers.table();
            (table.entries.len(), table.order.len(), table.bytes)
        };
        let (entries, order, _) = sizes();
        assert!(entries <= MOST_KEYS + 1 && order <= MOST_KEYS + 1, "{entries}, {order}");
        drop(leads);
        answers.table().trim(Time::ZERO + KEPT_FOR + KEPT_FOR);
        assert_eq!(sizes(), (0, 0, 0));
    }

    #[test]
    fn one_that_leaves_makes_way() {
        let answers = Answers::default();
        let first = answers.role(&key("k"), [0; 32], Time::ZERO);
        assert!(matches!(answers.role(&key("k"), [0; 32], Time::ZERO), Role::Follow(_)));
        assert!(matches!(answers.role(&key("k"), [1; 32], Time::ZERO), Role::Conflict));
        drop(first);
        assert!(matches!(answers.role(&key("k"), [1; 32], Time::ZERO), Role::Lead(_)));
    }
}
