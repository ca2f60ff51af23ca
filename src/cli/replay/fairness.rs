//! How evenly tenants were served while they competed.
//!
//! Jain's index over served work alone would call a replay unfair in which one tenant asked for little and got all of
//! it. So each tenant is measured by what it got against what it was due, and only while somebody went short:
//!
//! 1. The replay is cut into slots of equal length. In each, a tenant's *demand* is the cost of its requests that were
//!    waiting or came in, and its *served* cost that of those which left the queue in it and succeeded.
//! 2. A slot is *contended* when at least two tenants had demand and not all demand was served.
//! 3. In a contended slot, the served cost is divided by max-min fairness: everybody is *due* an equal share, nobody
//!    more than it demanded, and what is left over goes to those who want more.
//! 4. A tenant's satisfaction is what it was served over what it was due, both summed over the contended slots; the
//!    index is Jain's `(Σx)² / (n · Σx²)` over all tenants that were due anything: 1 when all were equally satisfied,
//!    `1/n` when one had everything.
//!
//! It takes all weights as equal, so a replay of tenants with different weights scores lower than it deserves; and a
//! slot is taken as a whole, so unfairness that evens out within one is not seen.

use std::collections::BTreeMap;

use super::super::format::finite;
use super::record::{Record, Replay};

/// Slots of a replay, at most.
const SLOTS: usize = 60;
/// The shortest slot, in seconds: in shorter ones single requests would look like unfairness.
const SHORTEST: f64 = 1.0;

/// Fairness of a replay, as [`measure`] finds it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fairness {
    /// Jain's index of satisfaction, above 0 and up to 1; `None` when nobody ever competed.
    pub jain: Option<f64>,
    /// Tenants that competed.
    pub tenants: usize,
    /// For how long they did, in seconds.
    pub contended: f64,
}

/// Jain's index `(Σx)² / (n · Σx²)` of values ≥ 0; `None` when there are none, or all are 0.
pub fn jain(values: &[f64]) -> Option<f64> {
    let sum: f64 = values.iter().sum();
    let squares: f64 = values.iter().map(|x| x * x).sum();
    (squares > 0.0).then(|| sum * sum / (values.len() as f64 * squares))
}

/// Divides `supply` over demands ≥ 0 by max-min fairness; the parts sum to the lesser of supply and all demand.
pub fn max_min(supply: f64, demands: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..demands.len()).collect();
    let demand = |index: usize| demands.get(index).copied().unwrap_or(0.0);
    order.sort_by(|a, b| demand(*a).total_cmp(&demand(*b)));
    let mut parts = vec![0.0; demands.len()];
    let (mut left, mut sharing) = (supply, demands.len());
    for index in order {
        // Whoever wants less than an equal part of what is left gets all it wants, the smallest first.
        let part = demand(index).min(left / sharing as f64);
        if let Some(place) = parts.get_mut(index) {
            *place = part;
        }
        left -= part;
        sharing -= 1;
    }
    parts
}

/// Demand of a tenant in one slot, and how much of it was served.
#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    demand: f64,
    served: f64,
}

/// Measures fairness as this module defines it.
pub fn measure(replay: &Replay) -> Fairness {
    let span = replay.span();
    let slots = ((span / SHORTEST).floor() as usize).clamp(1, SLOTS);
    let length = span / slots as f64;
    let none = Fairness { jain: None, tenants: 0, contended: 0.0 };
    if length <= 0.0 {
        return none;
    }
    let slot = |t: f64| ((t / length) as usize).min(slots - 1);

    let mut table: Vec<BTreeMap<&str, Cell>> = vec![BTreeMap::new(); slots];
    for record in &replay.records {
        let left = slot(leaves(record));
        for (index, row) in table.iter_mut().enumerate().take(left + 1).skip(slot(finite(record.arrived))) {
            let cell = row.entry(&record.tenant).or_default();
            cell.demand += finite(record.cost);
            if index == left && record.succeeded() {
                cell.served += finite(record.cost);
            }
        }
    }

    let mut totals: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    let mut contended = 0.0;
    for row in &table {
        let demands: Vec<f64> = row.values().map(|cell| cell.demand).collect();
        let supply: f64 = row.values().map(|cell| cell.served).sum();
        // A rounding error is no contention.
        let short = demands.iter().sum::<f64>() > supply * (1.0 + 1e-9);
        if demands.iter().filter(|demand| **demand > 0.0).count() < 2 || supply <= 0.0 || !short {
            continue;
        }
        contended += length;
        for ((tenant, cell), due) in row.iter().zip(max_min(supply, &demands)) {
            let total = totals.entry(tenant).or_default();
            total.0 += cell.served;
            total.1 += due;
        }
    }
    let satisfaction: Vec<f64> =
        totals.values().filter(|(_, due)| *due > 0.0).map(|(served, due)| served / due).collect();
    Fairness { jain: jain(&satisfaction), tenants: satisfaction.len(), contended }
}

/// When a request stopped waiting: it was dispatched, or given up.
fn leaves(record: &Record) -> f64 {
    if record.attempts > 0 { record.left_queue() } else { record.ended() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(tenant: &str, arrived: f64, queue_ms: f64, status: u16, cost: f64) -> Record {
        Record {
            tenant: tenant.to_owned(),
            arrived,
            queue_ms,
            upstream_ms: 100.0,
            total_ms: queue_ms + 100.0,
            attempts: 1,
            status,
            reason: None,
            cost,
        }
    }

    fn measured(records: Vec<Record>) -> Fairness {
        measure(&Replay { records, ..Replay::default() })
    }

    #[test]
    fn jains_index_is_one_for_equals_and_one_over_n_for_a_monopoly() {
        assert_eq!(jain(&[3.0, 3.0, 3.0]), Some(1.0));
        assert_eq!(jain(&[5.0, 0.0, 0.0, 0.0]), Some(0.25));
        assert_eq!(jain(&[1.0, 2.0, 3.0]), Some(36.0 / 42.0));
        assert_eq!(jain(&[]), None);
        assert_eq!(jain(&[0.0, 0.0]), None);
    }

    #[test]
    fn max_min_satisfies_the_small_and_shares_the_rest() {
        assert_eq!(max_min(10.0, &[2.0, 8.0, 6.0]), [2.0, 4.0, 4.0]);
        assert_eq!(max_min(9.0, &[10.0, 10.0, 10.0]), [3.0, 3.0, 3.0]);
        assert_eq!(max_min(99.0, &[1.0, 0.0, 2.0]), [1.0, 0.0, 2.0]);
        assert!(max_min(1.0, &[]).is_empty());
    }

    #[test]
    fn equal_service_under_load_scores_one() {
        // Two tenants with 20 requests each at once, one of each served a second.
        let records = (0..40)
            .map(|i| record(if i % 2 == 0 { "a" } else { "b" }, 0.0, f64::from(i / 2) * 1000.0 + 500.0, 200, 1.0))
            .collect();
        let fairness = measured(records);
        assert!((fairness.jain.unwrap() - 1.0).abs() < 1e-12, "{fairness:?}");
        assert_eq!(fairness.tenants, 2);
        assert!(fairness.contended > 15.0, "{fairness:?}");
    }

    #[test]
    fn a_small_tenant_that_gets_all_it_wants_is_no_unfairness() {
        // In one slot, a wants 1 and gets it; b wants 9 and gets 4 of them.
        let mut records = vec![record("a", 0.0, 0.0, 200, 1.0)];
        records.extend((0..9).map(|i| record("b", 0.0, 10.0, if i < 4 { 200 } else { 429 }, 1.0)));
        assert_eq!(measured(records).jain, Some(1.0));
    }

    #[test]
    fn a_tenant_that_is_starved_lowers_the_index() {
        // Both want 4, a gets 3 and b gets 1 where each was due 2: (2)² / (2 · (1.5² + 0.5²)) = 0.8.
        let records = (0..8)
            .map(|i| record(if i < 4 { "a" } else { "b" }, 0.0, 0.0, if i < 3 || i == 4 { 200 } else { 429 }, 1.0))
            .collect();
        assert!((measured(records).jain.unwrap() - 0.8).abs() < 1e-12);
    }

    #[test]
    fn without_contention_there_is_nothing_to_measure() {
        assert_eq!(measured(Vec::new()).jain, None);
        assert_eq!(measured(vec![record("a", 0.0, 0.0, 200, 1.0), record("b", 0.0, 0.0, 200, 9.0)]).jain, None);
        assert_eq!(measured(vec![record("a", 0.0, 0.0, 503, 1.0), record("b", 0.0, 0.0, 503, 9.0)]).jain, None);
        assert_eq!(measured(vec![record("a", f64::NAN, -1.0, 200, f64::INFINITY)]).jain, None);
    }
}
