//! Where a replay sends its requests: a scheduler in this process, or a gateway over HTTP.

mod embedded;
mod ending;
mod gateway;

pub(super) use self::embedded::Embedded;
pub(super) use self::ending::Ending;
pub(super) use self::gateway::Gateway;
use super::record::Sample;
use crate::task::Work;

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
