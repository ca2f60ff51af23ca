//! What both shells have in common, and the loop that plays a story with either.

use std::collections::BTreeSet;

use fairflow::config::Config;

use crate::story::{Clients, Event, Job, Story};

/// What a caller sees of its job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    Dispatched(usize),
    /// It left without an answer, and why.
    Refused(usize, &'static str),
}

/// A scheduler in virtual time. All times are milliseconds since it began.
pub trait Engine {
    fn submit(&mut self, id: usize, job: &Job);
    /// The attempt under way ends: refused for concurrency, or well.
    fn finish(&mut self, id: usize, job: &Job, refused: bool);
    fn cancel(&mut self, id: usize);
    async fn reload(&mut self, config: Config);
    /// Lets time pass until callers see something, at most until `until`. Returns when that is, and what they saw.
    async fn pass(&mut self, until: u64) -> (u64, Vec<Seen>);
}

/// One line of what happened: when, what, whose, and which one.
pub type Line = (u64, &'static str, String, u32);

/// Plays a story to its end, or to `most` dispatches after its last change.
pub async fn play(story: &Story, engine: &mut impl Engine, most: usize) -> Vec<Line> {
    let mut clients = Clients::new(story);
    let (mut lines, mut dispatches) = (Vec::new(), 0);
    let (mut attempts, mut under_way, mut gone) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    let (end, settled) = ((story.scenario.seconds * 1e3) as u64, story.settled());
    while let Some(next) = clients.agenda.next().filter(|at| *at <= end) {
        let (now, seen) = engine.pass(next).await;
        for seen in &seen {
            let (id, what) = match *seen {
                Seen::Dispatched(id) => (id, "dispatched"),
                Seen::Refused(id, why) => (id, why),
            };
            let job = &clients.jobs[id];
            lines.push((now, what, job.tenant.clone(), job.number));
            if what == "dispatched" {
                dispatches += usize::from(now >= settled);
                attempts[id] += 1;
                under_way.insert(id);
                let at = now + job.takes(attempts[id]);
                clients.agenda.add(at, Event::Finish(id));
            } else {
                gone.insert(id);
                clients.over(now, id);
            }
        }
        if dispatches >= most {
            break;
        }
        if !seen.is_empty() {
            continue;
        }
        match clients.agenda.take().unwrap() {
            Event::Arrive { client, thread, again } => {
                if let Some(id) = clients.arrive(now, client, thread, again) {
                    attempts.push(0);
                    engine.submit(id, &clients.jobs[id]);
                }
            }
            Event::Finish(id) if gone.contains(&id) => {}
            Event::Finish(id) => {
                under_way.remove(&id);
                let job = &clients.jobs[id];
                let refused = job.refused && attempts[id] == 1;
                engine.finish(id, job, refused);
                if !refused {
                    gone.insert(id);
                    clients.over(now, id);
                }
            }
            Event::Cancel(id) => {
                if gone.insert(id) {
                    let stage = if under_way.contains(&id) { "cancelled under way" } else { "cancelled waiting" };
                    lines.push((now, stage, clients.jobs[id].tenant.clone(), clients.jobs[id].number));
                    engine.cancel(id);
                }
            }
            Event::Reload(at) => engine.reload(story.config(at)).await,
        }
    }
    lines
}
