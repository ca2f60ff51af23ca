//! An account at a service that is submitted to and polled: what is sent there, and how its answers are read.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use reqwest::Url;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::guard::Guard;
use super::handle::{Fault, Handle, State};
use super::pace::{Budget, next_question};
use super::preset::{Accepted, Preset};
use super::store::HandleStore;
use crate::clock::unix_time;
use crate::config::PollSettings;
use crate::contract::attempt::TraceContext;
use crate::provider::common::unreadable;
use crate::provider::fetch::Fetch;
use crate::provider::headers::{Unit, hints, stated_wait};
use crate::provider::http::{Http, classify};
use crate::provider::{Failure, Outcome, RateHints, Upstream};
use crate::task::Work;
use crate::wire::Malformed;

/// Longest time that a generation is remembered, in seconds.
const HANDLE_LIFETIME: u64 = 86_400;

/// An account, as callers and the generations under way share it.
#[derive(Debug)]
pub(super) struct Account {
    /// Its name in the configuration.
    pub(super) name: Arc<str>,
    pub(super) preset: Box<dyn Preset>,
    pub(super) http: Http,
    /// Below which work is submitted.
    pub(super) base: Url,
    pub(super) guard: Guard,
    pub(super) fetch: Fetch,
    pub(super) poll: PollSettings,
    pub(super) budget: Budget,
    pub(super) handles: Arc<dyn HandleStore>,
    pub(super) cancels: Arc<Semaphore>,
    pub(super) submissions: Arc<Semaphore>,
    /// Names that are being followed: a second request under one of them would submit it again.
    pub(super) active: Mutex<HashSet<Arc<str>>>,
}

impl Account {
    /// Submits once; `job` is the name under which the generation is remembered.
    pub(super) async fn send(
        &self,
        draft: Draft,
        request: String,
        work: &Work,
        job: Option<&str>,
        trace: Option<&TraceContext>,
    ) -> Result<Begun, Failure> {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{}", self.base.path().trim_end_matches('/'), draft.path));
        let post = self.http.request(reqwest::Method::POST, url);
        let post = post.header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let post = Http::traced(post.body(Bytes::from(draft.text).into()), trace);
        let (status, headers, body) = self.http.exchange_once(post).await?;
        let success = (200..300).contains(&status);
        let accepted = serde_json::from_slice::<Value>(&body)
            .map_err(|error| Malformed::new("answer", format!("is not JSON: {error}")))
            .and_then(|answer| self.preset.accepted(self.http.base_url(), work, &answer));
        let Accepted { id, poll_url, cancel_url, state } = match accepted {
            Ok(accepted) if success => accepted,
            Err(malformed) if success => return Err(Failure { spent: true, ..unreadable(&malformed) }),
            _ => {
                // A gateway in between may have failed after the service had taken the work.
                let unclear = matches!(status, 408 | 500 | 502 | 504 | 520 | 524);
                return Err(Failure { spent: unclear, ..classify(status, &headers, body) });
            }
        };
        let account = self.name.to_string();
        let expires = unix_time() + HANDLE_LIFETIME;
        let handle = Handle { account, id, poll_url, cancel_url, request, expires };
        if let Some(Err(error)) = job.map(|job| self.handles.put(job, &handle)) {
            tracing::warn!(account = %self.name, %error, "a generation under way cannot be remembered");
        }
        Ok(Begun { handle, told: Told { wait: next_question(&headers), ..Told::by(state, status, body) } })
    }

    /// Asks once how a generation stands, and how long to wait before the next question.
    pub(super) async fn ask(&self, work: &Work, handle: &Handle) -> Result<Told, Unanswered> {
        let url = self.guard.admit(&handle.poll_url).map_err(Unanswered::Never)?;
        let request = self.http.request(reqwest::Method::GET, url);
        let (status, headers, body) = self.http.exchange(request).await.map_err(Unanswered::Perhaps)?;
        let wait = next_question(&headers);
        let rates = Unit::from(work).of(hints(&headers));
        let answer = serde_json::from_slice::<Value>(&body);
        let state = match status {
            429 => return Err(Unanswered::TooOften(stated_wait(&headers, &body))),
            404 | 410 => State::Missing,
            200..=399 => {
                let answer = answer.map_err(|error| Malformed::new("answer", format!("is not JSON: {error}")));
                let state = answer.and_then(|answer| self.preset.state(work, &answer));
                state.map_err(|malformed| Unanswered::Perhaps(unreadable(&malformed)))?
            }
            _ => return Err(Unanswered::Perhaps(classify(status, &headers, body))),
        };
        Ok(Told { wait, rates, ..Told::by(state, status, body) })
    }

    /// Fetches a result that lies elsewhere.
    pub(super) async fn fetch(&self, work: &Work, url: &str) -> Result<Told, Unanswered> {
        let url = self.guard.admit(url).map_err(Unanswered::Never)?;
        let request = self.http.request(reqwest::Method::GET, url);
        let (status, headers, body) = self.http.exchange(request).await.map_err(Unanswered::Perhaps)?;
        if status == 429 {
            return Err(Unanswered::TooOften(stated_wait(&headers, &body)));
        }
        let answer = serde_json::from_slice::<Value>(&body).unwrap_or_default();
        let unclear = || match status {
            200..=299 => unreadable(&Malformed::new("result", "holds no file")),
            _ => classify(status, &headers, body.clone()),
        };
        match self.preset.result(work, status, &headers, &answer) {
            // A status of the queue's own, which another look may find otherwise.
            Some(State::Failed(Fault::Provider, words)) if status > 500 => Err(Unanswered::Failing(words)),
            Some(state) => Ok(Told::by(state, status, body)),
            None => Err(Unanswered::Perhaps(unclear())),
        }
    }

    /// Cancels a generation, where the service has a way to.
    pub(super) async fn cancel(&self, handle: &Handle) -> Result<(), Failure> {
        let Some(url) = &handle.cancel_url else { return Ok(()) };
        let url = self.guard.admit(url)?;
        let (status, _, _) = self.http.exchange(self.http.request(self.preset.cancel_method(), url)).await?;
        // A 4xx says that there is nothing to cancel any more.
        if status < 500 { Ok(()) } else { Err(Failure::new(Outcome::Overloaded, format!("status {status}"))) }
    }

    /// Forgets a generation that has ended.
    pub(super) fn forget(&self, job: Option<&str>) {
        if let Some(Err(error)) = job.map(|job| self.handles.remove(job)) {
            tracing::warn!(account = %self.name, %error, "a generation that has ended cannot be forgotten");
        }
    }
}

/// A generation that was accepted.
pub(super) struct Begun {
    pub(super) handle: Handle,
    pub(super) told: Told,
}

/// How a generation stands, as an answer told it.
pub(super) struct Told {
    pub(super) state: State,
    /// How long to wait before the next question, where that was said.
    pub(super) wait: Option<Duration>,
    pub(super) rates: RateHints,
    /// The answer itself, where the generation ended for its request's sake.
    pub(super) said: Option<Upstream>,
}

impl Told {
    pub(super) fn of(state: State) -> Self {
        Self { state, wait: None, rates: RateHints::default(), said: None }
    }

    fn by(state: State, status: u16, body: Bytes) -> Self {
        let status = if (400..500).contains(&status) { status } else { 400 };
        let said = matches!(state, State::Failed(..)).then(|| Upstream {
            status,
            content_type: "application/json".into(),
            body,
        });
        Self { said, ..Self::of(state) }
    }
}

/// A reason for which a question has no answer.
pub(super) enum Unanswered {
    /// The question may have an answer later.
    Perhaps(Failure),
    /// The generation has failed, where that stays so.
    Failing(String),
    /// There were too many of them; how long to be silent.
    TooOften(Option<Duration>),
    /// There will be none.
    Never(Failure),
}

/// A submission as it is sent.
pub(super) struct Draft {
    pub(super) path: String,
    pub(super) text: String,
}

impl Draft {
    /// Returns a digest that tells requests apart which came under one name.
    pub(super) fn fingerprint(&self) -> String {
        let digest = Sha256::new().chain_update(&self.path).chain_update(&self.text).finalize();
        digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}
