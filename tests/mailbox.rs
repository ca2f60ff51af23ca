//! The mailbox of an actor under a model checker: every order in which threads can meet there.
//!
//! The file under test is the crate's own, with the model checker's locks under it.

#[path = "../src/actor/cell/mailbox.rs"]
mod mailbox;

mod sync {
    pub(crate) use std::sync::PoisonError;

    pub(crate) use loom::sync::{Mutex, MutexGuard};
}

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use mailbox::Mailbox;

/// An actor that writes down what it handled, and counts its own end.
struct Log {
    handled: Vec<(usize, usize)>,
    seen: Arc<AtomicUsize>,
    ends: Arc<AtomicUsize>,
}

impl Drop for Log {
    fn drop(&mut self) {
        self.ends.fetch_add(1, Ordering::Relaxed);
    }
}

type Letter = (usize, usize);

struct World {
    mailbox: Mailbox<Letter, Log>,
    seen: Arc<AtomicUsize>,
    ends: Arc<AtomicUsize>,
}

impl World {
    fn new() -> Arc<Self> {
        let (seen, ends) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let log = Log { handled: Vec::new(), seen: seen.clone(), ends: ends.clone() };
        Arc::new(Self { mailbox: Mailbox::new(log), seen, ends })
    }

    /// Runs the actor as a sender does; letters of one sender must come in their order.
    fn run(&self, mut budget: u32) -> bool {
        self.mailbox.run(&mut budget, |log, (sender, number)| {
            let before = log.handled.iter().filter(|(of, _)| *of == sender).count();
            assert_eq!(number, before, "letters of a sender came in another order");
            log.handled.push((sender, number));
            log.seen.fetch_add(1, Ordering::Relaxed);
            true
        })
    }

    fn send(&self, sender: usize, number: usize) {
        if self.mailbox.put((sender, number)) {
            assert!(!self.run(100), "the budget is larger than all that is sent");
        }
    }
}

/// Ends the actor from another thread, as the end of its engine does.
fn end_elsewhere(world: &Arc<World>) -> thread::JoinHandle<()> {
    let world = world.clone();
    thread::spawn(move || world.mailbox.end())
}

#[test]
fn every_letter_is_handled_once_and_in_its_senders_order() {
    loom::model(|| {
        let world = World::new();
        let threads: Vec<_> = (0..2)
            .map(|sender| {
                let world = world.clone();
                thread::spawn(move || (0..2).for_each(|number| world.send(sender, number)))
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(world.seen.load(Ordering::Relaxed), 4, "letters were left");
        assert_eq!(world.ends.load(Ordering::Relaxed), 0);
    });
}

#[test]
fn letters_that_are_left_are_handled_by_who_takes_them_up() {
    loom::model(|| {
        let world = World::new();
        let sender = {
            let world = world.clone();
            thread::spawn(move || world.send(1, 0))
        };
        // A budget of nothing: whatever is there is left to this thread itself, as the engine's would take it up.
        if world.mailbox.put((0, 0)) && world.run(0) {
            world.mailbox.leave();
            assert!(!world.run(100));
        }
        sender.join().unwrap();
        assert_eq!(world.seen.load(Ordering::Relaxed), 2, "letters were left");
    });
}

#[test]
fn an_actor_that_is_ended_while_it_runs_or_rests_is_dropped_once() {
    loom::model(|| {
        let world = World::new();
        let ending = end_elsewhere(&world);
        world.send(0, 0);
        ending.join().unwrap();
        assert_eq!(world.ends.load(Ordering::Relaxed), 1);
        assert!(!world.mailbox.put((0, 1)), "it takes letters after its end");
    });
}

#[test]
fn an_actor_that_is_ended_while_letters_are_left_is_dropped_once() {
    loom::model(|| {
        let world = World::new();
        let ending = end_elsewhere(&world);
        if world.mailbox.put((0, 0)) && world.run(0) {
            // Nobody takes it up: the engine is gone.
            world.mailbox.leave();
        }
        ending.join().unwrap();
        assert_eq!(world.ends.load(Ordering::Relaxed), 1);
    });
}
