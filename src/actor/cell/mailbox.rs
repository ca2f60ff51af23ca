//! A mailbox and the actor that reads it, of which one thread at a time may run.
//!
//! Knows of no actor framework, so that a model checker can put other locks under it (`tests/mailbox.rs`).

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::sync::{Mutex, MutexGuard, PoisonError};

/// Letters of type `L` for one actor `A`.
pub(crate) struct Mailbox<L, A> {
    letters: Mutex<Letters<L>>,
    /// Only the thread that runs the actor locks it, so nobody ever waits for it.
    actor: Mutex<Option<A>>,
}

struct Letters<L> {
    waiting: VecDeque<L>,
    state: State,
}

/// State of an actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The actor has no letters: the next sender runs it.
    Resting,
    /// A thread runs it, or is about to.
    Running,
    /// Letters wait that were left for another thread.
    Left,
    /// The actor is gone, or ends with the letter that it handles now.
    Ended,
}

impl<L, A> Mailbox<L, A> {
    pub(crate) fn new(actor: A) -> Self {
        let letters = Letters { waiting: VecDeque::new(), state: State::Resting };
        Self { letters: Mutex::new(letters), actor: Mutex::new(Some(actor)) }
    }

    /// Puts a letter in. Returns true where the actor rested: the sender must [`run`](Self::run) or [`leave`](Self::leave)
    /// it, once.
    #[must_use = "an actor that nobody runs stands still for ever"]
    pub(crate) fn put(&self, letter: L) -> bool {
        let mut letters = self.letters();
        if letters.state == State::Ended {
            // The lock goes first: a letter may hold replies and leases, which send when they are dropped.
            drop(letters);
            drop(letter);
            return false;
        }
        letters.waiting.push_back(letter);
        let rested = letters.state == State::Resting;
        if rested {
            letters.state = State::Running;
        }
        rested
    }

    /// Handles letters in their order, each at the price of one of `budget`, until there are none or `handle` returns false,
    /// which ends the actor. Returns true where letters are left because the budget is spent: the caller must
    /// [`leave`](Self::leave) them.
    #[must_use = "letters that are left and not handed over wait for ever"]
    pub(crate) fn run(&self, budget: &mut u32, mut handle: impl FnMut(&mut A, L) -> bool) -> bool {
        loop {
            let letter = {
                let mut letters = self.letters();
                match (letters.state, letters.waiting.is_empty(), *budget) {
                    (State::Ended, ..) => break,
                    (_, true, _) => {
                        letters.state = State::Resting;
                        return false;
                    }
                    (_, _, 0) => return true,
                    _ => letters.state = State::Running,
                }
                letters.waiting.pop_front()
            };
            *budget -= 1;
            let mut actor = self.actor.lock().unwrap_or_else(PoisonError::into_inner);
            let goes_on = actor.as_mut().zip(letter).is_some_and(|(actor, letter)| handle(actor, letter));
            drop(actor);
            if !goes_on {
                self.close();
            }
        }
        self.bury();
        false
    }

    /// Leaves the letters, and the right to run the actor, to another thread.
    pub(crate) fn leave(&self) {
        let mut letters = self.letters();
        if letters.state == State::Ended {
            drop(letters);
            return self.bury();
        }
        letters.state = State::Left;
    }

    /// Ends the actor and drops its letters. It is dropped here, or after its letter by the thread that runs it.
    pub(crate) fn end(&self) {
        if self.close() != State::Running {
            self.bury();
        }
    }

    /// Takes no letters from here on; returns what the actor was at.
    fn close(&self) -> State {
        let mut letters = self.letters();
        let before = std::mem::replace(&mut letters.state, State::Ended);
        let waiting = std::mem::take(&mut letters.waiting);
        drop(letters);
        drop(waiting);
        before
    }

    /// Drops the actor, outside of every lock: what it holds sends when it is dropped. A panic in that ends here.
    fn bury(&self) {
        let actor = self.actor.lock().unwrap_or_else(PoisonError::into_inner).take();
        catch_unwind(AssertUnwindSafe(|| drop(actor))).ok();
    }

    fn letters(&self) -> MutexGuard<'_, Letters<L>> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
