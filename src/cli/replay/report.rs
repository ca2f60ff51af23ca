//! The report of a replay: one HTML file with figures, plots and tables that needs nothing beside it.

use super::super::page::{self, escape, figure, rows, section, unit};
use super::super::{format, plots::PlotError};
use super::{
    plots,
    record::Replay,
    summary::{Quantiles, Summary, summarize},
    table,
};

/// Why a report could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// A plot could not be drawn.
    #[error("cannot draw the plot of {plot}: {source}")]
    Plot {
        /// Name of the plot.
        plot: &'static str,
        /// Error of the plotting library.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Renders the report. Whatever comes from the trace or the command line is escaped; there are no scripts and nothing
/// is loaded.
///
/// # Errors
///
/// When a plot cannot be drawn. No replay is known for which that happens: one without requests or samples has a
/// report too.
pub fn html(replay: &Replay) -> Result<String, ReportError> {
    let failed = |plot| move |source: PlotError| ReportError::Plot { plot, source };
    let summary = summarize(replay);
    let mut page = head(replay);
    page += &headline(&summary);
    page += &section(&plots::load(replay).map_err(failed("load"))?);
    page += &section(&plots::latency(replay).map_err(failed("latency"))?);
    for plot in plots::windows(replay).map_err(failed("windows"))? {
        page += &section(&plot);
    }
    page += &section(&plots::tenants(&summary).map_err(failed("tenants"))?);
    page += &rows("Tenants in numbers", &table::tenant_rows(&summary));
    page += &rows("How requests ended", &table::outcome_rows(&summary));
    page += &rows("All figures", &table::figures(&summary));
    Ok(page + &page::foot("Quantiles are by nearest rank; latency is that of successes."))
}

fn head(replay: &Replay) -> String {
    let title = if replay.title.is_empty() { "Replay" } else { &replay.title };
    let speed = if replay.speed.is_finite() && replay.speed > 0.0 && replay.speed != 1.0 {
        format!("Replayed at {} times its own speed. ", format::number(replay.speed))
    } else {
        String::new()
    };
    page::head("fairflow replay", title, &replay.command, &format!("{speed}{}", replay.note))
}

/// The figures that most people came for.
fn headline(summary: &Summary) -> String {
    let quantile = |q: &Option<Quantiles>, of: fn(&Quantiles) -> f64| {
        q.as_ref().map_or("–".to_owned(), |q| format::milliseconds(of(q)))
    };
    let part = if summary.requests > 0 { summary.succeeded as f64 / summary.requests as f64 } else { 0.0 };
    let fairness = summary.fairness.jain.map_or("–".to_owned(), |jain| format!("{jain:.3}"));
    let competed = match summary.fairness.jain {
        Some(_) => format!(
            "Jain, {} tenants in {} of contention",
            format::thousands(summary.fairness.tenants as f64),
            format::seconds(summary.fairness.contended)
        ),
        None => "tenants never competed".to_owned(),
    };
    let count = |count: usize| format::thousands(count as f64);
    let figures = [
        (
            "Goodput",
            unit(&format::number(summary.goodput), "requests/s"),
            format!("{} cost/s over {}", format::number(summary.goodput_cost), format::seconds(summary.span)),
        ),
        (
            "Succeeded",
            format::percent(part),
            format!(
                "{} of {}; {} refused, {} failed",
                count(summary.succeeded),
                count(summary.requests),
                count(summary.refused),
                count(summary.failed)
            ),
        ),
        (
            "Latency P50",
            spaced(&quantile(&summary.total, |q| q.p50)),
            format!("P90 {}", quantile(&summary.total, |q| q.p90)),
        ),
        (
            "Latency P99",
            spaced(&quantile(&summary.total, |q| q.p99)),
            format!("{} attempts per success", format::number(summary.attempts_per_success)),
        ),
        (
            "Queue wait P99",
            spaced(&quantile(&summary.wait, |q| q.p99)),
            format!("P50 {}", quantile(&summary.wait, |q| q.p50)),
        ),
        ("Fairness", fairness, competed),
    ];
    let mut page = String::from("<div class=\"figures\">");
    for (name, value, more) in figures {
        page += &figure(name, &value, &more);
    }
    page + "</div>\n"
}

/// Like [`unit()`], of `12.3 s`.
fn spaced(text: &str) -> String {
    text.split_once(' ').map_or_else(|| escape(text), |(value, name)| unit(value, name))
}

#[cfg(test)]
mod tests {
    use super::{
        super::record::{Record, Sample},
        *,
    };

    #[test]
    fn whatever_comes_from_a_trace_is_escaped() {
        let evil = "<script>alert('x')</script>\"&";
        let record = Record {
            tenant: evil.to_owned(),
            arrived: 0.0,
            queue_ms: 1.0,
            upstream_ms: 1.0,
            total_ms: 2.0,
            attempts: 1,
            status: 500,
            reason: Some(evil.to_owned()),
            cost: 1.0,
        };
        let page = html(&Replay {
            title: evil.to_owned(),
            command: evil.to_owned(),
            note: evil.to_owned(),
            speed: 600.0,
            records: vec![record],
            samples: vec![Sample { t: 0.0, model: evil.to_owned(), window: 1.0, in_flight: 1, queued: 0 }],
        })
        .unwrap();
        assert!(!page.contains("<script"), "{page}");
        assert!(page.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot;&amp;"));
        assert!(page.contains("Replayed at 600 times"));
    }

    #[test]
    fn a_report_of_nothing_is_a_report() {
        let page = html(&Replay::default()).unwrap();
        assert!(page.contains("<h1>Replay</h1>") && page.contains("tenants never competed"));
        assert!(!page.contains("NaN"));
        // The name space of SVG is the only address in it: nothing is loaded.
        assert_eq!(page.matches("http").count(), page.matches("xmlns=\"http://www.w3.org/2000/svg\"").count());
        assert_eq!(page.matches("<section>").count(), page.matches("</section>").count());
    }

    #[test]
    fn a_report_of_many_records_shows_each_tenant_and_every_plot() {
        let replay = super::super::demo::replay();
        let page = html(&replay).unwrap();
        let tenants: std::collections::BTreeSet<&str> =
            replay.records.iter().map(|record| record.tenant.as_str()).collect();
        let busiest = tenants.iter().max_by_key(|name| replay.records.iter().filter(|r| r.tenant == **name).count());
        assert!(page.contains(*busiest.unwrap()) && page.matches("<svg").count() > 3, "{page}");
        assert!(!page.contains("NaN"));
    }
}
