//! A model, as callers and actors share it.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::sync::watch;

use crate::clock::Clock;
use crate::config::{ModelSettings, RouteSettings};
use crate::core::cost::Cost;
use crate::core::ledger::Money;
use crate::core::retry::RetryBudget;
use crate::core::route::{Gates, Memory};
use crate::core::tariff::Tariff;
use crate::core::time::Time;
use crate::core::window::ChangeKind;
use crate::engine::shared::ledger::Ledger;
use crate::engine::shared::touched::{Mark, Touched};
use crate::engine::ticket::door::Door;
use crate::engine::ticket::gate::Gate;
use crate::engine::ticket::messages::QueueMessage;
use crate::engine::view::capacity::{ModelCapacity, RouteCapacity, route_capacity};
use crate::engine::view::events::{EventKind, Hub, Tap};
use crate::engine::view::overrides::Override;
use crate::engine::view::stats::Stats;

/// A model, as its callers and its actors share it. It outlives restarts of its actors.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) name: Arc<str>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) stats: Arc<Stats>,
    /// The last snapshot that the queue has published, at most a second old: what restarts remember.
    pub(crate) capacity: watch::Sender<ModelCapacity>,
    pub(crate) tap: Tap,
    pub(crate) ledger: Arc<Ledger>,
    tariff: Mutex<Tariff>,
    /// Whether a job waits that could go now: written by the queue, read by dispatchers when an attempt ends.
    pub(crate) backlog: Arc<AtomicBool>,
    settings: RwLock<Arc<ModelSettings>>,
    operator: RwLock<Override>,
    pub(crate) queue: Arc<Door<QueueMessage>>,
    touched: Arc<Touched>,
    mark: Mark,
}

impl Model {
    pub(crate) fn new(
        settings: Arc<ModelSettings>,
        clock: Clock,
        hub: Arc<Hub>,
        ledger: Arc<Ledger>,
        touched: Arc<Touched>,
    ) -> Self {
        let tap = Tap { hub, clock, model: settings.name.clone() };
        let capacity = ModelCapacity::new(settings.name.clone(), settings.queue.capacity);
        Self {
            name: settings.name.clone(),
            gate: Arc::default(),
            stats: Arc::default(),
            capacity: watch::Sender::new(capacity),
            tap,
            tariff: Mutex::new(ledger.tariff(&settings.name)),
            ledger,
            backlog: Arc::default(),
            settings: RwLock::new(settings),
            operator: RwLock::default(),
            queue: Arc::default(),
            touched,
            mark: Mark::default(),
        }
    }

    /// Notes that the model did something, or changed.
    pub(crate) fn touch(&self) {
        self.touched.add(&self.name, &self.mark);
    }

    /// Shows the model as it is before its first request; `memory` is what its routes begin with. Windows that differ
    /// from those that it showed before are told as changed.
    pub(crate) fn show_resting(&self, memory: impl Fn(&RouteSettings) -> Memory) {
        let settings = self.settings();
        let view = |route: &RouteSettings| {
            let view = Gates::recalled(settings.window, memory(route), Time::ZERO).view(Time::ZERO);
            route_capacity(&route.provider, &route.model, &view, Time::ZERO)
        };
        let routes: Vec<_> = settings.routes.iter().map(view).collect();
        let window = routes.iter().map(|route| route.window).sum();
        let snapshot = ModelCapacity::new(self.name.clone(), settings.queue.capacity);
        let before = self.capacity.send_replace(ModelCapacity { routes: routes.clone(), window, ..snapshot });
        for route in &routes {
            let same = |before: &&RouteCapacity| before.provider == route.provider && before.model == route.model;
            let from = before.routes.iter().find(same).map(|before| before.window);
            if let Some(from) = from.filter(|from| *from != route.window) {
                let (kind, to) = (ChangeKind::Reconfigured, route.window);
                self.stats.window_change(kind);
                let provider = || route.provider.clone();
                self.tap.decide(|| EventKind::WindowChanged { provider: provider(), kind, from, to, probe_in: None });
            }
        }
        self.stats.set_retry_budget(RetryBudget::new(settings.retry_budget).remaining(Time::ZERO));
        self.touch();
    }

    /// Returns a snapshot that is at most 50 ms old; a second, where another thread is about to take one.
    pub(crate) fn snapshot(&self) -> ModelCapacity {
        self.queue.send(QueueMessage::Show);
        self.capacity.borrow().clone()
    }

    /// Follows the model's snapshots, from the present one on.
    pub(crate) fn follow(&self) -> watch::Receiver<ModelCapacity> {
        let snapshots = self.capacity.subscribe();
        self.queue.send(QueueMessage::Show);
        snapshots
    }

    /// Returns what answers cost, as far as that was learned.
    pub(crate) fn tariff(&self) -> Tariff {
        *self.tariff.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Learns what a request did cost.
    pub(crate) fn learn_tariff(&self, priced: Option<f64>, units: Cost, paid: Money) {
        self.tariff.lock().unwrap_or_else(PoisonError::into_inner).learn(priced, units, paid);
    }

    pub(crate) fn settings(&self) -> Arc<ModelSettings> {
        self.settings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_settings(&self, settings: Arc<ModelSettings>) {
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = settings;
    }

    /// Returns what an operator has set.
    pub(crate) fn operator(&self) -> Override {
        *self.operator.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_operator(&self, standing: Override) {
        *self.operator.write().unwrap_or_else(PoisonError::into_inner) = standing;
    }
}
