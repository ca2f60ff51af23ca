//! Capacity snapshots of models, as the outside sees them.

use std::sync::Arc;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::core::broker::{RouteView, ServiceTimes};
pub use crate::core::broker::{Status, Trend};
use crate::core::estimate::Forecast;
use crate::core::fair_queue::{Grant, Reservation};
use crate::core::health::RouteState;
use crate::core::route::Memory;
use crate::core::time::Time;
pub use crate::core::window::Phase;

/// Writes an enum as its name, and reads it back.
macro_rules! serde_by_name {
    ($($name:ident),+) => {
        $(impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let told = String::deserialize(deserializer)?;
                let known = Self::ALL.iter().copied().find(|one| one.as_str() == told);
                known.ok_or_else(|| D::Error::custom(format_args!("{told:?} is no {}", stringify!($name))))
            }
        })+
    };
}

/// Names the variants of an enum on the wire.
macro_rules! named {
    ($name:ident: $($variant:ident $text:literal),+) => {
        impl $name {
            /// Every variant.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Returns the name as it is written.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text),+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

/// Whether a route takes requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RouteStatus {
    /// Requests go there.
    Open,
    /// The provider asked for a pause, or a rate is used up.
    Held,
    /// A quota, money or the account holds the route for long.
    Suspended,
    /// The breaker has closed the route.
    Closed,
    /// A single request tests whether the route works again.
    Probing,
    /// An operator has stopped it.
    Paused,
}

named!(RouteStatus: Open "open", Held "held", Suspended "suspended", Closed "closed", Probing "probing", Paused "paused");

/// Whether a reservation is guaranteed in full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReserveStatus {
    /// All slots that were asked for are guaranteed.
    Full,
    /// Nothing is known of the capacity yet.
    Untried,
    /// All reservations together exceed 0.8 of the learned capacity: each is cut by weight.
    Scaled,
}

named!(ReserveStatus: Full "full", Untried "untried", Scaled "scaled");

serde_by_name!(Status, Trend, Phase, RouteStatus, ReserveStatus);

/// Returns the phase of a window that has just begun, for snapshots that say none.
fn first_phase() -> Phase {
    Phase::SlowStart
}

/// Milliseconds: the median and the ninetieth percentile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[non_exhaustive]
pub struct Millis {
    /// Median.
    pub p50: u64,
    /// Ninetieth percentile.
    pub p90: u64,
}

impl Millis {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
    pub(crate) fn from_seconds(p50: f64, p90: f64) -> Self {
        Self { p50: (p50 * 1e3).round() as u64, p90: (p90 * 1e3).round() as u64 }
    }
}

impl From<Forecast> for Millis {
    fn from(forecast: Forecast) -> Self {
        Self::from_seconds(forecast.p50, forecast.p90)
    }
}

/// Service times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Processing {
    /// Median, milliseconds.
    pub p50: u64,
    /// Ninetieth percentile, milliseconds.
    pub p90: u64,
    /// Ninety-ninth percentile, milliseconds.
    #[serde(default)]
    pub p99: u64,
    /// Direction in which they move.
    pub trend: Trend,
}

impl From<ServiceTimes> for Processing {
    fn from(times: ServiceTimes) -> Self {
        let ServiceTimes { p50, p90, p99, trend } = times;
        let Millis { p50, p90 } = Millis::from_seconds(p50, p90);
        Self { p50, p90, p99: Millis::from_seconds(p99, 0.0).p50, trend }
    }
}

/// A route of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct RouteCapacity {
    /// Provider account.
    pub provider: Arc<str>,
    /// The model's name there.
    pub model: Arc<str>,
    /// Whether it takes requests.
    pub state: RouteStatus,
    /// Why it is suspended, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Requests it may have in flight.
    pub window: u32,
    /// Requests it has in flight.
    pub in_flight: u32,
    /// Milliseconds until a hold or a closure ends; 0 without one.
    pub hold_until_ms: u64,
    /// Requests per second at which the provider refused last, where refusals told a rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learned_rate: Option<f64>,
    /// Whether the median service time is above `window.latency_target` although the window is at its minimum.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub misses_latency_target: bool,
    /// The phase that its window is in.
    #[serde(default = "first_phase")]
    pub phase: Phase,
}

impl RouteCapacity {
    /// Returns what is worth remembering.
    pub(crate) fn memory(&self) -> Memory {
        Memory { window: Some(self.window).filter(|window| *window > 0), rate: self.learned_rate }
    }
}

/// Load of the calling tenant, and its expected wait.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TenantCapacity {
    /// Its name.
    pub tenant: Arc<str>,
    /// Requests waiting.
    pub queued: u32,
    /// Requests in flight.
    pub in_flight: u32,
    /// Its weight.
    pub weight: f64,
    /// Its cap on flight, if it has one.
    pub max_in_flight: Option<u32>,
    /// Its tier by now, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<Arc<str>>,
    /// How it stands with its budget, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetCapacity>,
    /// Slots reserved for it, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserve: Option<ReserveCapacity>,
    /// Wait of a request submitted now.
    pub estimated_wait_ms: Millis,
}

/// Budget of a tenant and its use on the present UTC day, over all models, in US dollars.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct BudgetCapacity {
    /// Budget.
    pub dollars_per_day: f64,
    /// Cost of its answers.
    pub spent: f64,
    /// Expected cost of its requests under way.
    pub reserved: f64,
    /// Milliseconds until midnight UTC.
    pub renews_in_ms: u64,
}

/// A tenant's reservation: what was asked for and what is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ReserveCapacity {
    /// Slots asked for.
    pub slots: u32,
    /// Slots guaranteed now.
    pub granted: u32,
    /// Of those, how many it uses; the others are lent while they are needed.
    pub in_use: u32,
    /// Whether all of them are guaranteed, and why not.
    pub state: ReserveStatus,
}

impl ReserveCapacity {
    pub(crate) fn new(reserved: Reservation, in_flight: u32) -> Self {
        let state = match reserved.reason {
            Grant::Full => ReserveStatus::Full,
            Grant::Untried => ReserveStatus::Untried,
            Grant::Scaled { .. } => ReserveStatus::Scaled,
        };
        let in_use = in_flight.min(reserved.granted);
        Self { slots: reserved.asked, granted: reserved.granted, in_use, state }
    }
}

/// The reservations of a model, all together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ReservedCapacity {
    /// Slots asked for.
    pub slots: u32,
    /// Slots guaranteed now.
    pub granted: u32,
    /// Of those, slots in use by those who reserved them.
    pub in_use: u32,
    /// Of those, slots in use by others meanwhile.
    pub lent: u32,
}

impl ReservedCapacity {
    /// Adds up reservations, each with what its tenant has in flight, where `free` slots are idle; `None` without any.
    pub(crate) fn sum(all: impl Iterator<Item = (Reservation, u32)>, free: u32) -> Option<Self> {
        let mut sum: Option<Self> = None;
        for (one, in_flight) in all {
            let sum = sum.get_or_insert(Self { slots: 0, granted: 0, in_use: 0, lent: 0 });
            sum.slots = sum.slots.saturating_add(one.asked);
            sum.granted = sum.granted.saturating_add(one.granted);
            sum.in_use = sum.in_use.saturating_add(in_flight.min(one.granted));
        }
        // Idle slots are the first to be given back, so only what exceeds them is in others' use.
        sum.map(|sum| Self { lent: (sum.granted - sum.in_use).saturating_sub(free), ..sum })
    }
}

/// A live snapshot of one model, as `/v1/capacity` serves it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ModelCapacity {
    /// The name callers use.
    pub model: Arc<str>,
    /// Health in one word.
    pub status: Status,
    /// Whether an operator has stopped it: nothing is dispatched, and what comes waits.
    #[serde(default)]
    pub paused: bool,
    /// Requests at which an operator holds each route's window.
    #[serde(default)]
    pub pinned_window: Option<u32>,
    /// Requests waiting.
    pub queue_depth: usize,
    /// Most that may wait.
    pub queue_capacity: usize,
    /// Tenants with something waiting or in flight.
    pub active_tenants: usize,
    /// Requests in flight over all routes.
    pub in_flight: u32,
    /// Requests that may be in flight over all routes.
    pub window: u32,
    /// Successes per second, over the last ten or so.
    pub throughput_per_second: f64,
    /// Wait of a request submitted now by a tenant without backlog.
    pub estimated_wait_ms: Millis,
    /// Service times.
    pub processing_ms: Processing,
    /// Its routes.
    pub routes: Vec<RouteCapacity>,
    /// Slots reserved by tenants, where there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserved: Option<ReservedCapacity>,
    /// The caller, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub you: Option<TenantCapacity>,
}

impl ModelCapacity {
    pub(crate) fn new(model: Arc<str>, queue_capacity: usize) -> Self {
        Self {
            model,
            status: Status::Healthy,
            paused: false,
            pinned_window: None,
            queue_depth: 0,
            queue_capacity,
            active_tenants: 0,
            in_flight: 0,
            window: 0,
            throughput_per_second: 0.0,
            estimated_wait_ms: Millis::default(),
            processing_ms: Processing { p50: 0, p90: 0, p99: 0, trend: Trend::Steady },
            routes: Vec::new(),
            reserved: None,
            you: None,
        }
    }

    /// Returns how many of its routes may be sent to now.
    #[must_use]
    pub fn open_routes(&self) -> usize {
        self.routes.iter().filter(|route| matches!(route.state, RouteStatus::Open | RouteStatus::Probing)).count()
    }
}

/// Load of a tenant on a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TenantLoad {
    /// The tenant's name.
    pub tenant: Arc<str>,
    /// Requests waiting.
    pub queued: u32,
    /// Requests in flight.
    pub in_flight: u32,
}

/// Answer to an inquiry about one tenant.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct TenantView {
    pub(crate) queued: u32,
    pub(crate) in_flight: u32,
    pub(crate) wait: Forecast,
    pub(crate) reserved: Option<Reservation>,
}

/// Names a route's state for people: a hold is more telling than "open".
pub(crate) fn route_capacity(provider: &Arc<str>, model: &Arc<str>, view: &RouteView, now: Time) -> RouteCapacity {
    let until = view.closed_until();
    let reason = view.suspension.filter(|_| view.hold_until > now);
    let state = match view.state {
        _ if view.paused => RouteStatus::Paused,
        _ if reason.is_some() => RouteStatus::Suspended,
        RouteState::Open if until > now => RouteStatus::Held,
        RouteState::Open => RouteStatus::Open,
        RouteState::Closed { .. } => RouteStatus::Closed,
        RouteState::Probing => RouteStatus::Probing,
    };
    let wait: Duration = until.since(now);
    RouteCapacity {
        provider: provider.clone(),
        model: model.clone(),
        state,
        reason: reason.map(str::to_owned),
        window: view.window,
        in_flight: view.in_flight,
        hold_until_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
        learned_rate: view.rate,
        misses_latency_target: view.misses_target,
        phase: view.phase,
    }
}
