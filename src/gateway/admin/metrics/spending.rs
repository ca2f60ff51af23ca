//! Metrics of money, of waits against their forecasts, and of feeds.

use std::fmt;

use super::{ModelStats, Page};
use crate::gateway::app::Gateway;

impl Page {
    /// Writes what answers have cost.
    pub(super) fn spending(&mut self, stats: &ModelStats) -> fmt::Result {
        self.family("fairflow_spent_dollars_total", "counter", "US dollars that answers have cost, where known.")?;
        for (model, stats) in stats {
            self.sample("fairflow_spent_dollars_total", &[("model", model)], stats.spent_dollars())?;
        }
        let help = "US dollars among them that are estimated, by pieces that came or by what was expected.";
        self.family("fairflow_estimated_dollars_total", "counter", help)?;
        for (model, stats) in stats {
            self.sample("fairflow_estimated_dollars_total", &[("model", model)], stats.estimated_dollars())?;
        }
        let help = "Answers to tenants with a budget that neither provider nor price told the cost of.";
        self.family("fairflow_unpriced_total", "counter", help)?;
        for (model, stats) in stats {
            self.sample("fairflow_unpriced_total", &[("model", model)], stats.unpriced())?;
        }
        Ok(())
    }

    /// Writes how waits turned out.
    pub(super) fn forecasts(&mut self, stats: &ModelStats) -> fmt::Result {
        self.family("fairflow_wait_forecasts_total", "counter", "Waits against the forecast at admission.")?;
        for (model, stats) in stats {
            for (held, count) in stats.forecasts() {
                self.sample("fairflow_wait_forecasts_total", &[("model", model), ("held", held)], count)?;
            }
        }
        let help = "Wait divided by its forecast (P50), of requests that were to wait.";
        self.family("fairflow_wait_forecast_ratio", "histogram", help)?;
        for (model, stats) in stats {
            self.histogram("fairflow_wait_forecast_ratio", &[("model", model)], &stats.forecast_ratio)?;
        }
        Ok(())
    }

    /// Writes who follows capacity, and how often a change was written for them.
    pub(super) fn feeds(&mut self, gateway: &Gateway) -> fmt::Result {
        self.family("fairflow_feed_watchers", "gauge", "Feeds of capacity that are followed now, one per model.")?;
        self.sample("fairflow_feed_watchers", &[], gateway.feeds.watchers())?;
        self.family("fairflow_feed_events_total", "counter", "Changes of capacity that were written for watchers.")?;
        self.sample("fairflow_feed_events_total", &[], gateway.feeds.written())
    }
}
