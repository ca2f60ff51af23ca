//! The facts about actix on which the architecture rests, each seen happening. ADR 1 draws a pattern
//! from each: when a new version of actix or tokio breaks a test here, look again at that pattern.
//!
//! No test depends on how long something takes: logs show order, tokio's paused clock shows time.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::let_underscore_must_use, reason = "a test")]

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use actix::dev::SendError;
use actix::prelude::*;
use futures_util::{FutureExt, future::join_all};
use tokio::runtime::Builder;
use tokio::sync::oneshot::{self, error::TryRecvError};
use tokio::time::{Instant, advance, sleep};

const HOUR: Duration = Duration::from_secs(3600);

#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn push(&self, entry: impl ToString) {
        self.0.lock().unwrap().push(entry.to_string());
    }

    fn read(&self) -> String {
        self.0.lock().unwrap().join(" ")
    }
}

/// An actor that logs what happens to it.
#[derive(Default)]
struct Probe {
    log: Log,
    handled: u32,
    refusal: Option<Running>,
    /// Told, when the struct is dropped, whether the thread unwinds: what a supervisor would hear.
    died: Option<oneshot::Sender<bool>>,
}

type Ctx = Context<Probe>;
type Body = dyn FnOnce(&mut Probe, &mut Ctx) + Send;

impl Actor for Probe {
    type Context = Ctx;

    fn stopping(&mut self, _: &mut Ctx) -> Running {
        self.log.push("stopping");
        self.refusal.take().unwrap_or(Running::Stop)
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.log.push("drop");
        self.died.take().map(|died| died.send(thread::panicking()));
    }
}

/// Runs a closure as its handler (what that captures is the payload); answers how many were handled.
#[derive(Message)]
#[rtype(result = "u32")]
struct Run(Box<Body>);

impl Handler<Run> for Probe {
    type Result = u32;

    fn handle(&mut self, run: Run, ctx: &mut Ctx) -> u32 {
        self.handled += 1;
        (run.0)(self, ctx);
        self.handled
    }
}

fn run<T>(body: impl FnOnce(&mut Probe, &mut Ctx) -> T + Send + 'static) -> Run {
    Run(Box::new(|probe, ctx| drop(body(probe, ctx))))
}

fn note(number: u32) -> Run {
    run(move |probe, _| probe.log.push(number))
}

fn note_later(ctx: &mut Ctx, entry: &'static str) -> SpawnHandle {
    ctx.run_later(HOUR, move |probe, _| probe.log.push(entry))
}

/// A message that answers through a oneshot it carries, and where that answer arrives.
fn ask() -> (Run, oneshot::Receiver<()>) {
    let (reply, answer) = oneshot::channel();
    (run(|_, _| reply.send(())), answer)
}

fn start_probe() -> (Addr<Probe>, Log) {
    let probe = Probe::default();
    let log = probe.log.clone();
    (probe.start(), log)
}

fn death_of(addr: &Addr<Probe>) -> oneshot::Receiver<bool> {
    let (died, death) = oneshot::channel();
    addr.do_send(run(|probe, _| probe.died = Some(died)));
    death
}

/// Runs a test on a thread of its own and fails when it hangs.
fn guarded(test: impl FnOnce() + Send + 'static) {
    let (done, result) = mpsc::channel();
    let test = thread::spawn(move || (test(), done.send(()).unwrap()));
    let result = result.recv_timeout(Duration::from_secs(60));
    assert_ne!(result, Err(mpsc::RecvTimeoutError::Timeout), "hangs");
    test.join().map_or_else(|panic| resume_unwind(panic), drop)
}

/// Runs a test inside an actix system whose clock stands still until every task is idle.
fn paused<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
    let mut builder = Builder::new_current_thread();
    builder.enable_all().start_paused(true);
    let mut system = move || System::with_tokio_rt(|| builder.build().unwrap());
    guarded(move || system().block_on(async { test().await }));
}

/// An actor system on an OS thread of its own, as the library starts it.
struct House((Addr<Probe>, Log), System, JoinHandle<()>);

impl House {
    fn start() -> Self {
        let (ready, started) = mpsc::channel();
        let thread = thread::spawn(move || {
            let runner = System::new();
            let probe = runner.block_on(async { start_probe() });
            ready.send((probe, System::current())).unwrap();
            runner.run().unwrap();
        });
        let (probe, system) = started.recv().unwrap();
        Self(probe, system, thread)
    }

    /// Has sixteen tasks call the actor both ways: by `send`, and with a oneshot in the message.
    async fn answers_many_tasks(&self) {
        let call = async |addr: Addr<Probe>| {
            addr.send(note(0)).await.unwrap();
            let (question, answer) = ask();
            addr.do_send(question);
            answer.await.unwrap();
        };
        let calls = (0..16).map(|_| tokio::spawn(call(self.0.0.clone())));
        assert!(join_all(calls).await.iter().all(Result::is_ok));
    }

    fn stop(self) {
        self.1.stop();
        self.2.join().unwrap();
    }
}

/// Only a permit of ours bounds memory: the capacity holds nothing back but `try_send` on one address.
#[test]
fn mailbox_capacity_bounds_neither_do_send_nor_send_nor_try_send_through_clones() {
    paused(|| async {
        let (addr, _) = start_probe();
        addr.do_send(run(|_, ctx| ctx.set_mailbox_capacity(2)));
        assert_eq!(addr.send(note(0)).await, Ok(2));
        assert!(addr.try_send(note(0)).is_ok() && addr.try_send(note(0)).is_ok());
        assert!(matches!(addr.try_send(note(0)), Err(SendError::Full(_))));
        assert!((0..1000).all(|_| addr.clone().try_send(note(0)).is_ok()));
        (0..1000).for_each(|_| addr.do_send(note(0)));
        let mut sent = Vec::from_iter((0..1000).map(|_| Box::pin(addr.send(note(0)))));
        assert!(sent.iter_mut().all(|sent| sent.now_or_never().is_none()));
        assert_eq!(addr.clone().send(note(0)).await, Ok(3005));
    });
}

/// Handlers run the core's timeouts themselves: while messages keep coming, no timer and no task runs.
/// The permit at the edge works: a crowd of callers who wait for their replies leaves room for both.
#[test]
fn flooded_mailbox_starves_timers_and_tasks_of_its_thread_but_a_bounded_flood_does_not() {
    fn flood(left: u32) -> Run {
        run(move |probe, ctx| match left {
            0 => probe.log.push(format!("after {}:", probe.handled)),
            _ => ctx.address().do_send(flood(left - 1)),
        })
    }
    async fn call(addr: Addr<Probe>) {
        for _ in 0..10_000 {
            addr.send(run(|_, _| ())).await.unwrap();
        }
    }
    paused(|| async {
        let (addr, log) = start_probe();
        addr.do_send(run(|_, ctx| note_later(ctx, "timer")));
        assert_eq!(addr.send(note(0)).await, Ok(2));
        addr.do_send(run(|probe, _| {
            let log = probe.log.clone();
            actix::spawn(async move { log.push("task") });
            advance(HOUR).now_or_never() // the timer is due from here on
        }));
        addr.do_send(flood(10_000));
        sleep(2 * HOUR).await;
        assert_eq!(log.read(), "0 after 10004: task timer");
        let (addr, log) = start_probe();
        let calls = Vec::from_iter((0..8).map(|_| actix::spawn(call(addr.clone()))));
        let wake = |probe: &mut Probe, _: &mut Ctx| probe.log.push(probe.handled);
        addr.do_send(run(move |_, ctx| ctx.run_later(HOUR, wake)));
        addr.do_send(run(|_, _| actix::spawn(advance(HOUR))));
        join_all(calls).await;
        assert!(log.read().parse::<u32>().unwrap() < 40_000);
    });
}

/// Supervision is ours: only a drop guard in the actor tells of its death, and a oneshot those who wait in
/// its mailbox. No `stopping` may answer `Continue`: then the dying actor handles what it finds there.
#[test]
fn panic_in_a_handler_kills_the_actor_alone_and_drops_it_and_its_mailbox() {
    paused(|| async {
        let ((addr, log), (neighbour, _)) = (start_probe(), start_probe());
        let ((queued, answer), (late, late_answer), death) = (ask(), ask(), death_of(&addr));
        let fatal = addr.send(run(|_, _| panic!("expected by the test")));
        addr.do_send(queued);
        assert_eq!(fatal.await, Err(MailboxError::Closed));
        assert_eq!(death.await, Ok(true), "told that it unwinds");
        assert_eq!(addr.send(note(1)).await, Err(MailboxError::Closed));
        addr.do_send(late); // vanishes
        assert!(answer.await.is_err() && late_answer.await.is_err() && !addr.connected());
        assert_eq!(neighbour.send(note(2)).await, Ok(1));
        assert_eq!(log.read(), "stopping drop"); // the hook ran, while unwinding
        let (addr, log) = start_probe();
        addr.do_send(run(|probe, _| probe.refusal = Some(Running::Continue)));
        addr.do_send(run(|_, _| panic!("expected by the test")));
        addr.do_send(run(|probe, _| probe.log.push(thread::panicking())));
        assert_eq!(addr.send(note(1)).await, Ok(4), "handled while unwinding");
        assert_eq!(log.read(), "stopping true 1 drop");
    });
}

/// Provider calls are tasks of their own: their panic reaches a join handle, or nobody, but no actor.
#[test]
fn panic_in_a_spawned_task_reaches_its_join_handle_and_no_one_else() {
    paused(|| async {
        let (addr, _) = start_probe();
        let provider = || async { panic!("expected by the test") };
        addr.do_send(run(move |_, _| actix::spawn(provider()))); // no handle kept: no one is told
        assert!(actix::spawn(provider()).await.unwrap_err().is_panic());
        let caught = actix::spawn(AssertUnwindSafe(provider()).catch_unwind());
        assert!(caught.await.unwrap().is_err(), "contained");
        assert_eq!(addr.send(note(1)).await, Ok(2));
    });
}

/// Why no provider call runs on an actor's context: there, its panic is the actor's.
#[test]
fn panic_in_a_future_or_timer_of_the_context_kills_the_actor() {
    async fn dies_of(spawn: fn(&mut Probe, &mut Ctx) -> SpawnHandle) {
        let (addr, _) = start_probe();
        let death = death_of(&addr);
        addr.do_send(run(spawn));
        assert_eq!(death.await, Ok(true));
        assert_eq!(addr.send(note(1)).await, Err(MailboxError::Closed));
    }
    paused(|| async {
        dies_of(|probe, ctx| ctx.spawn(async { panic!("expected") }.into_actor(probe))).await;
        dies_of(|_, ctx| ctx.run_later(HOUR, |_, _| panic!("expected"))).await;
    });
}

/// Actor tests run in virtual time, on one arbiter: its clock jumps to the next timer, exactly.
#[test]
fn paused_clock_drives_the_timers_of_actors_on_its_own_arbiter() {
    paused(|| async {
        let (start, (addr, log)) = (Instant::now(), start_probe());
        for hours in [3, 1, 2] {
            let wake = move |p: &mut Probe, _: &mut Ctx| p.log.push(start.elapsed().as_millis());
            addr.do_send(run(move |_, ctx| ctx.run_later(hours * HOUR, wake)));
        }
        addr.send(note(0)).await.unwrap();
        assert_eq!(start.elapsed(), Duration::ZERO, "messages take no time");
        sleep(4 * HOUR).await;
        assert_eq!(log.read(), "0 3600000 7200000 10800000");
        let (tell, told) = oneshot::channel();
        let other = Arbiter::new();
        other.spawn(async { tell.send(catch_unwind(tokio::time::pause).is_ok()).unwrap() });
        assert_eq!(told.await, Ok(true), "that clock ran");
        other.stop();
        other.join().unwrap();
    });
}

/// The library starts inside any service, and twice; on threads of its own, since on one of a runtime
/// neither a system nor an actor starts.
#[test]
fn systems_on_threads_of_their_own_serve_callers_of_any_runtime() {
    async fn two_houses() {
        assert!(catch_unwind(System::new).is_err());
        let (one, two) = (House::start(), House::start());
        one.answers_many_tasks().await;
        one.stop();
        two.answers_many_tasks().await;
        two.stop();
    }
    for mut builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
        guarded(move || {
            let runtime = builder.build().unwrap();
            runtime.block_on(async { assert!(catch_unwind(start_probe).is_err()) });
            runtime.block_on(two_houses());
        });
    }
    guarded(|| {
        let (runner, outer) = (System::new(), System::current().id());
        runner.block_on(two_houses());
        assert_eq!(System::current().id(), outer);
    });
}

/// Drain is a protocol of ours: `stop` handles nothing more. Yet it drops everything and ends the thread,
/// which the last address to go does not: the library's handle has to stop its system.
#[test]
fn only_stop_ends_the_thread_and_it_drops_what_waits_in_actors() {
    guarded(|| {
        let House((last_addr, _), system, thread) = House::start();
        let death = death_of(&last_addr);
        drop(last_addr);
        assert_eq!(death.blocking_recv(), Ok(false), "the actor is gone");
        let (tell, told) = oneshot::channel();
        let next = async { tell.send(start_probe()).unwrap() }; // the system is not
        system.arbiter().spawn(next);
        let ((addr, log), (queued, answer)) = (told.blocking_recv().unwrap(), ask());
        addr.do_send(run(|probe, ctx| {
            note_later(ctx, "timer");
            ctx.wait(sleep(HOUR).into_actor(probe)); // the next message stays in the mailbox
        }));
        addr.do_send(queued);
        House((addr, log.clone()), system, thread).stop();
        assert!(answer.blocking_recv().is_err());
        assert_eq!(log.read(), "stopping drop");
    });
}

/// State machines may rely on order; what a handler sends queues behind what is there. What must stay in
/// order goes by `do_send`, though: it overtakes a `send` to a full mailbox that was not polled yet.
#[test]
fn messages_are_handled_in_the_order_they_are_enqueued() {
    paused(|| async {
        let (addr, log) = start_probe();
        addr.do_send(run(|_, ctx| {
            ctx.notify(note(9)); // no message but a future of the context: after the whole mailbox
            ctx.address().do_send(note(8));
        }));
        (1..=3).for_each(|number| addr.do_send(note(number)));
        let sent = addr.send(note(4));
        addr.do_send(note(5));
        sent.await.unwrap();
        addr.send(note(6)).await.unwrap();
        assert_eq!(log.read(), "1 2 3 4 5 8 9 6");
        let (addr, log) = start_probe();
        addr.do_send(run(|_, ctx| ctx.set_mailbox_capacity(1)));
        assert_eq!(addr.send(note(0)).await, Ok(2));
        let first = addr.send(note(1)); // there is room: enqueued now, before any poll
        let second = addr.send(note(2)); // full: enqueued when first polled
        addr.do_send(note(3));
        assert_eq!((second.await, first.await), (Ok(5), Ok(3)));
        assert_eq!(log.read(), "0 1 3 2");
    });
}

/// Cancelling is a message of ours, and a permit in a message is free only when its turn has come.
#[test]
fn dropped_send_is_skipped_but_keeps_its_place_and_payload_until_its_turn() {
    paused(|| async {
        let (addr, _) = start_probe();
        let ((question, mut answer), (abandoned, unheard)) = (ask(), ask());
        drop(addr.send(question));
        assert_eq!(answer.try_recv(), Err(TryRecvError::Empty), "lives on");
        drop(unheard); // a oneshot in the message cancels nothing: the handler has to look at it
        addr.do_send(abandoned);
        assert_eq!(addr.send(note(0)).await, Ok(2), "one of three is skipped");
        assert_eq!(answer.try_recv(), Err(TryRecvError::Closed), "unanswered");
    });
}

/// A timer carries a generation number, checked when it fires: cancelling can come too late.
#[test]
fn timer_cancelled_in_the_poll_in_which_it_is_due_still_fires() {
    paused(|| async {
        let (addr, log) = start_probe();
        addr.do_send(run(|_, ctx| {
            let (tell, told) = mpsc::channel();
            ctx.run_later(HOUR, move |probe, ctx| {
                probe.log.push("cancel");
                ctx.cancel_future(told.recv().unwrap());
            });
            tell.send(note_later(ctx, "late")).unwrap();
            let early = note_later(ctx, "early");
            ctx.cancel_future(early) // in time
        }));
        sleep(2 * HOUR).await;
        assert_eq!(log.read(), "cancel late");
    });
}
