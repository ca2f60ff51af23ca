//! **fairflow** is a fair, self-tuning concurrency scheduler for AI generation.
//!
//! It stands between a service's many tenants and the providers that generate for them. Nobody tells it how much
//! capacity a provider has: it learns that from latency and from 429, 503 and 504. Tenants share what there is by
//! weight, whatever each of them throws at it. Overload shows as latency first and as an honest, timed refusal last.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use fairflow::task::ImageInference;
//! use fairflow::{Class, Config, Fairflow};
//! use std::time::Duration;
//!
//! // a simulated provider; in production Config::from_path("fairflow.toml")? or Config::new().provider(…).model(…)
//! let fairflow = Fairflow::builder(Config::demo()).start().await?;
//!
//! // typed tasks, made by a provider that fairflow speaks to
//! let image = fairflow
//!     .generate(ImageInference::new("sim-image", "a red fox at dawn").size(512, 512))
//!     .tenant("acme")
//!     .class(Class::Interactive)
//!     .max_wait(Duration::from_secs(20))
//!     .await?;
//! assert_eq!(image.images.len(), 1);
//!
//! // bring your own client: any async call becomes fair, paced and retried
//! let reply = fairflow
//!     .call("sim-text", |attempt| async move { Ok::<_, std::io::Error>(attempt.number()) })
//!     .tenant("acme")
//!     .cost(812)
//!     .await?;
//! assert_eq!(reply, 1);
//!
//! // watch it, tune it while it runs, end it without losing anything
//! let mut capacity = fairflow.watch("sim-text");
//! assert_eq!(capacity.next().await?.queue_depth, 0);
//! fairflow.reload(Config::demo()).await?;
//! assert!(fairflow.drain(Duration::from_secs(60)).await);
//! # Ok(())
//! # }
//! ```
//!
//! What to know:
//!
//! - A request waits in its own future: drop it, and its place and its slot are free. Nothing is retried but by the
//!   scheduler, so do not retry around it; [`Error`] says what to do instead.
//! - [`Fairflow`] is cheap to clone and works from any task of any tokio runtime with a timer. The engine has a thread of
//!   its own and ends with the last handle. Engines in one process are independent.
//! - A provider of your own implements [`provider::Provider`] and is given to [`Builder::provider`], a task of your own
//!   implements [`task::Task`].
//! - [`Fairflow::events`] and [`Fairflow::stats`] feed your telemetry.
//!
//! The guide (embed, tune, operate), every parameter, and how to come from a semaphore, `governor` or LiteLLM's router are
//! in `docs/`; `examples/` runs without configuration.
//!
//! # Features
//!
//! | feature | adds |
//! |---|---|
//! | `openai`, `runware` (default) | providers over HTTP (hyper, rustls) |
//! | `gateway` (default) | the HTTP gateway and the command line |
//! | `otlp` | the gateway's traces and metrics by OTLP |
//! | `tower` | `tower::FairflowLayer`: the scheduler as a middleware |
//! | `actix-messages` | `messages::Generate`: typed messages to an actix `Recipient` |
//! | `simulator` (default, with `gateway`) | `sim`: providers, other controllers and this one in virtual time |
//! | `testing` | `testing::paused`: paused time for your own tests |
//!
//! Public interfaces name types of `tokio` (`Instant`), `bytes`, `futures-core`, `serde`, `serde_json` and `secrecy`; with
//! `tower` also of `http`, `tower-layer` and `tower-service`; and of `actix` only with `actix-messages`.

mod actor;
#[cfg(feature = "gateway")]
pub mod cli;
mod clock;
pub mod config;
mod contract;
pub mod core;
mod engine;
#[cfg(feature = "gateway")]
pub mod gateway;
mod handle;
#[cfg(feature = "gateway")]
mod jobs;
pub mod provider;
#[cfg(feature = "simulator")]
pub mod sim;
pub mod task;
#[cfg(feature = "gateway")]
mod telemetry;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(feature = "tower")]
pub mod tower;
pub mod wire;
mod wording;

pub use config::Config;
pub use contract::provider::ProviderFactory;
pub use contract::streams::Streams;
pub use core::fair_queue::Class;
pub use engine::caller::plan::Plan;
pub use engine::view::capacity;
pub use engine::view::error::Error;
pub use engine::view::events;
pub use engine::view::learned;
pub use engine::view::overrides as operator;
pub use engine::view::reason::Reason;
pub use engine::view::receipt::Receipt;
pub use engine::view::start::StartError;
pub use engine::view::stats;
pub use engine::view::story as witness;
pub use handle::Fairflow;
pub use handle::builder::Builder;
pub use handle::call::{Call, HeldLease, Leased};
pub use handle::generate::Generate;
#[cfg(feature = "actix-messages")]
pub use handle::messages;
pub use handle::watch::Watch;
