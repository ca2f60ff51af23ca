//! The simulator: a provider, its callers and a controller in virtual time.
//!
//! A [`Scenario`] says what the provider is (its capacity and how that moves), what is asked of it, and what a good
//! controller should reach. [`run()`] plays it for one [`Controller`] and one seed, in virtual time: an hour takes
//! milliseconds, and the same seed gives the same result to the last bit. Every controller stands behind the same
//! fair queue with the same backoff and meets the same jobs, so that only the gates differ.
//!
//! The simulator drives the pure machines of `core` and knows no runtime.
//!
//! ```
//! use fairflow::sim::{Controller, library, run};
//!
//! let scenario = library::find("cap-24")?;
//! let ours = run(&scenario, Controller::Fairflow, 1);
//! let best = run(&scenario, Controller::Oracle, 1);
//! assert!(ours.delivered / best.delivered > 0.9);
//! # Ok::<(), fairflow::sim::ScenarioError>(())
//! ```

mod bucket;
mod controller;
mod error;
pub mod fairness;
mod file;
mod gates;
pub mod library;
mod load;
mod measure;
mod observer;
mod provider;
mod read;
mod replica;
mod rivals;
mod rng;
mod routes;
mod run;
mod scenario;
mod scheduler;
mod steps;
mod summary;
mod world;

pub use bucket::RateSpec;
pub use controller::Controller;
pub use error::ScenarioError;
pub use file::ScenarioFile;
pub use load::{Arrival, Load};
pub use measure::Measure;
pub use provider::{Beyond, Competitors, Discipline, ProviderSpec};
pub use routes::{AccountSpec, RouteSpec};
pub use run::{Run, Sample};
pub use scenario::{Retry, Scenario, Service, WindowSpec};
pub use scheduler::{Flight, RouteStart, Scheduler, Step};
pub use steps::Steps;
pub use summary::{Spread, Summary, summarize};
pub use world::run;
