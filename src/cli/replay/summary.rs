//! The figures of a replay, and their plain text.

use std::collections::BTreeMap;

use super::super::format::finite;
pub use super::table::text_table;
use super::{
    fairness::{self, Fairness},
    record::{Record, Replay},
};
use crate::core::estimate::nearest_rank;

/// Tenants that the table names; the others share one line.
const NAMED: usize = 10;
/// Name of the line that the other tenants share; their count follows.
const OTHERS: &str = "others";

/// Three quantiles of one quantity, in milliseconds, by nearest rank.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantiles {
    /// Half are at most this.
    pub p50: f64,
    /// Nine of ten are at most this.
    pub p90: f64,
    /// Ninety-nine of a hundred are at most this.
    pub p99: f64,
}

impl Quantiles {
    /// The quantiles of `values`; `None` when there are none.
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let rank = |q| nearest_rank(&values, q);
        Some(Self { p50: rank(0.5)?, p90: rank(0.9)?, p99: rank(0.99)? })
    }
}

/// How often requests ended in one way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The HTTP status; 0 without an answer.
    pub status: u16,
    /// The reason given; empty for successes.
    pub reason: String,
    /// Requests that ended so.
    pub count: usize,
}

/// A tenant's line: the requests that it sent, and what became of them.
#[derive(Debug, Clone, PartialEq)]
pub struct TenantRow {
    /// Its name, or `others (n)`.
    pub tenant: String,
    /// Requests sent.
    pub requests: usize,
    /// Of these, with status 2xx.
    pub succeeded: usize,
    /// Of these, with status 429, 503 or 504. What is missing to `requests` failed in other ways.
    pub refused: usize,
    /// Its part of all cost asked for, 0–1.
    pub demand_share: f64,
    /// Its part of all cost served, 0–1.
    pub served_share: f64,
    /// Its queue wait; see [`Summary::wait`].
    pub wait: Option<Quantiles>,
}

/// The figures of a replay.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// Requests sent.
    pub requests: usize,
    /// With status 2xx.
    pub succeeded: usize,
    /// With status 429, 503 or 504: told to come back.
    pub refused: usize,
    /// All the rest.
    pub failed: usize,
    /// From the beginning to the last answer, in seconds.
    pub span: f64,
    /// Successes per second of the span.
    pub goodput: f64,
    /// Cost of the successes per second of the span.
    pub goodput_cost: f64,
    /// How requests ended, the most frequent first.
    pub outcomes: Vec<Outcome>,
    /// From sending to the end of the answer, of the successes.
    pub total: Option<Quantiles>,
    /// Queue wait of all requests that were in the queue: those dispatched, and those that gave up waiting.
    pub wait: Option<Quantiles>,
    /// Dispatches, wasted ones included, per success; 0 without successes.
    pub attempts_per_success: f64,
    /// See [`fairness`].
    pub fairness: Fairness,
    /// Tenants that sent anything.
    pub tenant_count: usize,
    /// The ten tenants with most requests, the others last as one line.
    pub tenants: Vec<TenantRow>,
}

/// Draws the figures from what was recorded.
pub fn summarize(replay: &Replay) -> Summary {
    let records = &replay.records;
    let succeeded = records.iter().filter(|record| record.succeeded()).count();
    let refused = records.iter().filter(|record| record.refused()).count();
    let span = replay.span();
    let per_second = |amount: f64| if span > 0.0 { amount / span } else { 0.0 };
    let attempts: u64 = records.iter().map(|record| u64::from(record.attempts)).sum();
    let (tenant_count, tenants) = tenants(records);
    Summary {
        requests: records.len(),
        succeeded,
        refused,
        failed: records.len() - succeeded - refused,
        span,
        goodput: per_second(succeeded as f64),
        goodput_cost: per_second(served(records.iter())),
        outcomes: outcomes(records),
        total: Quantiles::of(successes(records).map(|record| finite(record.total_ms)).collect()),
        wait: waits(records.iter()),
        attempts_per_success: if succeeded > 0 { attempts as f64 / succeeded as f64 } else { 0.0 },
        fairness: fairness::measure(replay),
        tenant_count,
        tenants,
    }
}

fn successes(records: &[Record]) -> impl Iterator<Item = &Record> {
    records.iter().filter(|record| record.succeeded())
}

fn served<'a>(records: impl Iterator<Item = &'a Record>) -> f64 {
    records.filter(|record| record.succeeded()).map(|record| finite(record.cost)).sum()
}

fn waits<'a>(records: impl Iterator<Item = &'a Record>) -> Option<Quantiles> {
    let queued = records.filter(|record| record.attempts > 0 || record.queue_ms > 0.0);
    Quantiles::of(queued.map(|record| finite(record.queue_ms)).collect())
}

fn outcomes(records: &[Record]) -> Vec<Outcome> {
    let mut counts: BTreeMap<(u16, &str), usize> = BTreeMap::new();
    for record in records {
        *counts.entry((record.status, record.reason.as_deref().unwrap_or(""))).or_default() += 1;
    }
    let mut outcomes: Vec<Outcome> = counts
        .into_iter()
        .map(|((status, reason), count)| Outcome { status, reason: reason.to_owned(), count })
        .collect();
    outcomes.sort_by_key(|outcome| std::cmp::Reverse(outcome.count));
    outcomes
}

/// How many tenants there are, and their lines.
fn tenants(records: &[Record]) -> (usize, Vec<TenantRow>) {
    let mut by_tenant: BTreeMap<&str, Vec<&Record>> = BTreeMap::new();
    for record in records {
        by_tenant.entry(&record.tenant).or_default().push(record);
    }
    let count = by_tenant.len();
    let mut ranked: Vec<(String, Vec<&Record>)> =
        by_tenant.into_iter().map(|(tenant, records)| (tenant.to_owned(), records)).collect();
    ranked.sort_by_key(|(_, records)| std::cmp::Reverse(records.len()));
    // One tenant more than can be named is named all the same: a line for others would be no shorter.
    if count > NAMED + 1 {
        let rest = ranked.split_off(NAMED);
        let name = format!("{OTHERS} ({})", rest.len());
        ranked.push((name, rest.into_iter().flat_map(|(_, records)| records).collect()));
    }
    let demand: f64 = records.iter().map(|record| finite(record.cost)).sum();
    let all_served = served(records.iter());
    let share = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
    let rows = ranked
        .into_iter()
        .map(|(tenant, records)| TenantRow {
            tenant,
            requests: records.len(),
            succeeded: records.iter().filter(|record| record.succeeded()).count(),
            refused: records.iter().filter(|record| record.refused()).count(),
            demand_share: share(records.iter().map(|record| finite(record.cost)).sum(), demand),
            served_share: share(served(records.iter().copied()), all_served),
            wait: waits(records.iter().copied()),
        })
        .collect();
    (count, rows)
}

#[cfg(test)]
mod tests;
