//! Callers, well-behaved and odd, each asking again as soon as it has heard.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::dice::Dice;
use crate::door::Door;
use crate::heard::Heard;
use crate::provider::fate;
use crate::tally::{Tally, Told};

/// Attempts of a request, and the time of each.
pub const ATTEMPTS: u32 = 4;
pub const TIMEOUT: Duration = Duration::from_secs(3);
/// Longest wait that callers allow.
pub const GOOD_WAIT: Duration = Duration::from_secs(20);
pub const ODD_WAIT: Duration = Duration::from_secs(4);
/// How the story of a request begins that had no end.
pub const UNHEARD: &str = "nothing within";
pub const BROKE_OFF: &str = "the gateway broke off";
/// How long the odd ones stay when the run is over.
const LAST_CALL: Duration = Duration::from_secs(2);
/// What a loaded machine may add.
const SLACK: Duration = Duration::from_secs(10);

/// A crowd of callers of one tenant.
#[derive(Debug, Clone)]
pub struct Crowd {
    pub model: &'static str,
    pub tenant: String,
    pub callers: usize,
    pub odd: bool,
}

/// Where a crowd asks, until when, and who notes what it heard.
#[derive(Clone)]
pub struct Site {
    pub http: reqwest::Client,
    pub url: String,
    pub seed: u64,
    /// Whether the odd are treated oddly.
    pub odd: bool,
    pub ends: Instant,
    pub tally: Arc<Tally>,
}

impl Crowd {
    /// Lets all callers ask until the end; returns when each has heard its last answer.
    pub async fn run(self, site: Site) {
        let callers = (0..self.callers).map(|number| tokio::spawn(caller(self.clone(), number, site.clone())));
        for caller in callers.collect::<Vec<_>>() {
            caller.await.unwrap();
        }
    }
}

async fn caller(crowd: Crowd, number: usize, site: Site) {
    let name = if crowd.odd { "poison" } else { "good" };
    let mut dice = Dice::of(site.seed, &format!("{} {} {number}", crowd.model, crowd.tenant));
    let mut request = 0;
    while Instant::now() < site.ends {
        request += 1;
        let prompt = format!("{name} {} {} {number} {request}", crowd.model, crowd.tenant);
        let stream = dice.chance(0.5);
        // Some of the odd ones do not wait for the end.
        let mut patience = if crowd.odd && dice.chance(0.1) {
            Duration::from_secs_f64(dice.between(0.0, 0.6))
        } else {
            bound(crowd.odd)
        };
        if crowd.odd {
            patience = patience.min(site.ends.duration_since(Instant::now()) + LAST_CALL);
        }
        let began = Instant::now();
        let heard = tokio::time::timeout(patience, ask(&crowd, &site, &prompt, stream)).await;
        let told = match heard {
            Ok(heard) => Told::Heard(heard),
            Err(_) if patience < bound(crowd.odd) => Told::Left,
            Err(_) => Told::Heard(Err(format!("{UNHEARD} {patience:?}"))),
        };
        let refused = !matches!(told, Told::Heard(Ok(Heard::Served)));
        let known = crowd.odd && site.odd && Door::of(crowd.model) == Door::Chat;
        let met = known.then(|| fate(site.seed, &prompt, stream).1);
        site.tally.note(&crowd, &prompt, met, began, told);
        if refused {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// By when each caller has heard: it waited as long as it may, and then all attempts ran into their timeout.
fn bound(odd: bool) -> Duration {
    (if odd { ODD_WAIT } else { GOOD_WAIT }) + ATTEMPTS * TIMEOUT + SLACK
}

async fn ask(crowd: &Crowd, site: &Site, prompt: &str, stream: bool) -> Result<Heard, String> {
    let wait = if crowd.odd { ODD_WAIT } else { GOOD_WAIT };
    let door = Door::of(crowd.model);
    let (path, body) = door.request(crowd.model, prompt, stream);
    let request = site.http.post(format!("{}{path}", site.url)).header("x-fairflow-tenant", &crowd.tenant);
    let request = request.header("x-fairflow-max-wait", wait.as_millis().to_string()).body(body.to_string());
    let broke = |error: reqwest::Error| format!("{BROKE_OFF}: {error:?}");
    let answer = request.send().await.map_err(broke)?;
    let header =
        |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let (status, reason, kind) = (answer.status().as_u16(), header("x-fairflow-reason"), header("content-type"));
    let body = answer.bytes().await.map_err(broke)?;
    door.judge(status, &reason, &kind, &body, prompt, stream)
}
