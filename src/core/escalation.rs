//! Whose limit it is: that of one model, or that of the account its models share.
//!
//! A signal belongs to its scope. It becomes the account's when the message says so, which is not decided here, or when
//! two or more of its members signal within an epoch. One epoch makes one event: what was sent before the account was
//! held tells of the same shortage and escalates nothing again.

use std::time::Duration;

use super::time::Time;

/// Signals this close together have one cause. Also how long an account is held where nobody said how long.
const EPOCH: Duration = Duration::from_secs(1);

/// Gathers the rate signals of an account's members.
#[derive(Debug, Clone, Default)]
pub struct Escalation {
    /// Member, when it signalled, until when it was told to stay away; each member once, for one epoch.
    recent: Vec<(u64, Time, Time)>,
    held_at: Time,
}

impl Escalation {
    /// Notes that an attempt of `member`, dispatched at `sent`, was refused for a rate, with or without a stated wait.
    /// Returns until when the whole account must stay away, if this makes it the account's matter.
    pub fn on_signal(&mut self, now: Time, member: u64, sent: Time, stated: Option<Duration>) -> Option<Time> {
        if sent < self.held_at {
            return None;
        }
        self.recent.retain(|(other, at, _)| *other != member && now.since(*at) < EPOCH);
        self.recent.push((member, now, now + stated.unwrap_or(EPOCH)));
        if self.recent.len() < 2 {
            return None;
        }
        let until = self.recent.drain(..).map(|(_, _, until)| until).max();
        self.held_at = now;
        until
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
            assert_eq!(escalation.on_signal(at(millis), 1, at(millis), Some(Duration::from_secs(9))), None);
        }
    }

    #[test]
    fn two_within_an_epoch_do_with_the_longest_stated_wait() {
        let mut escalation = Escalation::default();
        assert_eq!(escalation.on_signal(at(0), 1, at(0), Some(Duration::from_secs(5))), None);
        assert_eq!(escalation.on_signal(at(999), 2, at(0), None), Some(at(5_000)));
        let mut late = Escalation::default();
        assert_eq!(late.on_signal(at(0), 1, at(0), None), None);
        assert_eq!(late.on_signal(at(1_000), 2, at(0), None), None, "an epoch later it is another event");
    }

    #[test]
    fn one_event_escalates_once() {
        let mut escalation = Escalation::default();
        let held = (0..1_000).filter(|n| escalation.on_signal(at(100), n % 7, at(50), None).is_some()).count();
        assert_eq!(held, 1);
        assert_eq!(escalation.on_signal(at(2_000), 1, at(1_900), None), None);
        assert_eq!(escalation.on_signal(at(2_000), 2, at(1_900), None), Some(at(3_000)));
    }
}
