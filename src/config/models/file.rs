//! `[models.NAME]` as it is written.

use serde::{Deserialize, Serialize};

use super::price::PriceConfig;
use crate::config::units::Span;
use crate::core::fair_queue::Class;

/// `[models.NAME]`. What is left out comes from `[defaults]`, then from the default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct ModelConfig {
    /// Where it can be had; at least one.
    pub routes: Vec<RouteConfig>,
    /// Bounds of the queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueConfig>,
    /// Bounds of the window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<WindowConfig>,
    /// Attempts and backoff.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryConfig>,
    /// Longest one attempt may take; default 120s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// Service time (P90) up to which a model counts as healthy; default 30s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthy_latency: Option<Span>,
    /// Price of an answer whose provider does not state one; default unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<PriceConfig>,
}

/// A route: one way to reach a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RouteConfig {
    /// Name under `[providers]`.
    #[serde(default)]
    pub provider: String,
    /// The model's name there; default the same as here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// `queue = { … }`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct QueueConfig {
    /// Most requests waiting; default 10000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity: Option<u32>,
    /// Longest wait before dispatch; default 60s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_wait: Option<Span>,
    /// Share of each class, 0.001 to 1000; default 64, 16 and 4 for interactive, standard and batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class_weights: Option<Classes<f64>>,
    /// Most requests of each class waiting; default no limit but `capacity`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class_max_queued: Option<Classes<u32>>,
    /// By how much the interactive class may run ahead of its share, in largest costs, 0 to 2; default 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head_start: Option<f64>,
    /// Part of reserved but unclaimed slots that long jobs may not take, 0 to 1; default 0.25.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unlendable: Option<f64>,
    /// Expected service time above which a job is long; default 10s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub long: Option<Span>,
}

/// A value for each class: `{ interactive = …, standard = …, batch = … }`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct Classes<T> {
    /// Of the interactive class.
    #[serde(default = "nothing", skip_serializing_if = "Option::is_none")]
    pub interactive: Option<T>,
    /// Of the standard class.
    #[serde(default = "nothing", skip_serializing_if = "Option::is_none")]
    pub standard: Option<T>,
    /// Of the batch class.
    #[serde(default = "nothing", skip_serializing_if = "Option::is_none")]
    pub batch: Option<T>,
}

const fn nothing<T>() -> Option<T> {
    None
}

impl<T: Copy> Classes<T> {
    /// Returns the value of a class, where it is given.
    #[must_use]
    pub fn of(&self, class: Class) -> Option<T> {
        match class {
            Class::Interactive => self.interactive,
            Class::Standard => self.standard,
            Class::Batch => self.batch,
        }
    }
}

/// `window = { … }`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct WindowConfig {
    /// Requests in flight to begin with; default 4.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial: Option<u32>,
    /// Fewest in flight; default 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<u32>,
    /// Most in flight; default 256. Equal to `min` it pins the window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
    /// Requests that a cold window adds per success, 1 to 8; default 2. 1 where a provider punishes steep ramps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ramp: Option<u32>,
    /// Whether refusals cost nothing, so that capacity is probed about eight times as often; default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusals_free: Option<bool>,
    /// Median service time that the window gives way for, down to `min`; default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_target: Option<Span>,
}

/// `retry = { … }`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct RetryConfig {
    /// Attempts in all, the first included; default 4.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    /// Upper end of the first backoff; default 1s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<Span>,
    /// Upper end of any backoff; default 30s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<Span>,
    /// Retries per request, 0 to 1; default 0.2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<f64>,
    /// Sends media work again where the provider may have taken it already (the connection broke, the attempt timed
    /// out), so that it may be paid twice; default false. Providers with an idempotency key do not need it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resubmit: Option<bool>,
}
