//! Checks `[models]`: what a model leaves out comes from `[defaults]`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::file::{self, ModelConfig, RouteConfig};
use super::settings::{ModelSettings, RouteSettings};
use super::{price, queue};
use crate::config::check::Check;
use crate::config::file::Defaults;
use crate::core::retry::Backoff;
use crate::core::window::WindowConfig;

pub(in crate::config) fn model(
    check: &mut Check,
    path: &str,
    name: &str,
    raw: &ModelConfig,
    defaults: &Defaults,
) -> ModelSettings {
    // A key of a table falls back on its own: `queue = { capacity = 5 }` keeps the default max_wait.
    let (queue, queue_default) = (raw.queue.unwrap_or_default(), defaults.queue.unwrap_or_default());
    let (retry, retry_default) = (raw.retry.unwrap_or_default(), defaults.retry.unwrap_or_default());
    let (window, window_default) = (raw.window.unwrap_or_default(), defaults.window.unwrap_or_default());
    let at = |key: &str| format!("{path}.{key}");
    let backoff = Backoff {
        base: check.span(&at("retry.base"), retry.base.or(retry_default.base), Duration::from_secs(1)),
        max: check.span(&at("retry.max"), retry.max.or(retry_default.max), Duration::from_secs(30)),
    };
    if backoff.base > backoff.max {
        let problem = format!("{:?} is above retry.max {:?}", backoff.base, backoff.max);
        check.problem(at("retry.base"), problem);
    }
    let route = |route: &RouteConfig| RouteSettings {
        provider: route.provider.as_str().into(),
        model: route.model.as_deref().unwrap_or(name).into(),
    };
    ModelSettings {
        name: name.into(),
        routes: raw.routes.iter().map(route).collect(),
        queue: queue::limits(check, &at("queue"), &queue, &queue_default),
        reserve: BTreeMap::new(),
        max_wait: check.span(&at("queue.max_wait"), queue.max_wait.or(queue_default.max_wait), Duration::from_secs(60)),
        window: check_window(check, &at("window"), &window, &window_default),
        max_attempts: check.count(&at("retry.max_attempts"), retry.max_attempts.or(retry_default.max_attempts), 4),
        backoff,
        resubmit: retry.resubmit.or(retry_default.resubmit).unwrap_or(false),
        retry_budget: check.fraction(&at("retry.budget"), retry.budget.or(retry_default.budget).unwrap_or(0.2)),
        timeout: check.span(&at("timeout"), raw.timeout.or(defaults.timeout), Duration::from_secs(120)),
        healthy_latency: check.span(
            &at("healthy_latency"),
            raw.healthy_latency.or(defaults.healthy_latency),
            Duration::from_secs(30),
        ),
        price: raw.price.map(|raw| price::read(check, &at("price"), &raw)),
        paused: false,
    }
}

fn check_window(check: &mut Check, path: &str, raw: &file::WindowConfig, default: &file::WindowConfig) -> WindowConfig {
    let at = |key: &str| format!("{path}.{key}");
    let least = check.count(&at("min"), raw.min.or(default.min), 1);
    let most = check.count(&at("max"), raw.max.or(default.max), 256.max(least));
    if least > most {
        check.problem(at("min"), format!("{least} is above max {most}; give min ≤ max"));
        return WindowConfig { initial: least, min: least, max: least, ..WindowConfig::default() };
    }
    let start = check.count(&at("initial"), raw.initial.or(default.initial), 4.clamp(least, most));
    if !(least..=most).contains(&start) {
        check.problem(at("initial"), format!("{start} is outside min {least} to max {most}"));
    }
    let usual = WindowConfig::default();
    let ramp = raw.ramp.or(default.ramp).unwrap_or(usual.ramp);
    if !(1..=8).contains(&ramp) {
        check.problem(at("ramp"), format!("{ramp} is out of range; give 1 to 8 requests per success"));
    }
    let target = raw.latency_target.or(default.latency_target);
    WindowConfig {
        initial: start.clamp(least, most),
        min: least,
        max: most,
        ramp,
        refusals_free: raw.refusals_free.or(default.refusals_free).unwrap_or(usual.refusals_free),
        latency_target: target.map(|target| check.span(&at("latency_target"), Some(target), target.0)),
    }
}
