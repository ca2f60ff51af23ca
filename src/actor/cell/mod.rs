//! Actors that are run by whoever sends to them ([ADR 4](../../../docs/adr/0004-actors-on-their-senders-thread.md)).
//!
//! They are actix actors, with actix messages and handlers; mailbox, address and context are ours. A sender whose letter
//! finds the actor at rest handles it on its own thread, at once. A sender that finds it running leaves its letter to the
//! thread that runs it. What every actor may rely on:
//!
//! - One thread at a time runs it, and handles its letters in the order in which they were sent.
//! - A letter that a handler sends is handled after it, never inside it.
//! - Its start is its first letter.
//! - A handler that panics ends the actor, not the thread that ran it.
//!
//! Senders must hold no lock that a handler might want: whatever is behind the address may run before `do_send` returns.

mod alarm;
pub(crate) mod mailbox;
mod recipient;
#[cfg(test)]
mod tests;
mod turn;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};

use actix::{Actor, ActorContext, ActorState, Handler, Message};

use self::alarm::{Alarm, Call};
use self::mailbox::Mailbox;
pub(crate) use self::recipient::Recipient;
pub(crate) use self::turn::uninterrupted;
use super::exit::ExitNotice;
use crate::clock::Clock;
use crate::core::time::Time;
use crate::engine::view::restarts::ExitCause;

/// The locks under a mailbox.
mod sync {
    pub(super) use std::sync::{Mutex, MutexGuard, PoisonError};
}

/// Alarm → actor: the time it asked for has come.
#[derive(Debug)]
pub(crate) struct Ring;

impl Message for Ring {
    type Result = ();
}

/// An actor that runs on its senders' threads. [`letters!`] writes this.
pub(crate) trait Inline: Actor<Context = Context<Self>> + Handler<Ring> + Send {
    /// All messages that it takes, as its mailbox keeps them: without a box each.
    type Letter: From<Ring> + Send + 'static;

    /// Handles the message in a letter.
    fn open(&mut self, letter: Self::Letter, context: &mut Context<Self>);
}

/// Lists the messages that an actor takes: `letters! { pub(crate) Actor: LettersName { Message, … } }`.
macro_rules! letters {
    ($vis:vis $actor:ty: $letter:ident { $($(#[$on:meta])* $message:ident),+ $(,)? }) => {
        /// A message to the actor, of any type that it takes.
        #[allow(clippy::large_enum_variant, reason = "the large ones are the frequent ones")]
        $vis enum $letter {
            $($(#[$on])* $message($message)),+
        }

        $($(#[$on])*
        impl From<$message> for $letter {
            fn from(message: $message) -> Self {
                Self::$message(message)
            }
        })+

        impl $crate::actor::cell::Inline for $actor {
            type Letter = $letter;

            fn open(&mut self, letter: $letter, context: &mut $crate::actor::cell::Context<Self>) {
                match letter {
                    $($(#[$on])* $letter::$message(message) => ::actix::Handler::handle(self, message, context)),+
                }
            }
        }
    };
}
pub(in crate::actor) use letters;

/// A letter in a mailbox.
enum Letter<A: Inline> {
    Start,
    Message(A::Letter),
}

struct Cell<A: Inline> {
    mailbox: Mailbox<Letter<A>, Life<A>>,
    alarm: Arc<Alarm>,
}

/// An actor and what ends with it.
struct Life<A: Inline> {
    actor: A,
    context: Context<A>,
    exit: ExitNotice,
}

impl<A: Inline> Life<A> {
    /// Handles a letter; returns whether the actor goes on.
    fn handle(&mut self, letter: Letter<A>) -> bool {
        let Self { actor, context, exit } = self;
        let handled = catch_unwind(AssertUnwindSafe(|| match letter {
            Letter::Start => actor.started(context),
            Letter::Message(message) => actor.open(message, context),
        }));
        if handled.is_err() {
            exit.cause = ExitCause::Panic;
            return false;
        }
        !context.stopped
    }
}

impl<A: Inline> turn::Run for Cell<A> {
    fn run(&self, budget: &mut u32) -> bool {
        self.mailbox.run(budget, Life::handle)
    }

    fn hand_over(&self) {
        self.mailbox.leave();
        self.alarm.hand_over();
    }
}

impl<A: Inline> Drop for Cell<A> {
    /// Has the task on the engine's thread see that there is nothing to wake any more.
    fn drop(&mut self) {
        self.alarm.hand_over();
    }
}

/// The address of an actor. The actor ends with its last address, or when its engine's thread does.
pub(crate) struct Addr<A: Inline>(Arc<Cell<A>>);

impl<A: Inline> Addr<A> {
    /// Starts an actor on the engine's thread, which calls this; `exit` is told to the supervisor when it ends.
    pub(crate) fn start(actor: A, clock: Clock, exit: ExitNotice) -> Self {
        let alarm = Arc::new(Alarm::new(clock));
        let cell = Arc::new_cyclic(|cell| {
            let context = Context { cell: cell.clone(), alarm: alarm.clone(), stopped: false };
            Cell { mailbox: Mailbox::new(Life { actor, context, exit }), alarm: alarm.clone() }
        });
        let guard = EndWithThread(Arc::downgrade(&cell));
        actix::spawn(async move {
            loop {
                let call = alarm.next().await;
                let Some(cell) = guard.0.upgrade() else { return };
                match call {
                    Call::Rings => Self(cell).do_send(Ring),
                    Call::HandedOver => {
                        turn::run(cell);
                        // Timers and the supervisor are on this thread, too.
                        tokio::task::yield_now().await;
                    }
                }
            }
        });
        let address = Self(cell);
        address.post(Letter::Start);
        address
    }

    /// Sends a message. It may be handled before this returns.
    pub(crate) fn do_send<M>(&self, message: M)
    where
        A::Letter: From<M>,
    {
        self.post(Letter::Message(message.into()));
    }

    /// Returns the address for one type of message alone.
    pub(crate) fn recipient<M>(&self) -> Recipient<M>
    where
        A::Letter: From<M>,
        M: 'static,
    {
        let address = self.clone();
        Recipient::new(move |message| address.do_send(message))
    }

    fn post(&self, letter: Letter<A>) {
        if self.0.mailbox.put(letter) {
            turn::run(self.0.clone());
        }
    }
}

impl<A: Inline> Clone for Addr<A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<A: Inline> fmt::Debug for Addr<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Addr").finish_non_exhaustive()
    }
}

/// Ends an actor when the engine's thread drops the actor's task.
struct EndWithThread<A: Inline>(Weak<Cell<A>>);

impl<A: Inline> Drop for EndWithThread<A> {
    fn drop(&mut self) {
        if let Some(cell) = self.0.upgrade() {
            cell.mailbox.end();
        }
    }
}

/// Context of a handler: its actor's address and alarm.
pub(crate) struct Context<A: Inline> {
    cell: Weak<Cell<A>>,
    alarm: Arc<Alarm>,
    stopped: bool,
}

impl<A: Inline> Context<A> {
    /// Returns the actor's own address; `None` once it has ended.
    pub(crate) fn address(&self) -> Option<Addr<A>> {
        self.cell.upgrade().map(Addr)
    }

    /// Has the actor handle [`Ring`] at `at`, or earlier.
    pub(crate) fn wake(&self, now: Time, at: Option<Time>) {
        if let Some(at) = at {
            self.alarm.set(now, at);
        }
    }
}

impl<A: Inline> ActorContext for Context<A> {
    fn stop(&mut self) {
        self.stopped = true;
    }

    fn terminate(&mut self) {
        self.stopped = true;
    }

    fn state(&self) -> ActorState {
        if self.stopped { ActorState::Stopped } else { ActorState::Running }
    }
}
