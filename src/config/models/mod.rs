//! `[models.NAME]`: the keys of a model, checked into what its queue and its routes run on.

mod check;
mod file;
mod price;
mod queue;
mod setters;
mod settings;

pub(super) use self::check::model;
pub use self::file::{Classes, ModelConfig, QueueConfig, RetryConfig, RouteConfig, WindowConfig};
pub use self::price::{Price, PriceConfig};
pub use self::settings::{ModelSettings, RouteSettings, UnknownModels};
