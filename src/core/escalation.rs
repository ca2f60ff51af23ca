//! Whose limit it is: that of one model, or that of the account its models share.
//!
//! A signal belongs to its scope. It becomes the account's when the message says so, which is not decided here, or when
//! two or more of its members are refused within an epoch without being told how long, and nothing has succeeded on the
//! account meanwhile. What is stated outweighs what is guessed: a wait that one model was told is that model's. One epoch
//! makes one event: what was sent before the account was held tells of the same shortage and escalates nothing again.

use std::time::Duration;

use super::time::Time;

/// Signals this close together have one cause. Also how long an account is held where nobody said how long.
const EPOCH: Duration = Duration::from_secs(1);

/// Gathers the rate signals of an account's members.
#[derive(Debug, Clone, Default)]
pub struct Escalation {
    /// Member, and when it signalled; each member once, for one epoch.
    recent: Vec<(u64, Time)>,
    held_at: Time,
}

impl Escalation {
    /// Notes that an attempt of `member`, dispatched at `sent`, was refused for a rate, with or without a `stated` wait;
    /// `success` is when the account last succeeded at anything. Returns until when the whole account must stay away, if
    /// this makes it the account's matter.
    pub fn on_signal(
        &mut self,
        now: Time,
        member: u64,
        sent: Time,
        stated: Option<Duration>,
        success: Time,
    ) -> Option<Time> {
        if sent < self.held_at || stated.is_some() {
            return None;
        }
        self.recent.retain(|(other, at)| *other != member && now.since(*at) < EPOCH && *at > success);
        self.recent.push((member, now));
        if self.recent.len() < 2 {
            return None;
        }
        self.recent.clear();
        self.held_at = now;
        Some(now + EPOCH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    #[test]
    fn one_member_alone_never_escalates() {
        let mut escalation = Escalation::default();
        for millis in 1..1_000 {
            assert_eq!(escalation.on_signal(at(millis), 1, at(millis), None, Time::ZERO), None);
        }
    }

    #[test]
    fn two_within_an_epoch_do() {
        let mut escalation = Escalation::default();
        assert_eq!(escalation.on_signal(at(1), 1, at(0), None, Time::ZERO), None);
        assert_eq!(escalation.on_signal(at(999), 2, at(0), None, Time::ZERO), Some(at(1_999)));
        let mut late = Escalation::default();
        assert_eq!(late.on_signal(at(1), 1, at(0), None, Time::ZERO), None);
        assert_eq!(late.on_signal(at(1_001), 2, at(0), None, Time::ZERO), None, "an epoch later it is another event");
    }

    #[test]
    fn what_is_stated_is_each_models_own_and_a_success_contradicts() {
        let (short, long) = (Some(Duration::from_secs(1)), Some(Duration::from_secs(12)));
        let mut escalation = Escalation::default();
        assert_eq!(escalation.on_signal(at(1), 1, at(0), short, Time::ZERO), None);
        assert_eq!(escalation.on_signal(at(200), 2, at(0), long, Time::ZERO), None);
        assert_eq!(escalation.on_signal(at(300), 3, at(0), None, Time::ZERO), None);
        assert_eq!(escalation.on_signal(at(500), 4, at(0), None, at(400)), None, "a third one was served");
        assert_eq!(escalation.on_signal(at(600), 5, at(0), None, at(400)), Some(at(1_600)));
    }

    #[test]
    fn one_event_escalates_once() {
        let mut escalation = Escalation::default();
        let signal =
            |escalation: &mut Escalation, n: u64| escalation.on_signal(at(100), n % 7, at(50), None, Time::ZERO);
        assert_eq!((0..1_000).filter(|n| signal(&mut escalation, *n).is_some()).count(), 1);
        assert_eq!(escalation.on_signal(at(2_000), 1, at(1_900), None, Time::ZERO), None);
        assert_eq!(escalation.on_signal(at(2_000), 2, at(1_900), None, Time::ZERO), Some(at(3_000)));
    }
}
