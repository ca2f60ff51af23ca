//! What all callers of a run heard, and what none should have.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use crate::heard::Heard;
use crate::load::{BROKE_OFF, Crowd, UNHEARD};
use crate::mischief::{Hears, Mischief};
use crate::pool::Pool;

/// How long after an outage the well-behaved may still hear of it: those who queued in it wait their time out.
const AFTERMATH: Duration = Duration::from_secs(5);
/// Reasons for which a request ends before it meets the provider.
const QUEUED: [&str; 4] = ["deadline_unreachable", "queue_timeout", "queue_full", "no_capacity"];
/// Lines of one kind that are printed.
const SHOWN: usize = 4;

/// The end of one request.
#[derive(Debug)]
pub enum Told {
    Heard(Result<Heard, String>),
    /// The caller went away.
    Left,
}

#[derive(Debug, Default)]
struct Counts {
    served: u64,
    /// Refused while the model was gone.
    outage: u64,
    refused: u64,
    left: u64,
    wrong: u64,
    /// Of those, the ones that heard nothing, or not to an end.
    unheard: u64,
}

pub struct Tally {
    pools: Vec<Arc<Pool>>,
    counts: Mutex<BTreeMap<(bool, &'static str), Counts>>,
    /// What went wrong, by what was met.
    wrong: Mutex<BTreeMap<String, Vec<String>>>,
    /// Requests whose fate says what must be heard: how many, and how many heard it.
    due: Mutex<BTreeMap<&'static str, (u64, u64)>>,
}

impl Tally {
    pub fn new(pools: Vec<Arc<Pool>>) -> Arc<Self> {
        Arc::new(Self { pools, counts: Mutex::default(), wrong: Mutex::default(), due: Mutex::default() })
    }

    pub fn note(&self, crowd: &Crowd, prompt: &str, met: Option<&'static Mischief>, began: Instant, told: Told) {
        let now = Instant::now();
        let of_model = |pool: &&Arc<Pool>| pool.name.split_once('/').is_some_and(|(_, model)| model == crowd.model);
        let gone = self.pools.iter().filter(of_model).all(|pool| pool.was_gone(began, now, AFTERMATH));
        let mut counts = self.counts.lock().unwrap();
        let counts = counts.entry((crowd.odd, crowd.model)).or_default();
        if let (Some(met), Told::Heard(heard), false) = (met, &told, gone) {
            let right = match (met.hears, heard) {
                // Who was turned away in the queue met nothing yet.
                (_, Ok(Heard::Refused { reason, .. })) if QUEUED.contains(&reason.as_str()) => None,
                (Hears::Answer, heard) => Some(*heard == Ok(Heard::Served)),
                (Hears::Words(due), Ok(Heard::Refused { words, .. })) => Some(words.contains(due)),
                (Hears::Words(_), _) => Some(false),
                (Hears::Either, _) => None,
            };
            if let Some(right) = right {
                let mut due = self.due.lock().unwrap();
                let (all, heard) = due.entry(met.name).or_default();
                (*all, *heard) = (*all + 1, *heard + u64::from(right));
            }
        }
        let wrong = |what: String| {
            let mut wrong = self.wrong.lock().unwrap();
            let kind = if crowd.odd { "odd" } else { "good" };
            let lines = wrong.entry(met.map_or(format!("{kind} {}", crowd.model), |met| met.name.into())).or_default();
            lines.push(format!("{prompt:?} after {:.1?}: {what}", now - began));
        };
        match told {
            Told::Left => counts.left += 1,
            Told::Heard(Ok(Heard::Served)) => counts.served += 1,
            Told::Heard(Ok(Heard::Refused { .. })) if gone => counts.outage += 1,
            Told::Heard(Ok(Heard::Refused { status, reason, words })) => {
                counts.refused += 1;
                if !crowd.odd {
                    wrong(format!("refused: {status} {reason}: {words}"));
                }
            }
            Told::Heard(Err(what)) => {
                counts.wrong += 1;
                counts.unheard += u64::from(what.starts_with(UNHEARD) || what.starts_with(BROKE_OFF));
                wrong(what);
            }
        }
    }

    /// Says what everybody heard.
    pub fn print(&self) {
        for ((odd, model), counts) in &*self.counts.lock().unwrap() {
            println!("  {} {model}: {counts:?}", if *odd { "odd " } else { "good" });
        }
        for (met, lines) in &*self.wrong.lock().unwrap() {
            println!("  {met}: {} wrong", lines.len());
            lines.iter().take(SHOWN).for_each(|line| println!("    {line}"));
        }
        for (met, (all, heard)) in &*self.due.lock().unwrap() {
            if heard < all {
                println!("  {met}: {heard} of {all} heard what is due");
            }
        }
    }

    /// Requests that no caller should have ended like this, and how many of them had no end at all.
    pub fn wrong(&self) -> (u64, u64) {
        let counts = self.counts.lock().unwrap();
        counts.values().fold((0, 0), |(wrong, unheard), of| (wrong + of.wrong, unheard + of.unheard))
    }

    /// The well-behaved of a model: served, and refused although the model was there.
    pub fn good(&self, model: &'static str) -> (u64, u64) {
        self.counts.lock().unwrap().get(&(false, model)).map_or((0, 0), |counts| (counts.served, counts.refused))
    }

    /// Share of the odd that heard what their fate says.
    pub fn due(&self) -> f64 {
        let due = self.due.lock().unwrap();
        let (all, heard) = due.values().fold((0, 0), |(all, heard), (more, also)| (all + more, heard + also));
        heard as f64 / f64::max(all as f64, 1.0)
    }
}
