//! Typed generation messages: what a service made of actix actors sends instead of calling the handle.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # actix::System::new().block_on(async {
//! use fairflow::messages::Generate;
//! use fairflow::task::TextInference;
//! use fairflow::{Config, Fairflow};
//!
//! let fairflow = Fairflow::builder(Config::demo()).start().await?;
//! let texts: actix::Recipient<Generate<TextInference>> = fairflow.recipient();
//! let text = texts.send(Generate::new(TextInference::new("sim-text", "hello")).tenant("acme")).await??;
//! assert!(!text.text.is_empty());
//! # Ok(())
//! # })
//! # }
//! ```

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use actix::dev::{MessageResponse, OneshotSender};
use actix::{Actor, Arbiter, Context, Handler, Message, Recipient};
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::engine::Engine;
use super::{Fairflow, generate};
use crate::core::cost::Cost;
use crate::core::fair_queue::Class;
use crate::engine::caller::plan::{Plan, setters};
use crate::engine::view::error::Error;
use crate::task::Task;

/// A task to be scheduled; the answer is its output. Dropping the request that carries it cancels it.
#[derive(Debug, Clone)]
pub struct Generate<T> {
    task: T,
    plan: Box<Plan>,
}

impl<T: Task> Generate<T> {
    /// Schedules a task.
    pub fn new(task: T) -> Self {
        let plan = Box::new(Plan::of(&task));
        Self { task, plan }
    }

    setters!(plan);
}

impl<T: Task> Message for Generate<T> {
    type Result = Result<T::Output, Error>;
}

/// Takes messages and runs each as a task of its own, on the arbiter it was started on.
struct Receiver(Arc<Engine>);

impl Actor for Receiver {
    type Context = Context<Self>;
}

/// A generation under way.
struct Answering<T>(BoxFuture<'static, T>);

impl<T> fmt::Debug for Answering<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answering")
    }
}

impl<M: Message> MessageResponse<Receiver, M> for Answering<M::Result> {
    fn handle(self, _: &mut Context<Receiver>, reply: Option<OneshotSender<M::Result>>) {
        let Some(mut reply) = reply else {
            // `do_send`: nobody waits for the answer, and nobody can cancel.
            actix::spawn(async move { drop(self.0.await) });
            return;
        };
        actix::spawn(async move {
            tokio::select! {
                answer = self.0 => drop(reply.send(answer)),
                () = reply.closed() => {}
            }
        });
    }
}

impl<T: Task> Handler<Generate<T>> for Receiver {
    type Result = Answering<Result<T::Output, Error>>;

    fn handle(&mut self, message: Generate<T>, _: &mut Self::Context) -> Self::Result {
        let Generate { task, plan } = message;
        Answering(generate::Generate::with_plan(self.0.clone(), task, plan).into_future())
    }
}

impl Fairflow {
    /// Starts an actor that takes typed messages, on the caller's arbiter, else on the engine's: there the provider calls
    /// run. It ends, and lets go of its handle, when its last recipient is dropped.
    #[must_use]
    pub fn recipient<T: Task>(&self) -> Recipient<Generate<T>> {
        let engine = self.engine.clone();
        let arbiter = Arbiter::try_current().unwrap_or_else(|| engine.running.arbiter().clone());
        Receiver::start_in_arbiter(&arbiter, move |_| Receiver(engine)).recipient()
    }
}
