//! A thread's turn: the actors that it must run, one after the other.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::Arc;

/// Letters that a thread handles before what is left goes to the engine's thread: a caller is held up no longer than that
/// by what others send.
const BUDGET: u32 = 256;

/// An actor that a thread has the right, and the duty, to run.
pub(super) trait Run {
    /// Handles its letters; returns true where some are left because the budget is spent.
    fn run(&self, budget: &mut u32) -> bool;

    /// Leaves the rest to the engine's thread.
    fn hand_over(&self);
}

/// State of a thread that runs actors.
struct Turn {
    /// Whether a handler runs on this thread, or something else that must end before one does.
    busy: Cell<bool>,
    held: RefCell<VecDeque<Arc<dyn Run>>>,
}

thread_local! {
    static TURN: Turn = const { Turn { busy: Cell::new(false), held: RefCell::new(VecDeque::new()) } };
}

/// Runs an actor here: now, or where a handler of this thread sent the letter, after that.
pub(super) fn run(actor: Arc<dyn Run>) {
    let here = TURN.try_with(|turn| {
        turn.held.borrow_mut().push_back(actor.clone());
        if !turn.busy.get() {
            drop(Busy::begin(turn));
        }
    });
    if here.is_err() {
        // The thread is about to end, and what it kept with it.
        actor.hand_over();
    }
}

/// Runs `work`, and after it the actors that it has sent to: none of them sees it half done.
pub(crate) fn uninterrupted<T>(work: impl FnOnce() -> T) -> T {
    TURN.with(|turn| {
        let busy = (!turn.busy.get()).then(|| Busy::begin(turn));
        let done = work();
        drop(busy);
        done
    })
}

/// Marks a thread as busy; at its end, by whatever way, the actors that the thread holds are run.
struct Busy<'a>(&'a Turn);

impl<'a> Busy<'a> {
    fn begin(turn: &'a Turn) -> Self {
        turn.busy.set(true);
        Self(turn)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let next = || self.0.held.borrow_mut().pop_front();
        let mut budget = BUDGET;
        while let Some(actor) = next() {
            if actor.run(&mut budget) {
                actor.hand_over();
            }
        }
        self.0.busy.set(false);
    }
}
