//! The part of an actor that is on the engine's thread: its alarm, and what other threads leave to it.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures_util::future::{Either, select};
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::core::time::Time;

/// When an actor wants to be woken next. One that rings late or for nothing does no harm: the actor looks at the clock.
#[derive(Debug)]
pub(super) struct Alarm {
    clock: Clock,
    /// In nanoseconds of the engine's clock.
    due: AtomicU64,
    /// Whether letters were left to the engine's thread.
    handed_over: AtomicBool,
    changed: Notify,
}

/// Why [`Alarm::next`] returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    /// The time has come.
    Rings,
    /// Letters are left to the engine's thread.
    HandedOver,
}

impl Alarm {
    pub(super) fn new(clock: Clock) -> Self {
        let due = AtomicU64::new(Time::FAR.as_nanos());
        Self { clock, due, handed_over: AtomicBool::new(false), changed: Notify::new() }
    }

    /// Sets the alarm to `at`, unless it is set to that or something earlier already. Later times are left to the alarm
    /// that rings too early, so that a request does not wake the engine's thread.
    pub(super) fn set(&self, now: Time, at: Time) {
        let due = Time::from_nanos(self.due.load(Ordering::Acquire));
        if at < Time::FAR && !(due <= at && due > now) {
            self.due.store(at.as_nanos(), Ordering::Release);
            self.changed.notify_one();
        }
    }

    /// Leaves letters to the engine's thread.
    pub(super) fn hand_over(&self) {
        self.handed_over.store(true, Ordering::Release);
        self.changed.notify_one();
    }

    /// Waits until there is something to do.
    pub(super) async fn next(&self) -> Call {
        loop {
            if self.handed_over.swap(false, Ordering::AcqRel) {
                return Call::HandedOver;
            }
            let due = self.due.load(Ordering::Acquire);
            let changed = pin!(self.changed.notified());
            if due == Time::FAR.as_nanos() {
                changed.await;
                continue;
            }
            let sleep = pin!(tokio::time::sleep_until(self.clock.instant(Time::from_nanos(due))));
            let rings = matches!(select(changed, sleep).await, Either::Right(_));
            // Where it was set anew in this instant, that counts.
            let far = Time::FAR.as_nanos();
            if rings && self.due.compare_exchange(due, far, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                return Call::Rings;
            }
        }
    }
}
