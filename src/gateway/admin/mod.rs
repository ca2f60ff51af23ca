//! The admin port: actions of operators, metrics, the dashboard, and the health endpoints of both ports.

pub(super) mod actions;
pub(super) mod dashboard;
mod guard;
pub(super) mod health;
pub(super) mod metrics;
