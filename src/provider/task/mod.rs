//! Providers that are submitted to and polled: one adapter, and a small dialect for each service.
//!
//! Submit, then ask on a budget until the generation has ended; the caller's slot is held all the while. A future that
//! is dropped, even while the submission is on its way, cancels at the provider. Between the submission and a clear
//! answer the work counts as spent: what fails then is not sent again unless the model's `retry.resubmit` says so.

mod account;
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

use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::{Either, select};
use reqwest::header::{HeaderMap, HeaderName};
use secrecy::ExposeSecret;
use tokio::sync::{Semaphore, oneshot};

use self::account::{Account, Begun, Draft, Told};
use self::guard::Guard;
pub use self::handle::Handle;
use self::handle::State;
use self::pace::Budget;
use self::preset::{Preset, unable};
pub use self::store::{FileHandles, HandleStore, MemoryHandles};
use self::watch::Watch;
use super::common::form_asked;
use super::fetch::Fetch;
use super::http::{Http, address, secret_header};
use super::openai::OpenAi;
use super::translate::translated;
use super::{Answer, Attempt, BoxFuture, Failure, Outcome, Provider, ProviderError, Reply};
use crate::clock::unix_time;
use crate::config::{self, Endpoint, PollSettings, TaskSettings};
use crate::task::Work;
use crate::wire::{Request, Wire};

/// Most cancellations under way at once per account; what is dropped beyond that runs out by itself.
const MOST_CANCELS: usize = 64;
/// Most submissions under way at once per account, with those that nobody waits for any more.
const MOST_SUBMISSIONS: usize = 4_096;
/// Longest that a submission may take.
const SUBMIT_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest that it may take once nobody waits for it any more: it may have a slot at the provider.
const ABANDONED_TIMEOUT: Duration = Duration::from_secs(10);

/// An account at a service that is submitted to and polled.
#[derive(Debug)]
pub struct TaskProvider {
    account: Arc<Account>,
    /// For what is OpenAI-shaped there.
    openai: Option<OpenAi>,
}

impl TaskProvider {
    /// Sets up an account; what is under way is remembered as its settings say.
    ///
    /// # Errors
    ///
    /// [`ProviderError`], which says what is wrong: the key, TLS, or the file of handles.
    pub fn new(account: &str, settings: &TaskSettings) -> Result<Self, ProviderError> {
        let handles: Arc<dyn HandleStore> = match &settings.handles {
            None => Arc::new(MemoryHandles::default()),
            Some(path) => {
                let file = FileHandles::open(path);
                let wrong = |error: io::Error| {
                    ProviderError::new(format!("handles {} cannot be used: {error}", path.display())).caused_by(error)
                };
                Arc::new(file.map_err(wrong)?)
            }
        };
        Self::with_handles(account, settings, handles)
    }

    /// Sets up an account that remembers in a store of the caller's own.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn with_handles(
        account: &str,
        settings: &TaskSettings,
        handles: Arc<dyn HandleStore>,
    ) -> Result<Self, ProviderError> {
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
        let account = Account {
            name: account.into(),
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
        Ok(Self { account: Arc::new(account), openai: None })
    }

    /// Submits work, or takes up what the same name already stands for, and follows it to its end.
    pub(super) async fn make(&self, work: Work, attempt: &Attempt) -> Result<Answer, Failure> {
        let account = &self.account;
        let upstream = attempt.upstream_model();
        let submission = account
            .preset
            .submission(&work, upstream)
            .map_err(|malformed| unable(account.preset.name(), &malformed))?;
        let draft = Draft { path: submission.path, text: submission.body.to_string() };
        let request = draft.fingerprint();
        let _claim = attempt.job().map(|job| Claim::take(account, job)).transpose()?;
        let known = attempt.job().and_then(|job| account.handles.get(job));
        attempt.mark_spent(true);
        let (handle, begun) = match known {
            Some(handle) if handle.account != *account.name || handle.request != request => {
                attempt.mark_spent(false);
                let message = "this name stands for another request; give each request a name of its own";
                return Err(Failure::new(Outcome::Rejected, message));
            }
            Some(handle) if handle.expires <= unix_time() => {
                account.forget(attempt.job());
                return Err(watch::end(State::Expired, None));
            }
            Some(handle) => (handle, Told::of(State::Queued(None))),
            None => {
                let submitted = submit(account.clone(), draft, request, &work, attempt).await;
                let Begun { handle, told } = submitted.inspect_err(|failure| attempt.mark_spent(failure.spent))?;
                (handle, told)
            }
        };
        let watch = Watch { account: account.clone(), job: attempt.job().map(Arc::from), handle: Some(handle) };
        let end = watch.follow(&work, begun).await;
        let mut end = end.inspect_err(|failure| attempt.mark_spent(failure.spent))?;
        if let Reply::Product(product) = &mut end.reply {
            account.fetch.fill(product, form_asked(&work)).await;
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
                Some(openai) if self.account.preset.is_openai_shaped(&work) => {
                    let preset = &self.account.preset;
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

/// Submits in a task of its own, so that a caller who leaves meanwhile leaves nothing running that has no name.
async fn submit(
    account: Arc<Account>,
    draft: Draft,
    request: String,
    work: &Work,
    attempt: &Attempt,
) -> Result<Begun, Failure> {
    let Ok(permit) = account.submissions.clone().try_acquire_owned() else {
        return Err(Failure::new(Outcome::Throttled, format!("{MOST_SUBMISSIONS} submissions are under way")));
    };
    let (mut sender, receiver) = oneshot::channel();
    let (work, job) = (work.clone(), attempt.job().map(Arc::<str>::from));
    let trace = attempt.trace().cloned();
    tokio::spawn(async move {
        let _permit = permit;
        let submitting = account.send(draft, request, &work, job.as_deref(), trace.as_ref());
        let abandoned = async {
            sender.closed().await;
            tokio::time::sleep(ABANDONED_TIMEOUT).await;
        };
        let submitted = match tokio::time::timeout(SUBMIT_TIMEOUT, select(pin!(submitting), pin!(abandoned))).await {
            Ok(Either::Left((submitted, _))) => submitted,
            Ok(Either::Right(_)) | Err(_) => {
                let message = "the provider did not answer the submission";
                Err(Failure { spent: true, ..Failure::new(Outcome::Overloaded, message) })
            }
        };
        if let Err(Ok(Begun { handle, .. })) = sender.send(submitted) {
            drop(Watch { account, job, handle: Some(handle) });
        }
    });
    receiver.await.unwrap_or_else(|_| {
        Err(Failure { spent: true, ..Failure::new(Outcome::Overloaded, "the submission was lost") })
    })
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

/// A name that one request has for the time it is followed.
struct Claim {
    account: Arc<Account>,
    job: Arc<str>,
}

impl Claim {
    fn take(account: &Arc<Account>, job: &str) -> Result<Self, Failure> {
        let job: Arc<str> = job.into();
        if !account.active.lock().unwrap_or_else(PoisonError::into_inner).insert(job.clone()) {
            let message = "a request of this name is under way; wait for it, or give this one a name of its own";
            return Err(Failure::new(Outcome::Rejected, message));
        }
        Ok(Self { account: account.clone(), job })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.account.active.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.job);
    }
}
