//! A scheduler in this process, on a simulated provider.

use super::ending::Ending;
use crate::capacity::ModelCapacity;
use crate::task::Work;
use crate::{Config, Error, Fairflow, Receipt};

/// The scheduler that `fairflow serve` has without a config.
#[derive(Debug, Clone)]
pub(in crate::cli::replay) struct Embedded(Fairflow);

impl Embedded {
    /// Starts it, and makes sure that it has `model`.
    ///
    /// # Errors
    ///
    /// A sentence.
    pub(in crate::cli::replay) async fn start(seed: u64, model: &str) -> Result<Self, String> {
        let config = Config::demo();
        if !config.models.contains_key(model) {
            let names: Vec<&str> = config.models.keys().map(String::as_str).collect();
            let names = names.join(", ");
            return Err(format!("--model {model}: without --target there are {names}"));
        }
        let started = Fairflow::builder(config).seed(seed).start().await;
        started.map(Self).map_err(|error| error.to_string())
    }

    pub(super) async fn send(&self, work: Work, tenant: &str) -> Ending {
        match self.0.generate(work).tenant(tenant).with_receipt().await {
            Ok((_, Receipt { queued, upstream, attempts, .. })) => Ending {
                queue_ms: queued.as_secs_f64() * 1e3,
                upstream_ms: upstream.as_secs_f64() * 1e3,
                attempts,
                status: 200,
                reason: None,
            },
            Err(error) => {
                let (attempts, queue_ms) = match &error {
                    Error::RetriesExhausted { attempts, .. } | Error::UpstreamTimeout { attempts } => (*attempts, 0.0),
                    Error::QueueTimeout { waited, .. } => (0, waited.as_secs_f64() * 1e3),
                    Error::Rejected(_) => (1, 0.0),
                    _ => (0, 0.0),
                };
                let reason = Some(error.reason().to_string());
                Ending { queue_ms, upstream_ms: 0.0, attempts, status: error.status(), reason }
            }
        }
    }

    pub(super) fn look(&self, model: &str) -> Option<ModelCapacity> {
        self.0.capacity().into_iter().find(|seen| &*seen.model == model)
    }
}
