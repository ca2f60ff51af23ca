//! The counters of all models as OTLP metrics: the figures of `/metrics`, under names that Prometheus writes the same.
//! Like there, a series begins when it first counts.

use std::time::SystemTime;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, Sum,
};
use opentelemetry_proto::tonic::resource::v1::Resource;

use super::spans::{nanos, scope, text};
use crate::Fairflow;
use crate::capacity::ModelCapacity;
use crate::stats::{self, Stats};

pub(super) fn message(
    fairflow: &Fairflow,
    since: u64,
    dropped: u64,
    resource: &Resource,
) -> ExportMetricsServiceRequest {
    let mut book = Book { since, now: nanos(SystemTime::now()), metrics: Vec::new() };
    book.models(&fairflow.capacity());
    book.requests(&fairflow.stats());
    let lost = vec![book.point(Vec::new(), Value::AsInt(i64::try_from(dropped).unwrap_or(i64::MAX)))];
    book.sum("fairflow.telemetry_dropped", "{request}", lost);
    let scope_metrics = vec![ScopeMetrics { scope: Some(scope()), metrics: book.metrics, ..ScopeMetrics::default() }];
    let metrics = ResourceMetrics { resource: Some(resource.clone()), scope_metrics, ..ResourceMetrics::default() };
    ExportMetricsServiceRequest { resource_metrics: vec![metrics] }
}

/// The metrics as they are written.
struct Book {
    since: u64,
    now: u64,
    metrics: Vec<Metric>,
}

type Models<S> = std::collections::BTreeMap<std::sync::Arc<str>, std::sync::Arc<S>>;

impl Book {
    fn add(&mut self, name: &str, unit: &str, data: Data) {
        let (name, unit) = (name.to_owned(), unit.to_owned());
        self.metrics.push(Metric { name, unit, data: Some(data), ..Metric::default() });
    }

    fn point(&self, attributes: Vec<KeyValue>, value: Value) -> NumberDataPoint {
        NumberDataPoint {
            attributes,
            start_time_unix_nano: self.since,
            time_unix_nano: self.now,
            value: Some(value),
            ..NumberDataPoint::default()
        }
    }

    fn gauge(&mut self, name: &str, unit: &str, data_points: Vec<NumberDataPoint>) {
        self.add(name, unit, Data::Gauge(Gauge { data_points }));
    }

    fn sum(&mut self, name: &str, unit: &str, data_points: Vec<NumberDataPoint>) {
        let aggregation_temporality = AggregationTemporality::Cumulative.into();
        self.add(name, unit, Data::Sum(Sum { data_points, aggregation_temporality, is_monotonic: true }));
    }

    fn models(&mut self, models: &[ModelCapacity]) {
        type Read = fn(&ModelCapacity) -> i64;
        let gauges: [(&str, Read); 4] = [
            ("fairflow.queue_depth", |model| model.queue_depth.try_into().unwrap_or(i64::MAX)),
            ("fairflow.in_flight", |model| model.in_flight.into()),
            ("fairflow.window", |model| model.window.into()),
            ("fairflow.open_routes", |model| model.open_routes().try_into().unwrap_or(i64::MAX)),
        ];
        for (name, read) in gauges {
            let point =
                |model: &ModelCapacity| self.point(vec![text("model", &*model.model)], Value::AsInt(read(model)));
            let points = models.iter().map(point).collect();
            self.gauge(name, "", points);
        }
    }

    fn requests(&mut self, models: &Models<Stats>) {
        let budget = |(model, stats): (&std::sync::Arc<str>, &std::sync::Arc<Stats>)| {
            self.point(vec![text("model", &**model)], Value::AsDouble(stats.retry_budget_remaining()))
        };
        let budgets = models.iter().map(budget).collect();
        self.gauge("fairflow.retry_budget_remaining", "", budgets);
        self.counter("fairflow.requests", "outcome", models, |stats| {
            stats.requests().map(|(outcome, count)| (outcome.as_str(), count)).collect()
        });
        self.counter("fairflow.attempts", "outcome", models, |stats| {
            stats.attempts().map(|(outcome, count)| (outcome.as_str(), count)).collect()
        });
        self.counter("fairflow.window_changes", "kind", models, |stats| {
            stats.window_changes().map(|(kind, count)| (kind.as_str(), count)).collect()
        });
        self.verdicts(models);
        self.counter("fairflow.wait_forecasts", "held", models, |stats| stats.forecasts().collect());
        self.histogram("fairflow.wait_forecast_ratio", "", models, |stats| vec![(None, &stats.forecast_ratio)]);
        let per_model = |value: fn(&Stats) -> Value| -> Vec<NumberDataPoint> {
            models.iter().map(|(model, stats)| self.point(vec![text("model", &**model)], value(stats))).collect()
        };
        let spent = per_model(|stats| Value::AsDouble(stats.spent_dollars()));
        let estimated = per_model(|stats| Value::AsDouble(stats.estimated_dollars()));
        let unpriced = per_model(|stats| Value::AsInt(i64::try_from(stats.unpriced()).unwrap_or(i64::MAX)));
        self.sum("fairflow.spent_dollars", "", spent);
        self.sum("fairflow.estimated_dollars", "", estimated);
        self.sum("fairflow.unpriced", "{request}", unpriced);
        self.histogram("fairflow.queue_wait", "s", models, |stats| vec![(None, &stats.queue_wait)]);
        self.histogram("fairflow.service", "s", models, |stats| vec![(None, &stats.service)]);
        self.histogram("gen_ai.client.operation.duration", "s", models, |stats| vec![(None, &stats.sojourn)]);
        self.histogram("gen_ai.client.token.usage", "{token}", models, |stats| {
            vec![(Some("input"), &stats.input_tokens), (Some("output"), &stats.output_tokens)]
        });
    }

    fn verdicts(&mut self, models: &Models<Stats>) {
        let mut points = Vec::new();
        for (model, stats) in models {
            for ((scope, matter), count) in stats.verdicts().filter(|(_, count)| *count > 0) {
                let attributes =
                    vec![text("model", &**model), text("scope", scope.as_str()), text("matter", matter.as_str())];
                points.push(self.point(attributes, Value::AsInt(i64::try_from(count).unwrap_or(i64::MAX))));
            }
        }
        self.sum("fairflow.verdicts", "{answer}", points);
    }

    fn counter(
        &mut self,
        name: &str,
        label: &str,
        models: &Models<Stats>,
        read: impl Fn(&Stats) -> Vec<(&'static str, u64)>,
    ) {
        let mut points = Vec::new();
        for (model, stats) in models {
            for (value, count) in read(stats).into_iter().filter(|(_, count)| *count > 0) {
                let attributes = vec![text("model", &**model), text(label, value)];
                points.push(self.point(attributes, Value::AsInt(i64::try_from(count).unwrap_or(i64::MAX))));
            }
        }
        self.sum(name, "", points);
    }

    /// Adds a histogram; `read` gives those of a model, each with its token type where it has one.
    fn histogram(
        &mut self,
        name: &str,
        unit: &str,
        models: &Models<Stats>,
        read: impl for<'a> Fn(&'a Stats) -> Vec<(Option<&'static str>, &'a stats::Histogram)>,
    ) {
        let mut data_points = Vec::new();
        for (model, stats) in models {
            for (kind, histogram) in read(stats) {
                let stats::Reading { sum, counts: bucket_counts } = histogram.read();
                let count = bucket_counts.iter().sum();
                if count == 0 {
                    continue;
                }
                let mut attributes = vec![text("model", &**model)];
                attributes.extend(kind.map(|kind| text("gen_ai.token.type", kind)));
                data_points.push(HistogramDataPoint {
                    attributes,
                    start_time_unix_nano: self.since,
                    time_unix_nano: self.now,
                    count,
                    sum: Some(sum),
                    explicit_bounds: histogram.bounds().to_vec(),
                    bucket_counts,
                    ..HistogramDataPoint::default()
                });
            }
        }
        let aggregation_temporality = AggregationTemporality::Cumulative.into();
        self.add(name, unit, Data::Histogram(Histogram { data_points, aggregation_temporality }));
    }
}
