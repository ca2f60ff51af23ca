//! A generation under way: its watch asks for it until it ends, and cancels it when nobody waits for it any more.

use std::sync::Arc;
use std::time::Duration;

use super::account::{Account, Told, Unanswered};
use super::handle::{Fault, Handle, State};
use super::pace::Pace;
use crate::core::verdict::{Matter, Scope, Verdict};
use crate::provider::common::actual_cost;
use crate::provider::{Answer, Failure, Outcome, Upstream};
use crate::task::Work;
use crate::wire::said::is_moderation;

/// Longest that one cancellation may take.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(10);

/// A generation that is followed. Dropped before its end, it is cancelled.
pub(super) struct Watch {
    pub(super) account: Arc<Account>,
    pub(super) job: Option<Arc<str>>,
    pub(super) handle: Option<Handle>,
}

impl Watch {
    /// Asks until it has ended.
    pub(super) async fn follow(mut self, work: &Work, begun: Told) -> Result<Answer, Failure> {
        let account = self.account.clone();
        let Some(handle) = self.handle.clone() else { return Err(Failure::new(Outcome::Cancelled, "cancelled")) };
        let mut pace = Pace::new(&account.poll);
        let Told { mut state, mut wait, mut rates, mut said } = begun;
        // Questions without an answer, and answers that it is not there, each in a row.
        let (mut failed, mut missing) = (0, 0);
        loop {
            let asked = match state {
                State::Done(product) => {
                    self.ended();
                    let cost = actual_cost(work, &product);
                    return Ok(Answer { cost, hints: rates, ..Answer::product(product) });
                }
                // A look too early, or a replica behind: it is gone only when it stays so.
                State::Missing if missing < account.poll.patience => {
                    missing += 1;
                    self.question(&mut pace, wait.take()).await;
                    account.ask(work, &handle).await
                }
                State::Failed(..) | State::Cancelled | State::Expired | State::Missing => {
                    self.ended();
                    return Err(end(state, said));
                }
                State::ReadyAt(ref url) => {
                    account.budget.turn().await;
                    account.fetch(work, url).await.map(|told| Told { rates, ..told })
                }
                State::Queued(_) | State::Running => {
                    missing = 0;
                    self.question(&mut pace, wait.take()).await;
                    account.ask(work, &handle).await
                }
            };
            match asked {
                Ok(told) => {
                    failed = 0;
                    Told { state, wait, rates, said } = told;
                }
                Err(Unanswered::TooOften(silence)) => {
                    pace.slow();
                    wait = silence;
                    self.pause(&mut pace, &state, &mut wait).await;
                }
                Err(Unanswered::Failing(words)) => {
                    failed += 1;
                    if failed > account.poll.patience {
                        self.ended();
                        return Err(Failure::new(Outcome::Failed, words));
                    }
                    self.pause(&mut pace, &state, &mut wait).await;
                }
                Err(Unanswered::Perhaps(failure)) => {
                    failed += 1;
                    if failed > account.poll.patience {
                        let message = format!("the generation cannot be followed: {failure}");
                        // What its questions meet says nothing of the generations that the account could take.
                        let outcome = Outcome::Failed;
                        return Err(Failure { spent: true, hints: failure.hints, ..Failure::new(outcome, message) });
                    }
                    self.pause(&mut pace, &state, &mut wait).await;
                }
                Err(Unanswered::Never(failure)) => return Err(failure),
            }
        }
    }

    /// Waits until the next question may be asked.
    async fn question(&self, pace: &mut Pace, hint: Option<Duration>) {
        tokio::time::sleep(pace.wait(hint, rand::random())).await;
        self.account.budget.turn().await;
    }

    /// Waits before a result is fetched again: that step has no wait of its own.
    async fn pause(&self, pace: &mut Pace, state: &State, wait: &mut Option<Duration>) {
        if matches!(state, State::ReadyAt(_)) {
            tokio::time::sleep(pace.wait(wait.take(), rand::random())).await;
        }
    }

    /// Nothing is left to cancel.
    fn ended(&mut self) {
        self.handle = None;
        self.account.forget(self.job.as_deref());
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // What cannot be cancelled stays remembered: the same name finds it again.
        let Some(handle) = self.handle.take().filter(|handle| handle.cancel_url.is_some()) else { return };
        let (account, job) = (self.account.clone(), self.job.take());
        let Ok(permit) = account.cancels.clone().try_acquire_owned() else {
            tracing::warn!(account = %account.name, id = handle.id, "too many cancellations; this one runs on");
            return;
        };
        // Where the runtime is going down, nothing is cancelled or forgotten: the next process resumes it.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            let _permit = permit;
            match tokio::time::timeout(CANCEL_TIMEOUT, account.cancel(&handle)).await {
                Ok(Ok(())) => account.forget(job.as_deref()),
                Ok(Err(error)) => tracing::warn!(account = %account.name, id = handle.id, %error, "not cancelled"),
                Err(_) => tracing::warn!(account = %account.name, id = handle.id, "not cancelled: no answer"),
            }
        });
    }
}

/// Words the end of a generation without a product; `said` is the answer that told it.
pub(super) fn end(state: State, said: Option<Upstream>) -> Failure {
    let spent = |words: &str| Failure { spent: true, ..Failure::new(Outcome::Failed, words) };
    match state {
        State::Failed(Fault::Request, words) => {
            let matter = if is_moderation(&words) { Matter::Moderation } else { Matter::Input };
            Failure { upstream: said, ..Failure::judged(Verdict::new(Scope::Request, matter), words) }
        }
        State::Failed(Fault::Provider, words) => Failure::new(Outcome::Failed, words),
        State::Expired => spent("the generation expired at the provider"),
        State::Missing => spent("the provider does not know the generation, or no more"),
        _ => Failure::new(Outcome::Rejected, "the generation was cancelled at the provider"),
    }
}
