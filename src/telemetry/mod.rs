//! Telemetry by which the gateway tells of itself: log lines, one line per generation, traces and metrics.
//!
//! Everything is made of the [`Story`](crate::witness::Story) that the scheduler tells of a request once it has ended,
//! so the lines, the spans and the response headers agree. The engine knows no tracing library.

mod access;
mod context;
pub(crate) mod log;
mod origin;
#[cfg(feature = "otlp")]
mod otlp;
mod reporter;
mod request;

use std::sync::Arc;
use std::time::Duration;

pub(crate) use self::access::refused;
pub(crate) use self::context::Context;
pub(crate) use self::origin::Origin;
use self::reporter::Reporter;
pub(crate) use self::request::{Marked, Marks};
use crate::Fairflow;
use crate::witness::Witness;

/// Tells of requests, wherever the configuration and the environment want it told.
#[derive(Debug)]
pub(crate) struct Telemetry {
    #[cfg(feature = "otlp")]
    exporter: Option<otlp::Exporter>,
}

impl Telemetry {
    /// Begins to export, where an endpoint is given. Runs on the caller's runtime.
    ///
    /// # Errors
    ///
    /// A sentence, where what is given cannot be used.
    #[cfg(feature = "otlp")]
    pub(crate) fn start(fairflow: &Fairflow) -> Result<Self, String> {
        Ok(Self { exporter: otlp::Exporter::start(fairflow)? })
    }

    /// Warns where the environment wants what this build cannot do.
    #[cfg(not(feature = "otlp"))]
    #[allow(clippy::unnecessary_wraps, reason = "as with the feature")]
    pub(crate) fn start(_: &Fairflow) -> Result<Self, String> {
        if std::env::var_os("OTEL_EXPORTER_OTLP_ENDPOINT").is_some() {
            tracing::warn!(
                "OTEL_EXPORTER_OTLP_ENDPOINT is set, but this build sends no OTLP; build with --features otlp"
            );
        }
        Ok(Self {})
    }

    /// Returns who is to be told of a generation: nobody where nothing is told. `task` is its `taskUUID`.
    pub(crate) fn witness(&self, origin: &Origin, operation: &str, task: Option<Arc<str>>) -> Option<Arc<dyn Witness>> {
        #[cfg(feature = "otlp")]
        let trace = self.exporter.as_ref().map(|exporter| exporter.trace(origin.caller.as_ref()));
        #[cfg(not(feature = "otlp"))]
        let trace: Option<()> = None;
        if !access::is_on() && origin.caller.is_none() && trace.is_none() {
            return None;
        }
        let reporter = Reporter {
            origin: origin.clone(),
            operation: operation.into(),
            task,
            #[cfg(feature = "otlp")]
            trace,
        };
        Some(Arc::new(reporter))
    }

    /// Returns how many requests were not told of by OTLP, because the collector was too slow or away.
    pub(crate) fn dropped(&self) -> u64 {
        #[cfg(feature = "otlp")]
        let dropped = self.exporter.as_ref().map_or(0, otlp::Exporter::dropped);
        #[cfg(not(feature = "otlp"))]
        let dropped = 0;
        dropped
    }

    /// Sends what is left, for no longer than `limit`.
    pub(crate) async fn flush(&self, limit: Duration) {
        #[cfg(feature = "otlp")]
        if let Some(exporter) = &self.exporter {
            exporter.flush(limit).await;
        }
        #[cfg(not(feature = "otlp"))]
        let _ = limit;
    }
}
