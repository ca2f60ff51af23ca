//! Bounds and shares of a model's queue.

use super::file::{Classes, QueueConfig};
use crate::config::check::Check;
use crate::core::cost::Weight;
use crate::core::fair_queue::{Class, QueueLimits};

/// Reads `queue = { … }` of a model, where what it leaves out comes from `[defaults]`.
pub(super) fn limits(check: &mut Check, path: &str, own: &QueueConfig, defaults: &QueueConfig) -> QueueLimits {
    let at = |key: &str| format!("{path}.{key}");
    let default = QueueLimits::default();
    let capacity = check.count(&at("capacity"), own.capacity.or(defaults.capacity), 10_000);
    let mut class_weights = default.class_weights;
    let mut class_caps = default.class_caps;
    for &class in Class::ALL {
        let index = class.index();
        let of = |classes: &Option<Classes<f64>>| classes.and_then(|classes| classes.of(class));
        if let Some(given) = of(&own.class_weights).or(of(&defaults.class_weights)) {
            class_weights[index] = Weight::new(given).unwrap_or_else(|| {
                let key = at(&format!("class_weights.{}", class.as_str()));
                check.problem(key, format!("{given} is out of range; give a number from 0.001 to 1000"));
                Weight::ONE
            });
        }
        let of = |classes: &Option<Classes<u32>>| classes.and_then(|classes| classes.of(class));
        if let Some(given) = of(&own.class_max_queued).or(of(&defaults.class_max_queued)) {
            let key = at(&format!("class_max_queued.{}", class.as_str()));
            class_caps[index] = check.count(&key, Some(given), 1) as usize;
        }
    }
    let head_start = own.head_start.or(defaults.head_start).unwrap_or(default.head_start);
    if !(0.0..=2.0).contains(&head_start) {
        check.problem(at("head_start"), format!("{head_start} is out of range; give a number from 0 to 2"));
    }
    let unlendable = check.fraction(&at("unlendable"), own.unlendable.or(defaults.unlendable).unwrap_or(0.25));
    let long = check.span(&at("long"), own.long.or(defaults.long), default.long);
    QueueLimits { capacity: capacity as usize, class_weights, class_caps, head_start, unlendable, long }
}
