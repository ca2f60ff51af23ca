//! `[providers.NAME]`: the keys of an account, checked into how it is spoken to.

mod check;
mod file;
mod headers;
mod poll;
mod rate;
mod setters;
mod settings;
mod sim;
mod verdicts;

pub(super) use self::check::{guarded, provider};
pub use self::file::{ProviderConfig, Transport};
pub use self::headers::{HeaderSetting, HeaderSource, USER_AGENT};
pub use self::poll::{PollConfig, PollSettings};
pub use self::rate::RateConfig;
pub use self::settings::{
    Authorities, Endpoint, Preset, ProviderKind, ProviderSettings, RunwareSettings, TaskSettings,
};
pub use self::sim::SimConfig;
pub use self::verdicts::{Texts, VerdictConfig, VerdictRule};
