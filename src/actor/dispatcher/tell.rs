//! A route's log lines, counters and events.

use std::sync::Arc;

use super::Dispatcher;
use crate::core::outcome::Outcome;
use crate::core::route::Event;
use crate::core::time::Time;
use crate::core::verdict::{Basis, Verdict};
use crate::core::window::Change;
use crate::engine::view::events::EventKind;

/// Writes a log line that names model and route, and no request: the thread may be that of any.
macro_rules! log {
    ($level:ident, $of:expr, $($rest:tt)+) => {{
        let (model, provider, upstream) = (&$of.model, &$of.route.provider_name, &$of.route.upstream);
        tracing::$level!(parent: None, %model, %provider, %upstream, $($rest)+);
    }};
}

impl Dispatcher {
    /// Tells of what happened on the route; `tenant` is that of the attempt that has just ended.
    pub(super) fn tell(&self, now: Time, event: Event, tenant: Option<&Arc<str>>) {
        let of = &self.blueprint;
        let provider = || of.route.provider_name.clone();
        match event {
            Event::Settled { attempt, outcome, verdict, service } => {
                if outcome == Outcome::Success {
                    of.account_success.set(now);
                }
                of.stats.attempt(outcome);
                of.tap.tell(|| EventKind::Settled { provider: provider(), attempt, outcome, service });
                if !matches!(outcome, Outcome::Success | Outcome::Cancelled) {
                    self.judged(verdict);
                }
            }
            Event::Retried { attempt, outcome } => {
                if let Some(tenant) = tenant {
                    let tenant = || tenant.clone();
                    of.tap.tell(|| EventKind::Retried { tenant: tenant(), provider: provider(), attempt, outcome });
                }
            }
            Event::Moved { change: Change { kind, from, to }, probe_in } => {
                of.stats.window_change(kind);
                log!(debug, of, kind = kind.as_str(), from, to, "the window moved");
                of.tap.decide(|| EventKind::WindowChanged { provider: provider(), kind, from, to, probe_in });
            }
            Event::Held { wait } => of.tap.decide(|| EventKind::Held { provider: provider(), wait }),
            Event::Lifted => of.tap.decide(|| EventKind::Lifted { provider: provider() }),
            Event::Suspended { wait, reason } => {
                log!(warn, of, seconds = wait.as_secs_f64(), "the route is suspended: {reason}");
            }
            Event::Closed => log!(warn, of, "the route keeps failing and is closed"),
            Event::MissesTarget { window } => {
                let target = of.settings.window.latency_target;
                log!(
                    warn,
                    of,
                    ?target,
                    window,
                    "requests take longer than window.latency_target although the window is at its minimum"
                );
            }
            Event::LeaseExpired => {
                log!(warn, of, "a lease was neither settled nor dropped; its slot is taken back");
            }
        }
    }

    /// Counts a verdict, and tells of one that concerns more than its own request.
    fn judged(&self, verdict: Verdict) {
        let of = &self.blueprint;
        of.stats.verdict(verdict);
        let stated = verdict.basis == Basis::Configured || verdict.suspends();
        if stated || verdict.suspects_account() {
            of.tap.decide(|| EventKind::Judged { provider: of.route.provider_name.clone(), verdict });
            let Verdict { scope, matter, again, .. } = verdict;
            log!(
                info,
                of,
                scope = scope.as_str(),
                matter = matter.as_str(),
                again = again.as_str(),
                "the provider's answer was judged"
            );
        }
    }
}
