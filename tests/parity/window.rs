//! The window of the dispatcher moves as that of the simulator: at the same times, for the same reasons.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use fairflow::config::Config;
use fairflow::core::window::Change;
use fairflow::events::EventKind;
use fairflow::provider::{Attempt, Failure, Outcome};
use fairflow::sim::{Arrival, Controller, Load, Scenario, run};
use fairflow::{Error, Fairflow};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::random::Random;
use fairflow::testing::paused;

/// One move of the window: when, in milliseconds, and which.
type Move = (u64, Change);

/// A scenario of `src/sim` whose jobs all come at the beginning, one each millisecond, and take what a seed says.
fn scenario(provider: &str, seconds: u32, jobs: u32, seed: u64) -> Scenario {
    // Backoff is drawn by chance from other sources, so it stays within one tick of the clock.
    let text = format!(
        "about = \"parity\"\nseconds = {seconds}.0\n[provider]\n{provider}\n[service]\nmedian = 1.0\nsigma = 0.0\n\
         [retry]\nbase = 0.001\nmax = 0.001\n[[load]]\nkind = \"closed\"\nclients = 1\n"
    );
    let mut scenario = Scenario::parse("parity", &text).unwrap();
    let mut random = Random(seed);
    let arrivals = (1..=jobs).map(|n| {
        let service = (1e4 * (0.5 * random.normal()).exp()).round();
        Arrival { at: Duration::from_millis(n.into()), tenant: "t".into(), size: service / 1e3 }
    });
    scenario.load = vec![Load::Arrivals(arrivals.collect())];
    scenario
}

fn simulated(scenario: &Scenario) -> Vec<Move> {
    let run = run(scenario, Controller::Fairflow, 1);
    run.changes.iter().map(|(at, _, change)| ((at * 1e3).round() as u64, *change)).collect()
}

/// One of those that are admitted, until it is dropped.
struct Slot<'a>(&'a Mutex<u32>);

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        *self.0.lock().unwrap() -= 1;
    }
}

/// The provider of a scenario, on tokio's clock.
struct Provider {
    scenario: Scenario,
    origin: Instant,
    admitted: Mutex<u32>,
    servers: Semaphore,
}

#[allow(clippy::disallowed_methods, reason = "the clock of the test")]
impl Provider {
    fn new(scenario: &Scenario) -> Self {
        let servers = scenario.provider.servers.at(0.0).min(1e6) as usize;
        let (scenario, origin) = (scenario.clone(), Instant::now());
        Self { scenario, origin, admitted: Mutex::new(0), servers: Semaphore::new(servers) }
    }

    async fn refuse(&self, outcome: Outcome) -> Result<(), Failure> {
        tokio::time::sleep(Duration::from_secs_f64(self.scenario.provider.refusal)).await;
        Err(Failure::new(outcome, ""))
    }

    /// Everything in flight fails when an outage begins.
    async fn outage(&self) {
        let t = self.origin.elapsed().as_secs_f64();
        match self.scenario.provider.outages.iter().find(|(from, _)| *from > t) {
            Some((from, _)) => tokio::time::sleep_until(self.origin + Duration::from_secs_f64(*from)).await,
            None => std::future::pending().await,
        }
    }

    async fn serve(&self, work: Duration) -> Result<(), Failure> {
        let spec = &self.scenario.provider;
        let t = self.origin.elapsed().as_secs_f64();
        if spec.outages.iter().any(|(from, to)| (*from..*to).contains(&t)) {
            return self.refuse(Outcome::Overloaded).await;
        }
        if f64::from(*self.admitted.lock().unwrap()) >= spec.cap.at(t) {
            return self.refuse(Outcome::Throttled).await;
        }
        *self.admitted.lock().unwrap() += 1;
        let slot = Slot(&self.admitted);
        let served = async {
            let _server = self.servers.acquire().await.unwrap();
            tokio::time::sleep(work).await;
        };
        let failed = tokio::select! {
            () = served => false,
            () = self.outage() => true,
        };
        drop(slot);
        if failed { self.refuse(Outcome::Overloaded).await } else { Ok(()) }
    }
}

#[allow(clippy::disallowed_methods, reason = "the clock of the test")]
fn actors(scenario: &Scenario) -> Vec<Move> {
    let config = Config::from_toml(&format!(
        "[providers.p]\nkind = \"sim\"\n[models.m]\nroutes = [{{ provider = \"p\" }}]\ntimeout = \"{}s\"\n\
         queue = {{ capacity = 1000000, max_wait = \"1000h\" }}\nretry = {{ base = \"1ms\", max = \"1ms\" }}\n",
        scenario.timeout.unwrap_or(1e6)
    ));
    let Load::Arrivals(arrivals) = &scenario.load[0] else { panic!("arrivals") };
    paused(async {
        let origin = Instant::now();
        let fairflow = Fairflow::builder(config.unwrap()).seed(1).start_here().await.unwrap();
        let (mut decisions, moves) = (fairflow.decisions(), Arc::new(Mutex::new(Vec::new())));
        let heard = moves.clone();
        actix::spawn(async move {
            while let Some(event) = decisions.next().await {
                let event = event.expect("no listener is quicker");
                if let EventKind::WindowChanged { kind, from, to, .. } = event.kind {
                    heard.lock().unwrap().push(((event.at - origin).as_millis() as u64, Change { kind, from, to }));
                }
            }
        });
        let provider = Arc::new(Provider::new(scenario));
        for arrival in arrivals {
            let (provider, work) = (provider.clone(), Duration::from_secs_f64(arrival.size));
            let closure = move |_: Attempt| {
                let provider = provider.clone();
                async move { provider.serve(work).await }
            };
            // The simulator predicts by size, in hundredths.
            let cost = (arrival.size * 100.0).round() as u64;
            let (call, at) = (fairflow.call("m", closure).tenant("t").cost(cost), origin + arrival.at);
            actix::spawn(async move {
                tokio::time::sleep_until(at).await;
                match call.await {
                    Ok(()) | Err(Error::RetriesExhausted { .. } | Error::UpstreamTimeout { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            });
        }
        tokio::time::sleep_until(origin + Duration::from_secs_f64(scenario.seconds)).await;
        moves.lock().unwrap().clone()
    })
}

fn compare(name: &str, scenario: &Scenario, least: usize) {
    compare_moves(name, &simulated(scenario), &actors(scenario), least);
}

fn compare_moves(name: &str, simulated: &[Move], actors: &[Move], least: usize) {
    let first = simulated.iter().zip(actors).position(|(a, b)| a != b);
    if let Some(at) = first.or((simulated.len() != actors.len()).then(|| simulated.len().min(actors.len()))) {
        let near = |moves: &[Move]| moves[at.saturating_sub(3)..(at + 6).min(moves.len())].to_vec();
        panic!("{name}, move {at}\nsimulated: {:?}\nactors:    {:?}", near(simulated), near(actors));
    }
    println!("{name:<26} {:>6} moves are the same", actors.len());
    assert!(actors.len() >= least, "{name}: only {} moves", actors.len());
}

#[test]
fn a_hard_cap() {
    compare("cap 24", &scenario("cap = 24", 1200, 3_200, 1), 10);
}

#[test]
fn a_cap_that_moves() {
    compare("cap 24, 8, 48", &scenario("cap = [[0, 24], [400, 8], [800, 48]]", 1200, 3_600, 2), 20);
}

#[test]
fn a_silent_queue() {
    compare("queue 16", &scenario("servers = 16", 1200, 2_400, 3), 5);
}

#[test]
fn attempts_that_time_out() {
    let mut scenario = scenario("cap = 24", 900, 3_000, 5);
    scenario.timeout = Some(25.0);
    compare("timeouts", &scenario, 20);
}

#[test]
fn a_window_that_idles() {
    let mut scenario = scenario("cap = 24", 1200, 600, 6);
    let Some(Load::Arrivals(arrivals)) = scenario.load.first_mut() else { panic!("arrivals") };
    for arrival in &mut arrivals[300..] {
        arrival.at += Duration::from_secs(600);
    }
    compare("idle", &scenario, 20);
}

#[test]
fn a_backlog_that_arrives_in_one_instant() {
    let mut scenario = scenario("cap = 24", 600, 2_000, 7);
    let Some(Load::Arrivals(arrivals)) = scenario.load.first_mut() else { panic!("arrivals") };
    for arrival in arrivals {
        arrival.at = Duration::from_millis(1);
    }
    compare("at once", &scenario, 20);
}

/// How long a closed route rests before a probe is drawn by chance, from other sources, and with it how many probes
/// there are and which jobs are served first afterwards. So the first move after the outage, which leaves the window as
/// it was, is told without its time, and none after that. The first of the two is that time.
fn without_rests(moves: &[Move], ended: u64) -> (u64, Vec<Move>) {
    let next = moves.iter().position(|(at, _)| *at > ended).expect("it is used again");
    let timeless = |(at, change): Move| (if at <= ended { at } else { 0 }, change);
    (moves[next].0, moves[..=next].iter().copied().map(timeless).collect())
}

#[test]
fn an_outage() {
    let scenario = scenario("cap = 24\noutages = [[400, 460]]", 900, 2_400, 4);
    let simulated = without_rests(&simulated(&scenario), 460_000);
    let actors = without_rests(&actors(&scenario), 460_000);
    compare_moves("outage", &simulated.1, &actors.1, 20);
    let apart = simulated.0.abs_diff(actors.0);
    // The window moves again after whole windows of completions, which the chance of the rest shifts.
    assert!(apart < 150_000, "the window moves {apart} ms apart");
}
