//! Decisions of controllers and operators, kept as numbers and told in words.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::core::verdict::Verdict;
use crate::core::window::ChangeKind;

/// Decisions kept of one model, 72 bytes each.
const KEPT: usize = 40;
/// Like decisions within so many seconds are told as one.
const TOGETHER: u32 = 10;

/// The kind of a decision, with its figures.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum What {
    /// A window moved.
    Moved { kind: ChangeKind, from: u32, to: u32, probe_in: Option<u32> },
    /// A route sends nothing for a while.
    Held { wait: Duration },
    /// An answer concerns more than its own request.
    Judged(Verdict),
    /// A route is in another state.
    Route { state: &'static str, reason: Option<Arc<str>>, until: Duration },
    /// An operator spoke.
    Paused,
    /// An operator spoke.
    Resumed,
    /// An operator spoke.
    Pinned(u32),
    /// An operator spoke.
    Unpinned,
    /// An operator lifted what held a route.
    Lifted,
}

/// A decision, or several alike.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Decision {
    /// Unix time in seconds, of the latest.
    pub(super) at: u32,
    /// The route's provider account; `None` where it is about the model.
    pub(super) provider: Option<Arc<str>>,
    pub(super) what: What,
    pub(super) times: u32,
}

/// The latest decisions about one model, oldest first.
#[derive(Debug, Default)]
pub(super) struct Decisions(VecDeque<Decision>);

impl Decisions {
    pub(super) fn note(&mut self, at: u32, provider: Option<Arc<str>>, what: What) {
        let last = self.0.back_mut().filter(|last| last.provider == provider && at.saturating_sub(last.at) <= TOGETHER);
        if let Some(last) = last
            && let Some(both) = together(&last.what, &what)
        {
            (last.at, last.what, last.times) = (at, both, last.times.saturating_add(1));
            return;
        }
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(Decision { at, provider, what, times: 1 });
    }

    /// Iterates from the latest to the oldest.
    pub(super) fn latest(&self) -> impl Iterator<Item = &Decision> {
        self.0.iter().rev()
    }
}

/// Tells two decisions as one, where the second only goes on with the first.
fn together(first: &What, second: &What) -> Option<What> {
    use ChangeKind::{CapacityRead, Grow, IdleDecay, Overload, ProbeUp, SlowStart};
    match (first, second) {
        (&What::Moved { kind, from, .. }, &What::Moved { kind: again, to, probe_in, .. })
            if kind == again && matches!(kind, SlowStart | Grow | ProbeUp | IdleDecay | Overload | CapacityRead) =>
        {
            Some(What::Moved { kind, from, to, probe_in })
        }
        (What::Held { .. }, What::Held { .. }) => Some(second.clone()),
        (What::Judged(one), What::Judged(other)) if one == other => Some(second.clone()),
        _ => None,
    }
}

impl Decision {
    /// Writes it for the page; `model` is left out where that is clear.
    pub(super) fn json(&self, model: Option<&str>) -> Value {
        let mut value = json!({"at": self.at, "tone": self.tone(), "text": self.words()});
        if let Some(provider) = &self.provider {
            value["route"] = (**provider).into();
        }
        if let Some(model) = model {
            value["model"] = model.into();
        }
        value
    }

    /// Returns its mark: `up`, `down`, `probe`, `hold` (the route sends nothing), or `operator`.
    fn tone(&self) -> &'static str {
        use ChangeKind as Kind;
        match &self.what {
            What::Moved { kind, from, to, .. } => match kind {
                Kind::Probe | Kind::ProbeUp | Kind::ProbeDown | Kind::ProbeFailed | Kind::ProbeDropped => "probe",
                Kind::Overload => "hold",
                _ if to > from => "up",
                _ => "down",
            },
            What::Held { .. } | What::Judged(_) => "hold",
            What::Route { state: "open", .. } => "up",
            What::Route { .. } => "hold",
            What::Paused | What::Resumed | What::Pinned(_) | What::Unpinned | What::Lifted => "operator",
        }
    }

    /// Says it in words.
    fn words(&self) -> String {
        let again = match self.times {
            1 => String::new(),
            times => format!(" ({times} times)"),
        };
        match &self.what {
            &What::Moved { kind, from, to, probe_in } => moved(kind, from, to, probe_in),
            What::Held { wait } => {
                format!("the provider's rate is used up: nothing is sent for {}{again}", span(*wait))
            }
            What::Judged(verdict) if verdict.suspects_account() => {
                format!("a refusal may be the account's matter: a second witness decides{again}")
            }
            What::Judged(verdict) => format!("{} ({verdict}){again}", verdict.reason()),
            What::Route { state: "open", .. } => "serves again".to_owned(),
            What::Route { state: "probing", .. } => "one request tests whether it serves again".to_owned(),
            What::Route { state: "closed", until, .. } => {
                format!("keeps failing: closed, to be tested in {}", span(*until))
            }
            What::Route { reason, until, .. } => {
                let reason = reason.as_deref().unwrap_or("the provider asked to stay away");
                format!("suspended for {}: {reason}", span(*until))
            }
            What::Paused => "an operator paused it: nothing is dispatched, what comes waits".to_owned(),
            What::Resumed => "an operator let it go on".to_owned(),
            What::Pinned(window) => format!("an operator pinned each route's window at {window}"),
            What::Unpinned => "an operator let the windows learn again".to_owned(),
            What::Lifted => "an operator lifted what held it: one request goes first".to_owned(),
        }
    }
}

fn moved(kind: ChangeKind, from: u32, to: u32, probe_in: Option<u32>) -> String {
    let probe = match probe_in {
        None => String::new(),
        Some(0) => ", probing again at once".to_owned(),
        Some(1) => ", probing again in 1 window".to_owned(),
        Some(windows) => format!(", probing again in {windows} windows"),
    };
    match kind {
        ChangeKind::SlowStart => format!("nothing is refused: grew from {from} to {to}"),
        ChangeKind::Grow => format!("whole windows were served: grew from {from} to {to}"),
        ChangeKind::Probe => format!("asks for more than the {from} it knows: tries {to}"),
        ChangeKind::ProbeFailed => format!("429 at {from} in flight: back to {to}{probe}"),
        ChangeKind::CapacityRead => format!("429 at {} in flight: capacity read as {to}{probe}", to.saturating_add(1)),
        ChangeKind::Competitor => {
            format!("429 well below {from} in flight: it fell, or others use it; cut to {to}")
        }
        ChangeKind::Overload => format!("5xx to all beyond {to}: that is the capacity; cut from {from} to {to}"),
        ChangeKind::Resume => format!("the first success after an outage: goes on at {to}"),
        ChangeKind::LatencyHold => format!("service time rises with the window: holds {to}, where that began"),
        ChangeKind::ProbeDown => format!("compares: is {to} served as fast as {from}?"),
        ChangeKind::ProbeUp => format!("compares: does {to} serve more than {from}?"),
        ChangeKind::LatencyCut => format!("more than {to} in flight only added waiting: cut from {from}{probe}"),
        ChangeKind::LatencyGrow => format!("{to} in flight serve more than {from}: kept{probe}"),
        ChangeKind::ProbeDropped => format!("the comparison found nothing: back to {to}{probe}"),
        ChangeKind::TargetCut => {
            format!("the median service time is above the latency target: cut from {from} to {to}")
        }
        ChangeKind::TargetGrow => {
            format!("the median service time is below the latency target again: grew from {from} to {to}")
        }
        ChangeKind::IdleDecay => format!("little to do: let go of {from}, down to {to}"),
        ChangeKind::Reconfigured => format!("new settings: from {from} to {to}"),
    }
}

/// Words a duration for people.
fn span(span: Duration) -> String {
    match span.as_millis() {
        ms @ 0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{:.1} s", span.as_secs_f64()),
        60_000..3_600_000 => format!("{} min", span.as_secs() / 60),
        _ => format!("{} h {} min", span.as_secs() / 3_600, span.as_secs() / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::verdict::{Matter, Scope};

    fn moved(kind: ChangeKind, from: u32, to: u32) -> What {
        What::Moved { kind, from, to, probe_in: Some(8) }
    }

    #[test]
    fn they_are_told_in_words_and_like_ones_together() {
        let mut decisions = Decisions::default();
        let lab: Option<Arc<str>> = Some("lab".into());
        for window in 4..30 {
            decisions.note(100, lab.clone(), moved(ChangeKind::SlowStart, window, window + 1));
        }
        for window in (25..31).rev() {
            decisions.note(101, lab.clone(), moved(ChangeKind::CapacityRead, window, window - 1));
        }
        decisions.note(102, None, What::Paused);
        let judged = What::Judged(Verdict::new(Scope::Account, Matter::Money));
        decisions.note(102, lab.clone(), judged.clone());
        decisions.note(102, lab.clone(), judged);
        decisions.note(103, lab.clone(), What::Held { wait: Duration::from_millis(1_200) });
        decisions.note(104, lab.clone(), What::Held { wait: Duration::from_millis(900) });
        decisions.note(130, lab.clone(), What::Held { wait: Duration::from_millis(900) });
        decisions.note(131, lab, What::Lifted);
        let said: Vec<_> = decisions.latest().map(Decision::words).collect();
        assert_eq!(
            said,
            [
                "an operator lifted what held it: one request goes first",
                "the provider's rate is used up: nothing is sent for 900 ms",
                "the provider's rate is used up: nothing is sent for 900 ms (2 times)",
                "the account's quota or credit is used up (account money) (2 times)",
                "an operator paused it: nothing is dispatched, what comes waits",
                "429 at 25 in flight: capacity read as 24, probing again in 8 windows",
                "nothing is refused: grew from 4 to 30",
            ]
        );
        for at in 0..1_000 {
            decisions.note(at * 60, None, What::Resumed);
        }
        assert_eq!(decisions.0.len(), KEPT);
        assert!(std::mem::size_of::<Decision>() <= 72, "{}", std::mem::size_of::<Decision>());
    }
}
