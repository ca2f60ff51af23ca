//! The scheduler as a middleware: any [tower] service becomes fair, paced and, where its requests can be copied, retried.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! use fairflow::tower::{FairflowLayer, Plan};
//! use fairflow::{Config, Fairflow};
//! use tower::{Service, ServiceBuilder, ServiceExt};
//!
//! let fairflow = Fairflow::builder(Config::demo()).start().await?;
//! let mut client = ServiceBuilder::new()
//!     .layer(FairflowLayer::new(fairflow, |prompt: &String| {
//!         Plan::new("sim-text").tenant("acme").cost(prompt.len() as u64)
//!     }))
//!     .service_fn(|prompt: String| async move { Ok::<_, std::io::Error>(prompt.to_uppercase()) });
//! assert_eq!(client.ready().await?.call("hello".to_owned()).await?, "HELLO");
//! # Ok(())
//! # }
//! ```
//!
//! A closure from request to [`Plan`] is a [`Policy`] that retries nothing and blames nobody for errors of the inner
//! service; implement the trait to say more. The slot is held until the inner service's future is done: a body that
//! streams after that is not counted as in flight.
//!
//! [tower]: https://docs.rs/tower

mod future;
mod layer;
mod policy;
mod service;

pub use self::future::ResponseFuture;
pub use self::layer::FairflowLayer;
pub use self::policy::{Policy, http_failure};
pub use self::service::FairflowService;
pub use crate::engine::caller::plan::Plan;

/// Either the scheduler's [`Error`](crate::Error), or the inner service's.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
