//! Answers to questions about a queue's tenants.

use std::sync::Arc;

use super::QueueActor;
use crate::core::fair_queue::TenantLimits;
use crate::engine::ticket::messages::{Inspect, Question, Relimit};
use crate::engine::view::capacity::{TenantLoad, TenantView};

impl QueueActor {
    /// Answers a question; an answer that nobody waits for any more is dropped.
    pub(super) fn answer(&self, question: Question) {
        match question {
            Question::Inspect(inspect, reply) => {
                reply.send(self.inspect(&inspect)).ok();
            }
            Question::TopTenants { most, reply } => {
                reply.send(self.top_tenants(most)).ok();
            }
            #[cfg(feature = "gateway")]
            Question::Claims(reply) => {
                reply.send(self.broker.queue().claims()).ok();
            }
        }
    }

    fn inspect(&self, inspect: &Inspect) -> TenantView {
        let queue = self.broker.queue();
        let (queued, in_flight) = queue.tenant(&inspect.tenant);
        let wait = queue.wait(self.clock.now(), &inspect.tenant, &inspect.limits, inspect.class).unwrap_or_default();
        let reserved = queue.reservation(&inspect.tenant);
        TenantView { queued, in_flight, wait, reserved }
    }

    /// Returns up to `most` tenants, those with the most in flight first.
    fn top_tenants(&self, most: usize) -> Vec<TenantLoad> {
        let mut tenants: Vec<_> = self.broker.queue().tenants().collect();
        let largest = |a: &(&Arc<str>, u32, u32), b: &(&Arc<str>, u32, u32)| (b.2, b.1, a.0).cmp(&(a.2, a.1, b.0));
        if tenants.len() > most {
            // Only the tenants that are returned are put in order and copied.
            tenants.select_nth_unstable_by(most, largest);
            tenants.truncate(most);
        }
        tenants.sort_unstable_by(largest);
        let load = |(tenant, queued, in_flight): (&Arc<str>, u32, u32)| TenantLoad {
            tenant: tenant.clone(),
            queued,
            in_flight,
        };
        tenants.into_iter().map(load).collect()
    }

    /// Returns the limits that tenants with jobs have by other settings.
    pub(super) fn limits(&self, Relimit { settings, only }: Relimit) -> Vec<(Arc<str>, TenantLimits)> {
        let all = || self.broker.queue().tenants().map(|(name, ..)| name.clone()).collect();
        let tenants: Vec<_> = only.map_or_else(all, |tenant| vec![tenant]);
        let limits = |tenant: Arc<str>| {
            let limits = self.settings.limits(&tenant, &self.model.ledger.policy(&settings, &tenant));
            (tenant, limits)
        };
        tenants.into_iter().map(limits).collect()
    }
}
