//! Both shells dispatch the same jobs in the same order, at the same times, and refuse the same.

use std::cmp::Ordering;
use std::path::Path;

use fairflow::sim::fairness::Scenario;
use fairflow::testing::paused;

use crate::actors::Actors;
use crate::engine::{Line, play};
use crate::simulated::Simulated;
use crate::story::Story;

/// Dispatches that are compared after the last change of a story.
const MOST: usize = 500;

/// Orders what happens in one millisecond: refusals come last, by name. A newcomer that is refused hears it at once, and a
/// job that expires when its task is next polled, which is the runtime's order and not the scheduler's.
fn told((at, what, tenant, number): &Line, (other_at, other, of, n): &Line) -> Ordering {
    let dispatched = |what: &str| what == "dispatched";
    at.cmp(other_at).then(dispatched(other).cmp(&dispatched(what))).then_with(|| match dispatched(what) {
        true => Ordering::Equal,
        false => (what, tenant, number).cmp(&(other, of, n)),
    })
}

/// Plays a story through both; the error shows where they part.
fn both(name: &str, story: &Story) -> Result<Vec<Line>, String> {
    let mut simulated = paused(async { play(story, &mut Simulated::new(story.config(0.0)), MOST).await });
    let mut actors = paused(async { play(story, &mut Actors::new(story.config(0.0)).await, MOST).await });
    simulated.sort_by(told);
    actors.sort_by(told);
    let first = simulated.iter().zip(&actors).position(|(a, b)| a != b);
    if let Some(at) = first.or((simulated.len() != actors.len()).then(|| simulated.len().min(actors.len()))) {
        let near = |lines: &[Line]| lines[at.saturating_sub(3)..(at + 4).min(lines.len())].to_vec();
        return Err(format!("{name}, line {at}\nsimulated: {:?}\nactors:    {:?}", near(&simulated), near(&actors)));
    }
    println!("{name:<26} {:>6} lines are the same", actors.len());
    Ok(actors)
}

/// Plays a story that is told here.
fn parsed(name: &str, text: &str) -> Vec<Line> {
    let scenario = Scenario::parse(name, text).unwrap_or_else(|error| panic!("{error}"));
    both(name, &Story::of(scenario).unwrap()).unwrap()
}

#[test]
fn every_scenario_dispatches_in_the_same_order() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/fairness");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let (mut skipped, mut wrong) = (Vec::new(), Vec::new());
    for file in &files {
        let scenario = Scenario::open(file).unwrap_or_else(|error| panic!("{error}"));
        let name = scenario.name.clone();
        let Some(story) = Story::of(scenario) else {
            skipped.push(name);
            continue;
        };
        match both(&name, &story) {
            Ok(lines) => assert!(lines.len() >= 50, "{name}: only {} lines", lines.len()),
            Err(difference) => wrong.push(difference),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert_eq!(skipped, ["apf_widths"], "a request of several slots is what the actors do not have");
}

fn count(lines: &[Line], what: &str) -> usize {
    lines.iter().filter(|(_, it, ..)| *it == what).count()
}

#[test]
fn what_is_cancelled_leaves_both_in_the_same_way() {
    let story = "seconds = 60\nslots = [[0, 4]]\ncancel = [5, 2.5]\n\
        client = [{ tenant = \"a\", rate = 2, cost = 1, spread = 1 },\
            { tenant = \"b\", rate = 4, cost = 1, spread = 1 }]";
    let lines = parsed("cancel", story);
    let (waiting, under_way) = (count(&lines, "cancelled waiting"), count(&lines, "cancelled under way"));
    assert!(waiting >= 10 && under_way >= 2, "{waiting} and {under_way}");
}

#[test]
fn what_waits_too_long_leaves_both_at_the_same_time() {
    let story = "seconds = 60\nslots = [[0, 4]]\n\
        client = [{ tenant = \"a\", burst = 30, rate = 3, cost = 1, spread = 1, max_wait = 3 },\
            { tenant = \"b\", rate = 4, cost = 1 }]";
    let lines = parsed("deadline", story);
    let (expired, refused) = (count(&lines, "queue_timeout"), count(&lines, "deadline_unreachable"));
    assert!(expired >= 10 && refused >= 10, "{expired} and {refused}");
}

#[test]
fn long_jobs_are_known_as_long_where_no_provider_tells_their_cost() {
    let story = "seconds = 1800\nslots = [[0, 10]]\nlong = 10\nsilent = true\n\
        client = [{ tenant = \"reserved\", reserve = 8, rate = 0.05, cost = 1 },\
            { tenant = \"videos\", rate = 1, cost = 60, spread = 0.2 }]";
    let lines = parsed("silent", story);
    assert!(count(&lines, "dispatched") >= 200, "{}", lines.len());
}

#[test]
fn the_leave_of_an_account_that_has_room_changes_nothing() {
    let story = "seconds = 60\nslots = [[0, 8]]\naccount = 8\n\
        client = [{ tenant = \"a\", rate = 8, cost = 1, spread = 1 },\
            { tenant = \"b\", rate = 8, cost = 1, spread = 1, retry = 1 }]";
    let lines = parsed("account", story);
    assert!(count(&lines, "dispatched") >= 300, "{}", lines.len());
}
