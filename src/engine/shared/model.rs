//! A model, as callers and actors share it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::sync::watch;

use crate::clock::Clock;
use crate::config::ModelSettings;
use crate::core::cost::Cost;
use crate::core::ledger::Money;
use crate::core::tariff::Tariff;
use crate::engine::shared::ledger::Ledger;
use crate::engine::ticket::door::Door;
use crate::engine::ticket::gate::Gate;
use crate::engine::ticket::messages::QueueMessage;
use crate::engine::view::capacity::ModelCapacity;
use crate::engine::view::events::{Hub, Tap};
use crate::engine::view::overrides::Override;
use crate::engine::view::stats::Stats;

/// A model, as its callers and its actors share it. It outlives restarts of its actors.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) name: Arc<str>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) capacity: watch::Sender<ModelCapacity>,
    pub(crate) tap: Tap,
    pub(crate) ledger: Arc<Ledger>,
    tariff: Mutex<Tariff>,
    /// Whether a job waits that could go now: written by the queue, read by dispatchers when an attempt ends.
    pub(crate) backlog: Arc<AtomicBool>,
    settings: RwLock<Arc<ModelSettings>>,
    operator: RwLock<Override>,
    pub(crate) queue: Arc<Door<QueueMessage>>,
    /// Whether it did something, or changed, since somebody last asked.
    touched: AtomicBool,
}

impl Model {
    pub(crate) fn new(settings: Arc<ModelSettings>, clock: Clock, hub: Arc<Hub>, ledger: Arc<Ledger>) -> Self {
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
            touched: AtomicBool::new(true),
        }
    }

    /// Notes that the model did something, or changed.
    pub(crate) fn touch(&self) {
        self.touched.store(true, Ordering::Release);
    }

    /// Says whether the model did something, or changed, since this was last asked.
    #[cfg(feature = "gateway")]
    pub(crate) fn take_touch(&self) -> bool {
        // Of thousands most are idle, and are only read.
        self.touched.load(Ordering::Relaxed) && self.touched.swap(false, Ordering::Acquire)
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
