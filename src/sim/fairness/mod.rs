//! Scenarios of fairness: tenants that share a given number of slots.
//!
//! Where a [`sim::Scenario`](super::Scenario) asks how well a controller finds a provider's capacity, one of fairness says
//! how many slots there are and asks who gets them: [`play()`] plays it, and its [`Report`] tells each [`Figure`] that the
//! scenario expects. The broker decides, as ever; in place of a route stand gates that know the slots.
//!
//! `tests/scenarios/fairness` has the published ones.

mod client;
mod expect;
mod play;
mod report;
mod scenario;

pub use self::client::Client;
pub use self::expect::{Expect, Figure};
pub use self::play::play;
pub use self::report::{Promise, Report};
pub use self::scenario::Scenario;
