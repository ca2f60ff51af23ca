//! Where a replay sends its requests: a scheduler in this process, or a gateway over HTTP.

mod embedded;
mod gateway;

pub(super) use self::embedded::Embedded;
pub(super) use self::gateway::Gateway;
use super::record::Sample;
use crate::task::Work;

/// What became of one request, as its sender sees it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Ending {
    /// How long it queued, in milliseconds; 0 when unknown.
    pub(super) queue_ms: f64,
    /// How long the provider took, in milliseconds; 0 when it was never dispatched.
    pub(super) upstream_ms: f64,
    /// How often it was dispatched.
    pub(super) attempts: u32,
    /// The HTTP status; 0 without an answer.
    pub(super) status: u16,
    /// Why it failed.
    pub(super) reason: Option<String>,
}

/// Something that takes requests.
#[derive(Debug, Clone)]
pub(super) enum Target {
    /// A scheduler in this process.
    Embedded(Embedded),
    /// A gateway.
    Gateway(Gateway),
}

impl Target {
    /// Sends one request for `tenant` and waits for its end.
    pub(super) async fn send(&self, work: Work, tenant: &str) -> Ending {
        match self {
            Self::Embedded(embedded) => embedded.send(work, tenant).await,
            Self::Gateway(gateway) => gateway.send(work, tenant).await,
        }
    }

    /// Looks at `model`, `t` seconds into the replay; `None` when it cannot be seen.
    pub(super) async fn look(&self, model: &str, t: f64) -> Option<Sample> {
        let model = match self {
            Self::Embedded(embedded) => embedded.look(model),
            Self::Gateway(gateway) => gateway.look(model).await,
        }?;
        Some(Sample {
            t,
            model: model.model.to_string(),
            window: f64::from(model.window),
            in_flight: model.in_flight,
            queued: u32::try_from(model.queue_depth).unwrap_or(u32::MAX),
        })
    }
}
