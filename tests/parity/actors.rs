//! The actors in paused time, behind their public handle.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fairflow::config::Config;
use fairflow::core::cost::Cost;
use fairflow::provider::{Answer, Attempt, BoxFuture, Failure, Outcome, Provider, Reply};
use fairflow::task::{Product, TextInference, TextResult};
use fairflow::wire::Request;
use fairflow::{Class, Fairflow};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::engine::{Engine, Seen};
use crate::story::Job;

/// How the story ends an attempt: with what it cost, where that is told.
type End = Result<Option<Cost>, Failure>;

/// What callers and the provider write down, and attempts that wait for their end.
#[derive(Debug, Default)]
struct Desk {
    seen: Mutex<Vec<Seen>>,
    news: Notify,
    under_way: Mutex<BTreeMap<usize, oneshot::Sender<End>>>,
}

impl Desk {
    fn note(&self, seen: Seen) {
        self.seen.lock().unwrap().push(seen);
        self.news.notify_one();
    }
}

/// A provider whose attempts end when the story says so.
#[derive(Debug)]
struct AtDesk(Arc<Desk>);

impl Provider for AtDesk {
    fn call<'a>(&'a self, _: &'a Request, attempt: &'a Attempt) -> BoxFuture<'a, Result<Answer, Failure>> {
        Box::pin(async move {
            let id = attempt.job().unwrap().parse().unwrap();
            let (end, ended) = oneshot::channel();
            self.0.under_way.lock().unwrap().insert(id, end);
            self.0.note(Seen::Dispatched(id));
            let cost = ended.await.unwrap()?;
            let mut answer = Answer::new(Reply::Product(Product::Text(TextResult::default())));
            answer.cost = cost;
            Ok(answer)
        })
    }
}

pub struct Actors {
    fairflow: Fairflow,
    desk: Arc<Desk>,
    origin: Instant,
    callers: BTreeMap<usize, tokio::task::JoinHandle<()>>,
}

impl Actors {
    /// Must be called inside [`paused`](fairflow::testing::paused).
    #[allow(clippy::disallowed_methods, reason = "the clock of the test")]
    pub async fn new(config: Config) -> Self {
        let desk = Arc::new(Desk::default());
        let provider = Arc::new(AtDesk(desk.clone()));
        let builder = Fairflow::builder(config).seed(1).provider_factory(Arc::new(move |_| Ok(provider.clone())));
        let origin = Instant::now();
        let fairflow = builder.start_here().await.unwrap();
        Self { fairflow, desk, origin, callers: BTreeMap::new() }
    }

    fn end(&self, id: usize, how: End) {
        let end = self.desk.under_way.lock().unwrap().remove(&id).unwrap();
        assert!(end.send(how).is_ok(), "somebody waits for it");
    }
}

impl Engine for Actors {
    fn submit(&mut self, id: usize, job: &Job) {
        let mut generate = self.fairflow.generate(TextInference::new("m", "")).tenant(job.tenant.as_str());
        generate = generate.cost(job.predicted.units().into()).job(id.to_string()).class(Class::Interactive);
        if let Some(patience) = job.patience {
            generate = generate.max_wait(patience);
        }
        let desk = self.desk.clone();
        let caller = actix::spawn(async move {
            if let Err(error) = generate.await {
                desk.note(Seen::Refused(id, error.reason().as_str()));
            }
        });
        self.callers.insert(id, caller);
    }

    fn finish(&mut self, id: usize, job: &Job, refused: bool) {
        self.end(
            id,
            if refused { Err(Failure::new(Outcome::Throttled, "")) } else { Ok((!job.silent).then_some(job.actual)) },
        );
    }

    fn cancel(&mut self, id: usize) {
        self.callers[&id].abort();
    }

    async fn reload(&mut self, config: Config) {
        self.fairflow.reload(config).await.unwrap();
    }

    #[allow(clippy::disallowed_methods, reason = "the clock of the test")]
    async fn pass(&mut self, until: u64) -> (u64, Vec<Seen>) {
        let end = self.origin + Duration::from_millis(until);
        tokio::select! {
            biased;
            () = self.desk.news.notified() => {}
            () = tokio::time::sleep_until(end) => {}
        }
        let now = (Instant::now() - self.origin).as_millis() as u64;
        (now, std::mem::take(&mut *self.desk.seen.lock().unwrap()))
    }
}
