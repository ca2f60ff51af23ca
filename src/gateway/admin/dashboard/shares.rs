//! Tenants' shares of the models that somebody looks at.
//!
//! Requests in flight at one moment say little where tenants outnumber slots. So a model that is looked at is sampled
//! every second, and shares are means over the last ten or so: of slots held, which is what capacity is made of.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Deserialize;

use crate::core::fair_queue::Standing;

/// Seconds a model is sampled after somebody looked.
const LOOKED_FOR: u32 = 10;
/// Models sampled at a time; further ones show the moment only.
const MOST_MODELS: usize = 8;
/// Weight of a sample in the mean.
const WEIGHT: f64 = 0.1;
/// A tenant without jobs is forgotten below this share.
const LEAST: f64 = 0.000_5;

/// A tenant of a model that is looked at.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) standing: Standing,
    /// Share of the slots in use, and what would be fair, 0 to 1: means of the last ten seconds or so.
    pub(super) share: f64,
    pub(super) fair: f64,
}

#[derive(Debug, Default)]
struct Looked {
    until: u32,
    samples: u32,
    rows: BTreeMap<Arc<str>, Row>,
}

/// The models that are looked at.
#[derive(Debug, Default)]
pub(super) struct Shares(Mutex<BTreeMap<String, Looked>>);

impl Shares {
    fn looked(&self) -> MutexGuard<'_, BTreeMap<String, Looked>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Names the models to sample at `now`, and forgets those that nobody looks at any more.
    pub(super) fn due(&self, now: u32) -> Vec<String> {
        let mut looked = self.looked();
        looked.retain(|_, looked| looked.until > now);
        looked.keys().cloned().collect()
    }

    /// Takes a sample of a model's tenants.
    pub(super) fn sample(&self, model: &str, standings: Vec<Standing>) {
        if let Some(looked) = self.looked().get_mut(model) {
            looked.take(standings);
        }
    }

    /// Somebody looks at a model, at `now`: returns its tenants, or `None` where the first sample must be taken.
    pub(super) fn look<T>(&self, model: &str, now: u32, read: impl FnOnce(Vec<&Row>) -> T) -> Option<T> {
        let mut looked = self.looked();
        let found = looked.get_mut(model)?;
        found.until = now + LOOKED_FOR;
        Some(read(found.rows.values().collect()))
    }

    /// Begins to look at a model with its first sample, and returns that.
    pub(super) fn begin<T>(&self, model: &str, now: u32, first: Vec<Standing>, read: impl FnOnce(Vec<&Row>) -> T) -> T {
        let mut fresh = Looked { until: now + LOOKED_FOR, ..Looked::default() };
        fresh.take(first);
        let answer = read(fresh.rows.values().collect());
        let mut looked = self.looked();
        if looked.len() < MOST_MODELS {
            looked.insert(model.to_owned(), fresh);
        }
        answer
    }
}

impl Looked {
    fn take(&mut self, standings: Vec<Standing>) {
        self.samples = self.samples.saturating_add(1);
        // The first samples count alike.
        let weight = (1.0 / f64::from(self.samples)).max(WEIGHT);
        let total: f64 = standings.iter().map(|standing| f64::from(standing.in_flight)).sum::<f64>().max(1.0);
        for row in self.rows.values_mut() {
            row.share *= 1.0 - weight;
            row.fair *= 1.0 - weight;
            (row.standing.queued, row.standing.in_flight) = (0, 0);
        }
        for standing in standings {
            let (share, fair) = (f64::from(standing.in_flight) / total * weight, standing.fair / total * weight);
            let row = self.rows.entry(standing.tenant.clone()).or_insert_with(|| Row {
                standing: standing.clone(),
                share: 0.0,
                fair: 0.0,
            });
            row.standing = standing;
            row.share += share;
            row.fair += fair;
        }
        self.rows.retain(|_, row| row.standing.queued > 0 || row.standing.in_flight > 0 || row.share > LEAST);
    }
}

/// By what tenants are ordered, the largest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Sort {
    /// Requests waiting.
    #[default]
    Backlog,
    /// The share held.
    Share,
    /// The share held beyond what is fair.
    Excess,
    /// The name, from A.
    Name,
}

/// Picks the rows whose tenant contains `search`, in order, and says how many there are.
pub(super) fn pick<'a>(mut rows: Vec<&'a Row>, search: &str, sort: Sort, most: usize) -> (usize, Vec<&'a Row>) {
    let wanted = search.trim().to_lowercase();
    if !wanted.is_empty() {
        rows.retain(|row| row.standing.tenant.to_lowercase().contains(&wanted));
    }
    rows.sort_by(|a, b| {
        let order = match sort {
            Sort::Backlog => (b.standing.queued, b.standing.in_flight).cmp(&(a.standing.queued, a.standing.in_flight)),
            Sort::Share => b.share.total_cmp(&a.share),
            Sort::Excess => (b.share - b.fair).total_cmp(&(a.share - a.fair)),
            Sort::Name => std::cmp::Ordering::Equal,
        };
        order.then_with(|| a.standing.tenant.cmp(&b.standing.tenant))
    });
    let found = rows.len();
    rows.truncate(most);
    (found, rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Class;

    fn standing(tenant: &str, queued: u32, in_flight: u32, fair: f64) -> Standing {
        Standing { tenant: tenant.into(), class: Class::Standard, weight: 1.0, queued, in_flight, fair }
    }

    #[test]
    fn shares_are_means_and_only_of_what_is_looked_at() {
        let shares = Shares::default();
        assert!(shares.look("m", 0, |_| ()).is_none());
        shares
            .begin("m", 0, vec![standing("a", 9, 3, 2.0), standing("b", 0, 1, 2.0)], |rows| assert_eq!(rows.len(), 2));
        assert_eq!(shares.due(5), ["m"]);
        shares.sample("m", vec![standing("a", 9, 1, 2.0), standing("B2", 0, 3, 2.0)]);
        let read = |rows: Vec<&Row>| {
            let (found, rows) = pick(rows, " B", Sort::Name, 1);
            assert_eq!((found, &*rows[0].standing.tenant), (2, "B2"), "of two, the first");
            let (_, rows) = pick(vec![rows[0]], "", Sort::Share, 9);
            (rows[0].share, rows[0].fair)
        };
        assert_eq!(shares.look("m", 5, read), Some((0.375, 0.25)));
        for second in 0..200 {
            shares.sample("m", vec![standing("a", 9, 4, 4.0)]);
            assert!(!shares.due(second.min(14)).is_empty());
        }
        shares.look("m", 14, |rows| assert_eq!(rows.len(), 1, "who has gone is forgotten")).expect("looked at");
        assert!(shares.due(24).is_empty(), "nobody looks any more");
        for model in 0..20 {
            shares.begin(&model.to_string(), 0, Vec::new(), |_| ());
        }
        assert_eq!(shares.due(0).len(), MOST_MODELS);
    }
}
