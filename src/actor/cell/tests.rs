use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix::{Recipient, System};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::*;
use crate::actor::exit::{ActorId, Exited};

/// Notes that actors write of what happened, in its order.
type Book = Arc<Mutex<Vec<String>>>;

struct Writer {
    book: Book,
    next: Option<Addr<Writer>>,
    /// Panics when it is dropped.
    bursts: bool,
}

struct Write(&'static str);

/// Sends [`Write`] to the next actor and to itself, then writes.
struct Pass;

struct Count(Arc<AtomicUsize>);

struct Fail;

struct End;

struct WakeAt(Time);

macro_rules! handled {
    ($($message:ident: $handle:expr;)+) => {
        $(impl Message for $message {
            type Result = ();
        }

        impl Handler<$message> for Writer {
            type Result = ();

            fn handle(&mut self, message: $message, ctx: &mut Context<Self>) {
                let handle: fn(&mut Self, $message, &mut Context<Self>) = $handle;
                handle(self, message, ctx);
            }
        })+
    };
}

handled! {
    Write: |actor, Write(what), _| actor.write(what);
    Pass: |actor, Pass, ctx| {
        actor.next.as_ref().expect("it has one").do_send(Write("next"));
        ctx.address().expect("it runs").do_send(Write("own"));
        actor.write("passed");
    };
    Count: |_, Count(count), _| {
        count.fetch_add(1, Ordering::SeqCst);
    };
    Fail: |_, Fail, _| panic!("a test asked for it");
    End: |_, End, ctx| ctx.stop();
    WakeAt: |_, WakeAt(at), ctx| ctx.wake(Time::ZERO, Some(at));
}

letters! { Writer: WriterLetter { Write, Pass, Count, Fail, End, WakeAt, Ring } }

impl Handler<Ring> for Writer {
    type Result = ();

    fn handle(&mut self, _: Ring, _: &mut Context<Self>) {
        self.write("ring");
    }
}

impl Writer {
    fn write(&self, what: &str) {
        self.book.lock().expect("no panic").push(what.into());
    }
}

impl Actor for Writer {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Self::Context) {
        self.write("started");
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        assert!(!self.bursts, "a test asked for it");
    }
}

/// An actix actor that tells the test how others ended.
struct Ends(UnboundedSender<ExitCause>);

impl Actor for Ends {
    type Context = actix::Context<Self>;
}

impl Handler<Exited> for Ends {
    type Result = ();

    fn handle(&mut self, exited: Exited, _: &mut Self::Context) {
        self.0.send(exited.cause).ok();
    }
}

struct World {
    clock: Clock,
    book: Book,
    exits: Recipient<Exited>,
    ends: UnboundedReceiver<ExitCause>,
}

impl World {
    fn new() -> Self {
        let (sender, ends) = unbounded_channel();
        let exits = Ends(sender).start().recipient();
        Self { clock: Clock::start(), book: Book::default(), exits, ends }
    }

    fn start(&self, next: Option<Addr<Writer>>, bursts: bool) -> Addr<Writer> {
        let id = ActorId::Account { provider: "test".into(), generation: 1 };
        let exit = ExitNotice::new(self.exits.clone(), id);
        Addr::start(Writer { book: self.book.clone(), next, bursts }, self.clock, exit)
    }

    fn book(&self) -> Vec<String> {
        self.book.lock().expect("no panic").clone()
    }

    /// Waits until an actor has ended.
    async fn end(&mut self) -> Option<ExitCause> {
        tokio::time::timeout(Duration::from_secs(20), self.ends.recv()).await.expect("it never ended")
    }
}

fn on_a_system(test: impl AsyncFnOnce(World)) {
    System::new().block_on(async { test(World::new()).await });
}

#[test]
fn a_message_is_handled_before_it_is_sent_and_after_the_start() {
    on_a_system(async |world| {
        let address = uninterrupted(|| {
            let address = world.start(None, false);
            address.do_send(Write("first"));
            assert!(world.book().is_empty(), "what interrupts is seen half done");
            address
        });
        address.do_send(Write("second"));
        assert_eq!(world.book(), ["started", "first", "second"]);
    });
}

#[test]
fn what_a_handler_sends_is_handled_after_it() {
    on_a_system(async |world| {
        let next = world.start(None, false);
        world.start(Some(next), false).do_send(Pass);
        // Its own letter comes before the other's: the thread runs it already.
        assert_eq!(world.book(), ["started", "started", "passed", "own", "next"]);
    });
}

#[test]
fn a_panic_ends_the_actor_and_not_who_sent() {
    on_a_system(async |mut world| {
        for (bursts, fails, cause) in
            [(false, true, ExitCause::Panic), (true, true, ExitCause::Panic), (true, false, ExitCause::Stop)]
        {
            let address = world.start(None, bursts);
            if fails {
                address.do_send(Fail)
            } else {
                address.do_send(End)
            }
            address.do_send(Write("after its end"));
            assert_eq!(world.end().await, Some(cause));
            assert_eq!(world.book().pop().as_deref(), Some("started"));
        }
    });
}

#[test]
fn the_last_address_ends_the_actor() {
    on_a_system(async |mut world| {
        drop(world.start(None, false));
        assert_eq!(world.end().await, Some(ExitCause::Stop));
    });
}

#[test]
fn a_flood_from_many_threads_is_handled_once_each() {
    const SENDERS: usize = 4;
    const LETTERS: usize = 20_000;
    on_a_system(async |world| {
        let (address, count) = (world.start(None, false), Arc::new(AtomicUsize::new(0)));
        let flood = |_| {
            let (address, count) = (address.clone(), count.clone());
            std::thread::spawn(move || (0..LETTERS).for_each(|_| address.do_send(Count(count.clone()))))
        };
        let threads: Vec<_> = (0..SENDERS).map(flood).collect();
        // The engine's thread does what the senders leave, while they send.
        let all = async {
            while count.load(Ordering::SeqCst) < SENDERS * LETTERS {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), all).await.expect("letters were left");
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
    });
}

#[test]
fn an_alarm_rings_at_the_earliest_time_asked_for() {
    on_a_system(async |world| {
        let address = world.start(None, false);
        for millis in [3_600_000, 5, 7_200_000] {
            address.do_send(WakeAt(Time::from_nanos(millis * 1_000_000)));
        }
        let rung = async {
            while world.book().len() < 2 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), rung).await.expect("it never rang");
        assert_eq!(world.book(), ["started", "ring"]);
    });
}

#[test]
fn actors_end_with_the_thread_of_their_engine() {
    let (letter, kept) = std::sync::mpsc::channel();
    let ends = std::thread::spawn(move || {
        let system = System::new();
        let mut world = system.block_on(async { World::new() });
        system.block_on(async {
            let first = world.start(None, false);
            // Two that hold each other's addresses.
            let second = world.start(Some(first.clone()), false);
            letter.send((first, second)).expect("the test waits");
        });
        drop(system);
        world.ends.try_recv().is_ok()
    });
    ends.join().expect("no panic");
    let (first, second): (Addr<Writer>, Addr<Writer>) = kept.recv().expect("they were sent");
    let count = Arc::new(AtomicUsize::new(0));
    first.do_send(Count(count.clone()));
    second.do_send(Count(count.clone()));
    assert_eq!((count.load(Ordering::SeqCst), Arc::strong_count(&count)), (0, 1), "an actor outlived its engine");
}
