//! **fairflow** is a fair, self-tuning concurrency scheduler for AI generation.
//!
//! It stands between a service's many tenants and the providers that generate for them. Nobody tells it how much
//! capacity a provider has: it learns that from latency and from 429, 503 and 504. Tenants share what there is by
//! weight, whatever each of them throws at it.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use fairflow::task::ImageInference;
//! use fairflow::{Class, Config, Fairflow};
//! use std::time::Duration;
//!
//! let fairflow = Fairflow::builder(Config::demo()).start().await?;
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
//! # Ok(())
//! # }
//! ```

mod actor;
#[cfg(feature = "gateway")]
pub mod cli;
pub mod config;
pub mod core;
#[cfg(feature = "gateway")]
pub mod gateway;
#[cfg(feature = "gateway")]
mod jobs;
pub mod provider;
pub mod task;

pub use actor::capacity;
pub use actor::error::Error;
pub use actor::handle::{Builder, Fairflow, StartError};
pub use actor::operator;
pub use actor::run::Receipt;
pub use actor::stats;
pub use actor::supervisor::ProviderFactory;
pub use actor::{Call, Generate};
pub use config::Config;
pub use core::fair_queue::Class;
