//! Providers that are submitted to and polled: one adapter, and a small dialect for each service.
//!
//! Submit, then ask on a budget until the generation has ended; the caller's slot is held all the while. A future that
//! is dropped, even while the submission is on its way, cancels at the provider. Between the submission and a clear
//! answer the work counts as spent: what fails then is not sent again unless the model's `retry.resubmit` says so.

mod ark;
mod bfl;
mod fal;
mod guard;
pub(super) mod handle;
mod output;
pub(super) mod pace;
#[cfg(test)]
mod parsers;
pub(super) mod preset;
mod replicate;
mod stage;
mod store;
mod watch;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use reqwest::Url;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName};
use secrecy::ExposeSecret;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::sync::{Semaphore, oneshot};

use self::guard::Guard;
pub use self::handle::Handle;
use self::handle::{Fault, State};
use self::pace::Budget;
use self::preset::{Accepted, Preset, unable};
pub use self::store::{FileHandles, HandleStore, MemoryHandles};
use self::watch::Watch;
use super::common::{form_asked, unreadable};
use super::fetch::Fetch;
use super::headers::{Unit, hints, retry_after, stated_wait};
use super::http::{Http, address, classify, secret_header};
use super::openai::OpenAi;
use super::{Answer, Attempt, BoxFuture, Failure, Outcome, Provider, RateHints, Reply, Upstream, translated};
use crate::clock::unix_time;
use crate::config::{self, Endpoint, PollSettings, TaskSettings};
use crate::contract::attempt::TraceContext;
use crate::task::Work;
use crate::wire::Request;
use crate::wire::{Malformed, Wire};

/// Most cancellations under way at once per account; what is dropped beyond that runs out by itself.
const MOST_CANCELS: usize = 64;
/// Most submissions under way at once per account, with those that nobody waits for any more.
const MOST_SUBMISSIONS: usize = 4_096;
/// Longest that a submission may take that nobody waits for any more.
const SUBMIT_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest time that a generation is remembered, in seconds.
const HANDLE_LIFETIME: u64 = 86_400;

/// An account at a service that is submitted to and polled.
#[derive(Debug)]
pub struct TaskProvider {
    inner: Arc<Inner>,
    /// For what is OpenAI-shaped there.
    openai: Option<OpenAi>,
}

#[derive(Debug)]
struct Inner {
    account: Arc<str>,
    preset: Box<dyn Preset>,
    http: Http,
    /// Below which work is submitted.
    base: Url,
    guard: Guard,
    fetch: Fetch,
    poll: PollSettings,
    budget: Budget,
    handles: Arc<dyn HandleStore>,
    cancels: Arc<Semaphore>,
    submissions: Arc<Semaphore>,
    /// Names that are being followed: a second request under one of them would submit it again.
    active: Mutex<HashSet<Arc<str>>>,
}

impl TaskProvider {
    /// Sets up an account; what is under way is remembered as its settings say.
    ///
    /// # Errors
    ///
    /// A sentence that says what is wrong: the key, TLS, or the file of handles.
    pub fn new(account: &str, settings: &TaskSettings) -> Result<Self, String> {
        let handles: Arc<dyn HandleStore> = match &settings.handles {
            None => Arc::new(MemoryHandles::default()),
            Some(path) => {
                let file = FileHandles::open(path);
                Arc::new(file.map_err(|error| format!("handles {} cannot be used: {error}", path.display()))?)
            }
        };
        Self::with_handles(account, settings, handles)
    }

    /// Sets up an account that remembers in a store of the caller's own.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn with_handles(account: &str, settings: &TaskSettings, handles: Arc<dyn HandleStore>) -> Result<Self, String> {
        let preset = preset_of(settings.preset);
        let openai = match settings.preset {
            config::Preset::Ark => Some(OpenAi::new(&settings.endpoint)?),
            _ => None,
        };
        let made = Self::build(account, preset, &settings.endpoint, &settings.poll, handles)?;
        Ok(Self { openai, ..made })
    }

    pub(super) fn build(
        account: &str,
        preset: Box<dyn Preset>,
        endpoint: &Endpoint,
        poll: &PollSettings,
        handles: Arc<dyn HandleStore>,
    ) -> Result<Self, String> {
        let mut headers = HeaderMap::new();
        if let Some(key) = &endpoint.api_key {
            let (name, value) = preset.key_header(key.expose_secret());
            headers.insert(HeaderName::from_static(name), secret_header(&value)?);
        }
        let guard = Guard::new(&endpoint.base_url, preset.hosts(), &poll.hosts)?;
        let inner = Inner {
            account: account.into(),
            http: Http::with_headers(endpoint, headers)?,
            base: address(&endpoint.base_url)?,
            guard,
            fetch: Fetch::new(endpoint, &poll.hosts)?,
            poll: poll.clone(),
            budget: Budget::new(poll.per_second),
            handles,
            cancels: Arc::new(Semaphore::new(MOST_CANCELS)),
            submissions: Arc::new(Semaphore::new(MOST_SUBMISSIONS)),
            active: Mutex::default(),
            preset,
        };
        Ok(Self { inner: Arc::new(inner), openai: None })
    }

    /// Submits work, or takes up what the same name already stands for, and follows it to its end.
    pub(super) async fn make(&self, work: Work, attempt: &Attempt) -> Result<Answer, Failure> {
        let inner = &self.inner;
        let upstream = attempt.upstream_model();
        let submission =
            inner.preset.submission(&work, upstream).map_err(|malformed| unable(inner.preset.name(), &malformed))?;
        let draft = Draft { path: submission.path, text: submission.body.to_string() };
        let request = draft.fingerprint();
        let _claim = attempt.job().map(|job| Claim::take(inner, job)).transpose()?;
        let known = attempt.job().and_then(|job| inner.handles.get(job));
        attempt.mark_spent(true);
        let (handle, begun) = match known {
            Some(handle) if handle.account != *inner.account || handle.request != request => {
                attempt.mark_spent(false);
                let message = "this name stands for another request; give each request a name of its own";
                return Err(Failure::new(Outcome::Rejected, message));
            }
            Some(handle) if handle.expires <= unix_time() => {
                inner.forget(attempt.job());
                return Err(watch::end(State::Expired, None));
            }
            Some(handle) => (handle, Told::of(State::Queued(None))),
            None => {
                let submitted = inner.clone().submit(draft, request, &work, attempt).await;
                let Begun { handle, told } = submitted.inspect_err(|failure| attempt.mark_spent(failure.spent))?;
                (handle, told)
            }
        };
        let watch = Watch { inner: inner.clone(), job: attempt.job().map(Arc::from), handle: Some(handle) };
        let end = watch.follow(&work, begun).await;
        let mut end = end.inspect_err(|failure| attempt.mark_spent(failure.spent))?;
        if let Reply::Product(product) = &mut end.reply {
            inner.fetch.fill(product, form_asked(&work)).await;
        }
        attempt.mark_spent(false);
        Ok(end)
    }
}

impl Provider for TaskProvider {
    fn call<'a>(&'a self, request: &'a Request, attempt: &'a Attempt) -> BoxFuture<'a, Result<Answer, Failure>> {
        Box::pin(async move {
            let work = translated(request)?;
            match &self.openai {
                Some(openai) if self.inner.preset.is_openai_shaped(&work) => {
                    let preset = &self.inner.preset;
                    let foreign = matches!(request, Request::Wire(Wire::Runware(_)));
                    let own =
                        preset.openai_shaped(&work, foreign).map_err(|malformed| unable(preset.name(), &malformed))?;
                    match own {
                        Some(work) => openai.call(&Request::Typed(work), attempt).await,
                        None => openai.call(request, attempt).await,
                    }
                }
                _ => self.make(work.into_owned(), attempt).await,
            }
        })
    }
}

impl Inner {
    /// Submits in a task of its own, so that a caller who leaves meanwhile leaves nothing running that has no name.
    async fn submit(
        self: Arc<Self>,
        draft: Draft,
        request: String,
        work: &Work,
        attempt: &Attempt,
    ) -> Result<Begun, Failure> {
        let Ok(permit) = self.submissions.clone().try_acquire_owned() else {
            return Err(Failure::new(Outcome::Throttled, format!("{MOST_SUBMISSIONS} submissions are under way")));
        };
        let (sender, receiver) = oneshot::channel();
        let (work, job) = (work.clone(), attempt.job().map(Arc::<str>::from));
        let trace = attempt.trace().cloned();
        tokio::spawn(async move {
            let _permit = permit;
            let submitting = self.send(draft, request, &work, job.as_deref(), trace.as_ref());
            let submitted = tokio::time::timeout(SUBMIT_TIMEOUT, submitting).await.unwrap_or_else(|_| {
                let message = "the provider did not answer the submission";
                Err(Failure { spent: true, ..Failure::new(Outcome::Overloaded, message) })
            });
            if let Err(Ok(Begun { handle, .. })) = sender.send(submitted) {
                drop(Watch { inner: self, job, handle: Some(handle) });
            }
        });
        receiver.await.unwrap_or_else(|_| {
            Err(Failure { spent: true, ..Failure::new(Outcome::Overloaded, "the submission was lost") })
        })
    }

    async fn send(
        &self,
        draft: Draft,
        request: String,
        work: &Work,
        job: Option<&str>,
        trace: Option<&TraceContext>,
    ) -> Result<Begun, Failure> {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{}", self.base.path().trim_end_matches('/'), draft.path));
        let post = self.http.request(reqwest::Method::POST, url).header(CONTENT_TYPE, "application/json");
        let post = Http::traced(post.body(draft.text), trace);
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
        let account = self.account.to_string();
        let expires = unix_time() + HANDLE_LIFETIME;
        let handle = Handle { account, id, poll_url, cancel_url, request, expires };
        if let Some(Err(error)) = job.map(|job| self.handles.put(job, &handle)) {
            tracing::warn!(account = %self.account, %error, "a generation under way cannot be remembered");
        }
        Ok(Begun { handle, told: Told { wait: next_question(&headers), ..Told::by(state, status, body) } })
    }

    /// Asks once how a generation stands, and how long to wait before the next question.
    async fn ask(&self, work: &Work, handle: &Handle) -> Result<Told, Unanswered> {
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
    async fn fetch(&self, work: &Work, url: &str) -> Result<Told, Unanswered> {
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

    async fn cancel(&self, handle: &Handle) -> Result<(), Failure> {
        let Some(url) = &handle.cancel_url else { return Ok(()) };
        let url = self.guard.admit(url)?;
        let (status, _, _) = self.http.exchange(self.http.request(self.preset.cancel_method(), url)).await?;
        // A 4xx says that there is nothing to cancel any more.
        if status < 500 { Ok(()) } else { Err(Failure::new(Outcome::Overloaded, format!("status {status}"))) }
    }

    fn forget(&self, job: Option<&str>) {
        if let Some(Err(error)) = job.map(|job| self.handles.remove(job)) {
            tracing::warn!(account = %self.account, %error, "a generation that has ended cannot be forgotten");
        }
    }
}

/// Returns the dialect of a service.
pub(super) fn preset_of(kind: config::Preset) -> Box<dyn Preset> {
    match kind {
        config::Preset::Bfl => Box::new(bfl::Bfl),
        config::Preset::Fal => Box::new(fal::Fal),
        config::Preset::Replicate => Box::new(replicate::Replicate),
        config::Preset::Ark => Box::new(ark::Ark),
    }
}

/// A generation that was accepted.
struct Begun {
    handle: Handle,
    told: Told,
}

/// How a generation stands, as an answer told it.
struct Told {
    state: State,
    /// How long to wait before the next question, where that was said.
    wait: Option<Duration>,
    rates: RateHints,
    /// The answer itself, where the generation ended for its request's sake.
    said: Option<Upstream>,
}

impl Told {
    fn of(state: State) -> Self {
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

/// Why a question has no answer.
enum Unanswered {
    /// It may have one later.
    Perhaps(Failure),
    /// The generation has failed, where that stays so.
    Failing(String),
    /// There were too many of them; how long to be silent.
    TooOften(Option<Duration>),
    /// There will be none.
    Never(Failure),
}

/// Reads when to ask again.
pub(super) fn next_question(headers: &HeaderMap) -> Option<Duration> {
    let millis = headers.get("openai-poll-after-ms").and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
    millis.map(Duration::from_millis).or_else(|| retry_after(headers))
}

/// A name that one request has for the time it is followed.
struct Claim {
    inner: Arc<Inner>,
    job: Arc<str>,
}

impl Claim {
    fn take(inner: &Arc<Inner>, job: &str) -> Result<Self, Failure> {
        let job: Arc<str> = job.into();
        if !inner.active.lock().unwrap_or_else(PoisonError::into_inner).insert(job.clone()) {
            let message = "a request of this name is under way; wait for it, or give this one a name of its own";
            return Err(Failure::new(Outcome::Rejected, message));
        }
        Ok(Self { inner: inner.clone(), job })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.inner.active.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.job);
    }
}

/// A submission as it is sent.
struct Draft {
    path: String,
    text: String,
}

impl Draft {
    /// Tells requests apart that came under one name.
    fn fingerprint(&self) -> String {
        let digest = Sha256::new().chain_update(&self.path).chain_update(&self.text).finalize();
        digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}
