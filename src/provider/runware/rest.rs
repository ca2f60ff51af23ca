//! Tasks over REST: sent, and asked for by `getResponse` where their results do not come with the answer. There is no
//! way to cancel.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{StreamExt, iter};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Url};
use serde_json::{Map, Value, json};

use super::common::{is_under_way, now};
use super::follow::{Follow, Standing};
use super::outgoing::Outgoing;
use super::refusals::{failure, is_conflict};
use super::told::{Fault, Told};
use crate::config::{Endpoint, PollSettings};
use crate::contract::attempt::TraceContext;
use crate::core::verdict::Matter;
use crate::provider::common::unreadable;
use crate::provider::headers::hints;
use crate::provider::http::{Http, Sending, address, classify};
use crate::provider::streamed::{self, Dialect, Opened};
use crate::provider::task::pace::next_question;
use crate::provider::task::pace::{Budget, Pace};
use crate::provider::{Answer, Attempt, Failure, Outcome, RateHints, Reply};
use crate::task::{Product, RawResult, TextDelta, TextInference, TextResult, Work};
use crate::wire::Malformed;
use crate::wire::runware::{decode, decode_delta};

/// An account's REST API.
#[derive(Debug)]
pub(super) struct Rest {
    http: Http,
    /// Address of tasks and questions.
    address: Url,
    poll: PollSettings,
    budget: Budget,
    /// The tasks that are followed: a second request under one of their UUIDs would get the first one's results.
    active: Mutex<HashSet<String>>,
}

/// An answer of the service, and what stands beside it.
struct Answered {
    status: u16,
    headers: HeaderMap,
    told: Option<Told>,
    body: Bytes,
}

/// The outcome of a question for a task.
enum Said {
    Told(Told),
    /// There are too many questions.
    TooOften,
    /// Nothing about the task; it may be told later.
    Nothing(Failure),
    /// The account may not ask.
    Never(Failure),
}

impl Rest {
    pub(super) fn new(endpoint: &Endpoint, poll: &PollSettings) -> Result<Self, String> {
        let (poll, budget) = (poll.clone(), Budget::new(poll.per_second));
        let address = address(&endpoint.base_url)?;
        Ok(Self { http: Http::new(endpoint)?, address, poll, budget, active: Mutex::default() })
    }

    /// Carries out one task.
    pub(super) async fn run(&self, task: Outgoing, attempt: &Attempt) -> Result<Answer, Failure> {
        // A named task may have been sent before a restart.
        let was_sent = attempt.number() > 1 || attempt.job().is_some();
        let mut follow = Follow::new(&task, was_sent, now(), attempt.deadline());
        let _active = Active::new(&self.active, follow.uuid())?;
        let answer = self.exchange(task.text.into(), attempt.trace()).await?;
        let (hints, told) = (hints(&answer.headers), self.http.told(&answer.headers));
        let wait = next_question(&answer.headers);
        let named = |failure| Failure { upstream_id: told.id.clone(), ..failure };
        let standing = answer.read_task(was_sent).and_then(|told| follow.hear(told, now())).map_err(named)?;
        let (made, hints) = match standing {
            Standing::UnderWay if follow.is_under_way => self.ask(follow, wait).await?,
            // An answer over REST is whole.
            Standing::UnderWay | Standing::Ended => (follow.end().map_err(named)?, hints),
        };
        Ok(Answer { hints, told, ..Answer::product(Product::Raw(made)) })
    }

    /// Begins a text that comes piece by piece.
    pub(super) async fn stream(&self, task: Outgoing, attempt: &Attempt) -> Result<Answer, Failure> {
        let sent = self.http.send(Http::traced(self.post(task.text.into()), attempt.trace())).await;
        let response = sent.map_err(|refused| reread(Failure { spent: false, ..refused }))?;
        let (hints, told) = (hints(response.headers()), self.http.told(response.headers()));
        let opened = streamed::open(&self.http, response, broken_off).await;
        let pieces = match opened.map_err(|failure| Failure { spent: false, ..failure })? {
            Opened::Events(chunks) => streamed::deltas(chunks, Dialect { decode: decode_delta, refused: broken_off }),
            Opened::Whole(body) => iter([Ok(whole(&body)?)]).boxed(),
        };
        Ok(Answer { hints, told, ..Answer::new(Reply::Deltas(pieces)) })
    }

    fn post(&self, body: Bytes) -> Sending {
        let post = self.http.request(Method::POST, self.address.clone());
        post.header(CONTENT_TYPE, HeaderValue::from_static("application/json")).body(body.into())
    }

    /// Asks for a task until it has ended.
    async fn ask(&self, mut follow: Follow, mut wait: Option<Duration>) -> Result<(RawResult, RateHints), Failure> {
        follow.is_asked = true;
        let question = Bytes::from(json!([{"taskType": "getResponse", "taskUUID": follow.uuid()}]).to_string());
        let mut pace = Pace::new(&self.poll);
        let (mut failed, mut rates) = (0, RateHints::default());
        loop {
            let pause = pace.wait(wait.take(), rand::random());
            let asked = async {
                tokio::time::sleep(pause).await;
                self.budget.turn().await;
                self.exchange(question.clone(), None).await
            };
            let asked = match follow.until() {
                None => asked.await,
                Some(until) => match tokio::time::timeout_at(until, asked).await {
                    Ok(asked) => asked,
                    Err(_) => return Ok((follow.end()?, rates)),
                },
            };
            let said = match asked {
                Ok(answer) => {
                    (rates, wait) = (hints(&answer.headers), next_question(&answer.headers));
                    answer.read_question(follow.uuid())
                }
                Err(failure) => Said::Nothing(failure),
            };
            let failure = match said {
                Said::Told(told) => {
                    failed = 0;
                    if follow.hear(told, now())? == Standing::Ended {
                        return Ok((follow.end()?, rates));
                    }
                    continue;
                }
                Said::TooOften => {
                    pace.slow();
                    continue;
                }
                Said::Nothing(failure) => failure,
                Said::Never(failure) => return Err(failure),
            };
            failed += 1;
            if failed > self.poll.patience {
                if follow.until().is_some() {
                    return Ok((follow.end()?, rates));
                }
                // Under its UUID the same task is found again.
                let message = format!("the generation cannot be followed: {failure}");
                return Err(Failure { hints: failure.hints, ..Failure::new(Outcome::Overloaded, message) });
            }
        }
    }

    /// Sends one array and reads the whole answer. Under its UUID a task may be sent again, whatever became of it.
    async fn exchange(&self, body: Bytes, trace: Option<&TraceContext>) -> Result<Answered, Failure> {
        let sent = self.http.exchange(Http::traced(self.post(body), trace)).await;
        let (status, headers, body) = sent.map_err(|failure| Failure { spent: false, ..failure })?;
        let told = serde_json::from_slice(&body).ok().and_then(Told::read);
        Ok(Answered { status, headers, told, body })
    }
}

impl Answered {
    fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Reads the answer to a task: what it tells, unless it refuses.
    fn read_task(self, was_sent: bool) -> Result<Told, Failure> {
        let is_success = self.is_success();
        let Self { status, headers, told, body } = self;
        let Some(told) = told else {
            let none = || unreadable(&Malformed::new("data", "is missing from the answer"));
            return Err(if is_success { none() } else { plain(status, &headers, body) });
        };
        let was_taken = was_sent && told.errors.iter().any(is_conflict);
        if told.items.is_empty() && !told.errors.is_empty() && !was_taken {
            let errors: Vec<_> = told.errors.into_iter().map(|fault| fault.object).collect();
            return Err(failure(&errors, status, &headers));
        }
        if told.items.is_empty() && told.errors.is_empty() && !is_success {
            return Err(plain(status, &headers, body));
        }
        Ok(told)
    }

    /// Reads the answer to a question about a task.
    fn read_question(self, uuid: &str) -> Said {
        let is_success = self.is_success();
        let Self { status, headers, told, body } = self;
        let Some(told) = told.filter(|told| is_success || !(told.items.is_empty() && told.errors.is_empty())) else {
            return match status {
                429 => Said::TooOften,
                404 | 410 => Said::Told(Told { errors: vec![unknown(status)], ..Told::default() }),
                401..=403 => Said::Never(plain(status, &headers, body)),
                _ if is_success => Said::Nothing(unreadable(&Malformed::new("data", "is missing from the answer"))),
                _ => Said::Nothing(plain(status, &headers, body)),
            };
        };
        let errors: Vec<_> = told.errors.iter().map(|fault| fault.object.clone()).collect();
        if errors.is_empty() || !told.items.is_empty() {
            return Said::Told(told);
        }
        let refused = failure(&errors, status, &headers);
        let is_its_own = told.errors.iter().any(|fault| fault.text("taskUUID") == uuid);
        match refused.outcome {
            Outcome::Throttled => Said::TooOften,
            Outcome::RateLimited if refused.verdict.matter == Matter::Rate => Said::TooOften,
            Outcome::RateLimited => Said::Never(refused),
            // Of the question, and not of the task.
            Outcome::Overloaded | Outcome::Failed if !is_its_own => Said::Nothing(refused),
            _ => Said::Told(told),
        }
    }
}

/// Reads an answer without errors of the service's own. Its UUID makes it harmless to send a task again, whatever lost it.
fn plain(status: u16, headers: &HeaderMap, body: Bytes) -> Failure {
    Failure { spent: false, ..classify(status, headers, body) }
}

/// Words a status that says that there is no such task.
fn unknown(status: u16) -> Fault {
    let error = [("code", "taskNotFound".to_owned()), ("message", format!("the provider answered {status}"))];
    let object = Map::from_iter(error.map(|(name, text)| (name.to_owned(), text.into())));
    Fault { object, of_one: false }
}

/// Reads the error objects in a failure's body: their codes say more than the status.
fn reread(refused: Failure) -> Failure {
    let Some(upstream) = &refused.upstream else { return refused };
    let told = serde_json::from_slice(&upstream.body).ok().and_then(Told::read);
    let errors: Vec<_> = told.into_iter().flat_map(|told| told.errors).map(|fault| fault.object).collect();
    if errors.is_empty() {
        return refused;
    }
    let coded = failure(&errors, upstream.status, &HeaderMap::new());
    if coded.outcome == Outcome::Rejected {
        return refused;
    }
    // What the headers said was read before, and holds.
    let retry_after = refused.retry_after.max(coded.retry_after);
    Failure { hints: refused.hints, retry_after, upstream_id: refused.upstream_id, ..coded }
}

/// Says what an error among the events of a stream means.
fn broken_off(error: &Value, headers: &HeaderMap) -> Failure {
    match error {
        Value::Object(object) => failure(std::slice::from_ref(object), 400, headers),
        other => streamed::refused(other, headers),
    }
}

/// Reads a text that came as a whole though it was to be streamed.
fn whole(body: &[u8]) -> Result<TextDelta, Failure> {
    let told = serde_json::from_slice(body).ok().and_then(Told::read).unwrap_or_default();
    match decode(&Work::Text(TextInference::new("", "")), told.items) {
        Product::Text(text) if text != TextResult::default() => Ok(text.into()),
        _ => Err(unreadable(&Malformed::new("data", "holds no text"))),
    }
}

/// A UUID that one request has for the time it is followed.
struct Active<'a> {
    all: &'a Mutex<HashSet<String>>,
    uuid: String,
}

fn held(all: &Mutex<HashSet<String>>) -> MutexGuard<'_, HashSet<String>> {
    all.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a> Active<'a> {
    fn new(all: &'a Mutex<HashSet<String>>, uuid: &str) -> Result<Self, Failure> {
        if !held(all).insert(uuid.to_owned()) {
            return Err(is_under_way(uuid));
        }
        Ok(Self { all, uuid: uuid.to_owned() })
    }
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        held(self.all).remove(&self.uuid);
    }
}
