//! One gateway before one provider, with callers of both kinds: what it did with them, and what it left behind.

use std::collections::BTreeMap;
use std::fs::File;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};

use crate::load::{ATTEMPTS, Crowd, Site, TIMEOUT};
use crate::plan::Plan;
use crate::pool::{Meter, Pool};
use crate::provider::Provider;
use crate::socket;
use crate::support::{Beside, Gateway, client, json};
use crate::tally::Tally;

/// Time between two looks at what the gateway has in flight.
const LOOK_EVERY: Duration = Duration::from_millis(50);

pub struct World {
    gateway: Gateway,
    log: Beside,
    provider: Arc<Provider>,
    pools: Vec<Arc<Pool>>,
    tally: Arc<Tally>,
}

/// What a run came to.
pub struct Report {
    pub meters: BTreeMap<&'static str, Meter>,
    pub tally: Arc<Tally>,
    /// Resident bytes when a third had passed since warming up, and at the end.
    pub resident: (u64, u64),
    pub met: BTreeMap<&'static str, u64>,
}

impl World {
    pub async fn start(plan: &Plan, honest: bool, begun: Instant) -> Self {
        let crowds = plan.crowds();
        let pools = plan.pools().into_iter().map(|(name, phases)| {
            let asking = crowds.iter().filter(|crowd| name.ends_with(&format!("/{}", crowd.model)));
            // Each crowd is a tenant, and all weigh the same.
            let (odd, all) = asking.fold((0, 0), |(odd, all), crowd| (odd + u32::from(crowd.odd), all + 1));
            Pool::new(name, begun, phases, f64::from(odd) / f64::from(all))
        });
        let pools: Vec<_> = pools.collect();
        let provider = Provider::start(plan.seed, honest, pools.clone()).await;
        let log = Beside::new("soak.log");
        let file = File::create(&log.0).unwrap();
        let config = config(provider.port, socket::start(provider.clone()).await, &pools);
        let gateway = Gateway::start_with("", &config, |command| {
            command.stderr(Stdio::from(file));
        });
        let tally = Tally::new(pools.clone());
        Self { gateway, log, provider, pools, tally }
    }

    /// Lets everybody ask for as long as the plan says.
    pub async fn run(&self, plan: &Plan, begun: Instant) -> Report {
        let ends = begun + plan.length;
        let site = Site {
            http: client(),
            url: self.gateway.public.clone(),
            seed: plan.seed,
            odd: !self.provider.honest,
            ends,
            tally: self.tally.clone(),
        };
        let crowds: Vec<_> =
            plan.crowds().into_iter().map(|crowd: Crowd| tokio::spawn(crowd.run(site.clone()))).collect();
        let watching = self.watch(plan);
        tokio::time::sleep_until(begun + plan.warm).await;
        self.pools.iter().for_each(|pool| pool.meter());
        tokio::time::sleep_until(begun + plan.warm + (plan.length - plan.warm) / 3).await;
        let third = self.gateway.resident();
        tokio::time::sleep_until(ends).await;
        let meters = self.pools.iter().map(|pool| (pool.name, pool.stop())).collect();
        watching.iter().for_each(JoinHandle::abort);
        let resident = (third, self.gateway.resident());
        for crowd in crowds {
            crowd.await.unwrap();
        }
        Report { meters, tally: self.tally.clone(), resident, met: self.provider.met() }
    }

    /// Asks the gateway all the time what it has in flight of the odd tenants, and tells the pools.
    fn watch(&self, plan: &Plan) -> Vec<JoinHandle<()>> {
        let watch = |pool: &Arc<Pool>| {
            let of_model = |crowd: &Crowd| crowd.odd && crowd.model == pool.model();
            let odd: Vec<_> = plan.crowds().into_iter().filter(of_model).collect();
            let (pool, url) = (pool.clone(), format!("{}/v1/capacity/{}", self.gateway.public, pool.model()));
            let http = client();
            (!odd.is_empty()).then(|| {
                tokio::spawn(async move {
                    let mut ticks = tokio::time::interval(LOOK_EVERY);
                    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
                    loop {
                        ticks.tick().await;
                        let mut under_way = 0;
                        for crowd in &odd {
                            let asked = http.get(&url).header("x-fairflow-tenant", &crowd.tenant).send().await;
                            let told = json(asked.unwrap()).await;
                            under_way += told["models"][0]["you"]["inFlight"].as_u64().unwrap();
                        }
                        pool.under_way(under_way as usize);
                    }
                })
            })
        };
        self.pools.iter().filter_map(watch).collect()
    }

    /// Fails where anything is left: work, a slot, a connection, a panic.
    pub async fn leaves_nothing(mut self) {
        let side = if self.provider.honest { "control" } else { "odd" };
        let kept = std::env::var("FAIRFLOW_SOAK_LOG").map(|path| format!("{path}.{side}"));
        let models: Vec<_> = self.pools.iter().map(|pool| pool.model()).collect();
        for model in models {
            self.gateway.at_rest(model).await;
        }
        if let Ok(path) = &kept {
            let metrics = client().get(format!("{}/metrics", self.gateway.admin)).send().await.unwrap();
            std::fs::write(format!("{path}.metrics"), metrics.text().await.unwrap()).unwrap();
        }
        for pool in &self.pools {
            until(&format!("slots of {}", pool.name), || pool.busy() == 0).await;
        }
        self.gateway.terminate();
        assert!(self.gateway.ended().await, "the gateway ends badly:\n{}", self.log());
        until("connections to the provider", || self.provider.open() == 0).await;
        let log = self.log();
        if let Ok(path) = kept {
            std::fs::write(path, &log).unwrap();
        }
        let bad: Vec<_> = log.lines().filter(|line| line.contains("panicked") || line.contains("ERROR")).collect();
        assert!(bad.is_empty(), "{}", bad.join("\n"));
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log.0).unwrap()
    }
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..400 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what} leaked");
}

fn config(port: u16, socket: u16, pools: &[Arc<Pool>]) -> String {
    let (mut accounts, mut models) = (BTreeMap::new(), BTreeMap::<_, Vec<_>>::new());
    for pool in pools {
        let (account, model) = pool.name.split_once('/').unwrap();
        accounts.insert(account, ());
        models.entry(model).or_default().push(format!("{{ provider = {account:?} }}"));
    }
    let mut config = format!(
        "[defaults]\ntimeout = \"{}ms\"\nretry = {{ max_attempts = {ATTEMPTS}, base = \"50ms\", max = \"500ms\" }}\n\
         window.initial = 6\n",
        TIMEOUT.as_millis()
    );
    for account in accounts.into_keys() {
        let poll = "poll = { initial = \"20ms\", max = \"50ms\", per_second = 1000 }";
        let (kind, port, more) = match account {
            "bfl" => ("bfl", port, poll),
            "rest" => ("runware", port, poll),
            "socket" => ("runware", socket, "transport = \"websocket\""),
            _ => ("openai", port, ""),
        };
        config += &format!(
            "[providers.{account}]\nkind = {kind:?}\nbase_url = \"http://127.0.0.1:{port}/{account}/v1\"\n\
             api_key = {{ value = \"sk-of-the-soak\" }}\nmax_response = \"1MiB\"\n{more}\n"
        );
    }
    for (model, routes) in models {
        config += &format!("[models.{model}]\nroutes = [{}]\n", routes.join(", "));
    }
    config
}
