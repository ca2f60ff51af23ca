//! OTLP: what a collector is sent, and that one which is away does no harm.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message;

use crate::lab::{CHAT, Lab, chat, post, streamed};
use crate::support::{Gateway, client, eventually};

/// What a collector was sent.
#[derive(Default)]
struct Sent {
    spans: Mutex<Vec<Span>>,
    metrics: Mutex<Vec<Metric>>,
    resources: Mutex<Vec<Vec<KeyValue>>>,
    authorizations: Mutex<Vec<String>>,
    /// Never answers.
    hangs: AtomicBool,
}

struct Collector {
    sent: Arc<Sent>,
    port: u16,
    server: ServerHandle,
}

impl Drop for Collector {
    fn drop(&mut self) {
        drop(self.server.stop(false));
    }
}

async fn take(request: HttpRequest, body: web::Bytes, sent: web::Data<Arc<Sent>>) -> HttpResponse {
    if sent.hangs.load(Ordering::SeqCst) {
        return std::future::pending().await;
    }
    assert_eq!(request.headers().get("content-type").unwrap(), "application/x-protobuf");
    let key = request.headers().get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    sent.authorizations.lock().unwrap().push(key.to_owned());
    match request.path() {
        "/v1/traces" => {
            let message = ExportTraceServiceRequest::decode(body).unwrap();
            for one in message.resource_spans {
                sent.resources.lock().unwrap().push(one.resource.unwrap().attributes);
                sent.spans.lock().unwrap().extend(one.scope_spans.into_iter().flat_map(|scope| scope.spans));
            }
        }
        "/v1/metrics" => {
            let message = ExportMetricsServiceRequest::decode(body).unwrap();
            let all = message.resource_metrics.into_iter().flat_map(|one| one.scope_metrics);
            *sent.metrics.lock().unwrap() = all.flat_map(|scope| scope.metrics).collect();
        }
        other => panic!("{other} is no path of OTLP"),
    }
    HttpResponse::Ok().finish()
}

impl Collector {
    fn start() -> Self {
        let sent = Arc::new(Sent::default());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let data = web::Data::new(sent.clone());
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let app = move || App::new().app_data(data.clone()).default_service(web::to(take));
                let server = HttpServer::new(app).workers(1).disable_signals().listen(listener).unwrap().run();
                tell.send(server.handle()).unwrap();
                server.await
            })
        });
        Self { sent, port, server: told.recv().unwrap() }
    }

    fn gateway(&self, lab: &Lab, models: &[(&str, &str)]) -> Gateway {
        lab.gateway_with("", models, |command| {
            command
                .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://127.0.0.1:{}", self.port))
                .env("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20k")
                .env("OTEL_SERVICE_NAME", "images");
        })
    }

    /// Returns the spans of one request: its own first, then its steps in their order.
    fn request(&self, id: &str) -> Vec<Span> {
        let spans = self.sent.spans.lock().unwrap();
        let is_root = |span: &&Span| text(&span.attributes, "fairflow.request_id") == Some(id.to_owned());
        let root = spans.iter().find(is_root).unwrap_or_else(|| panic!("no span of {id}")).clone();
        let mut steps: Vec<_> = spans.iter().filter(|span| span.parent_span_id == root.span_id).cloned().collect();
        steps.sort_by_key(|span| (span.start_time_unix_nano, span.end_time_unix_nano));
        assert!(steps.iter().all(|step| step.trace_id == root.trace_id));
        [vec![root], steps].concat()
    }
}

fn find<'a>(attributes: &'a [KeyValue], name: &str) -> Option<&'a Value> {
    attributes.iter().find(|one| one.key == name)?.value.as_ref()?.value.as_ref()
}

fn text(attributes: &[KeyValue], name: &str) -> Option<String> {
    match find(attributes, name)? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        _ => None,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

#[tokio::test]
async fn each_request_is_a_tree_of_spans() {
    let (lab, collector) = (Lab::start(), Collector::start());
    let retry = "retry = { base = \"40ms\", max = \"40ms\" }";
    let models = [("quick", ""), ("flaky", retry), ("bad", ""), ("drip", ""), ("down", "retry = { max_attempts = 2 }")];
    let mut gateway = collector.gateway(&lab, &models);
    let sampled = format!("00-{TRACE}-{CALLER}-01");
    let not_sampled = format!("00-{TRACE}-{CALLER}-00");
    let ask = async |id: &str, body: &serde_json::Value, parent: Option<&str>| {
        let mut headers = vec![("x-request-id", id), ("x-fairflow-tenant", "acme")];
        headers.extend(parent.map(|parent| ("traceparent", parent)));
        lab.seen.traces.lock().unwrap().clear();
        post(&gateway, CHAT, body, &headers).await.text().await.unwrap();
        lab.seen.traces.lock().unwrap().clone()
    };
    let told = ask("one", &chat("quick"), Some(&sampled)).await;
    let told_flaky = ask("two", &chat("flaky"), None).await;
    ask("three", &chat("bad"), None).await;
    ask("four", &streamed("drip"), None).await;
    ask("five", &chat("down"), None).await;
    let told_quietly = ask("six", &chat("quick"), Some(&not_sampled)).await;
    gateway.at_rest("drip").await;
    // A snapshot that is read may be 50 ms old, and so from before the last end.
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    let page = client().get(format!("{}/metrics", gateway.admin)).send().await.unwrap().text().await.unwrap();
    gateway.terminate();
    assert!(gateway.ended().await);

    // Below the caller's span, and the provider's call below the attempt.
    let spans = collector.request("one");
    let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["chat quick", "queue", "attempt"]);
    let (root, attempt) = (&spans[0], &spans[2]);
    assert_eq!((hex(&root.trace_id), hex(&root.parent_span_id)), (TRACE.to_owned(), CALLER.to_owned()));
    assert_eq!((root.kind(), attempt.kind()), (SpanKind::Server, SpanKind::Client));
    assert_eq!(told, [format!("00-{TRACE}-{}-01", hex(&attempt.span_id))]);
    assert!(attempt.end_time_unix_nano - attempt.start_time_unix_nano >= 20_000_000, "as long as the provider took");
    for (name, value) in [
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.request.model", "quick"),
        ("gen_ai.provider.name", "openai"),
        ("gen_ai.usage.input_tokens", "2"),
        ("gen_ai.usage.output_tokens", "3"),
        ("http.response.status_code", "200"),
        ("fairflow.tenant", "acme"),
        ("fairflow.route", "lab/quick"),
        ("fairflow.attempts", "1"),
    ] {
        assert_eq!(text(&root.attributes, name).as_deref(), Some(value), "{name}");
    }
    assert_eq!((text(&root.attributes, "error.type"), &root.status), (None, &None));

    // A retry is an attempt of its own, and the steps leave no gap.
    let spans = collector.request("two");
    let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["chat flaky", "queue", "attempt", "backoff", "queue", "attempt"]);
    assert_eq!(spans[0].start_time_unix_nano, spans[1].start_time_unix_nano);
    assert_eq!(spans[0].end_time_unix_nano, spans[5].end_time_unix_nano);
    for pair in spans[1..].windows(2) {
        assert_eq!(pair[0].end_time_unix_nano, pair[1].start_time_unix_nano, "{names:?}");
    }
    let attribute = |span: &Span, name: &str| text(&span.attributes, name).unwrap_or_default();
    assert_eq!(attribute(&spans[2], "error.type"), "overloaded");
    assert_eq!(spans[2].status.as_ref().map(|status| status.code), Some(2));
    assert_eq!((attribute(&spans[5], "fairflow.attempt"), &spans[5].status), ("2".to_owned(), &None));
    assert_eq!((attribute(&spans[0], "fairflow.attempts"), &spans[0].status), ("2".to_owned(), &None));
    let sent: Vec<_> = [&spans[2], &spans[5]].map(|span| hex(&span.span_id)).into();
    let told: Vec<_> = told_flaky.iter().map(|parent| parent.split('-').nth(2).unwrap().to_owned()).collect();
    assert_eq!(told, sent, "each attempt names its own span to the provider");
    assert!(spans[0].parent_span_id.is_empty() && hex(&spans[0].trace_id) != TRACE);

    let rejected = collector.request("three");
    for span in [&rejected[0], &rejected[2]] {
        assert_eq!(attribute(span, "error.type"), "rejected");
        assert_eq!(attribute(span, "http.response.status_code"), "400");
    }
    let verdict = |span| ["scope", "matter"].map(|part| attribute(span, &format!("fairflow.verdict.{part}")));
    assert_eq!(verdict(&spans[2]), ["route", "outage"]);
    assert_eq!(verdict(&rejected[2]), ["request", "input"]);
    assert_eq!(verdict(&spans[5]), ["", ""], "a success is nobody's fault");
    let streamed = collector.request("four");
    assert_eq!(attribute(&streamed[0], "gen_ai.usage.output_tokens"), "11");
    let (attempt, begun) = (&streamed[2], &streamed[2].events[0]);
    let sent = lab.seen.dripped.lock().unwrap().unwrap().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    assert!(begun.time_unix_nano < attempt.end_time_unix_nano);
    assert!(u128::from(attempt.end_time_unix_nano) >= sent, "it ends with the stream, not its begin");
    let failed = collector.request("five");
    assert_eq!(failed.iter().filter(|span| span.name == "attempt").count(), 2);
    assert_eq!(attribute(&failed[0], "error.type"), "retries_exhausted");

    // The caller's wish not to be traced is kept, and handed on.
    assert!(
        told_quietly[0].starts_with(&format!("00-{TRACE}-")) && told_quietly[0].ends_with("-00"),
        "{told_quietly:?}"
    );
    let spans = collector.sent.spans.lock().unwrap();
    assert_eq!(spans.iter().filter(|span| hex(&span.trace_id) == TRACE).count(), 3);
    let mut ids: Vec<_> = spans.iter().map(|span| &span.span_id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), spans.len(), "an id names one span");

    assert!(collector.sent.authorizations.lock().unwrap().iter().all(|key| key == "Bearer k"));
    assert_eq!(text(&collector.sent.resources.lock().unwrap()[0], "service.name").as_deref(), Some("images"));
    same_figures(&page, &collector.sent.metrics.lock().unwrap());
}

/// Checks that what was sent is what `/metrics` says.
fn same_figures(page: &str, metrics: &[Metric]) {
    let shown = |name: &str, labels: &[String]| -> f64 {
        let line = page.lines().find(|line| {
            line.split(['{', ' ']).next() == Some(name) && labels.iter().all(|label| line.contains(label.as_str()))
        });
        let line = line.unwrap_or_else(|| panic!("no {name} {labels:?} in\n{page}"));
        line.rsplit_once(' ').unwrap().1.parse().unwrap()
    };
    let labels = |attributes: &[KeyValue]| -> Vec<String> {
        let label =
            |one: &KeyValue| format!("{}=\"{}\"", one.key.replace('.', "_"), text(attributes, &one.key).unwrap());
        attributes.iter().map(label).collect()
    };
    let mut told = BTreeSet::new();
    for metric in metrics {
        let name = metric.name.replace('.', "_");
        let unit = if metric.unit == "s" { "_seconds" } else { "" };
        let points = match metric.data.as_ref().unwrap() {
            Data::Gauge(gauge) => gauge.data_points.iter().map(|point| (point, "")).collect::<Vec<_>>(),
            Data::Sum(sum) => sum.data_points.iter().map(|point| (point, "_total")).collect(),
            Data::Histogram(histogram) => {
                for point in &histogram.data_points {
                    let labels = labels(&point.attributes);
                    assert_eq!(shown(&format!("{name}{unit}_sum"), &labels), point.sum.unwrap(), "{name}");
                    assert_eq!(shown(&format!("{name}{unit}_count"), &labels), point.count as f64, "{name}");
                    assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
                }
                told.insert(format!("{name}{unit}"));
                continue;
            }
            other => panic!("{name}: {other:?}"),
        };
        // A drain shrinks windows that it leaves idle; those are compared in their number only.
        let moves = ["fairflow_window", "fairflow_window_changes"].contains(&name.as_str());
        for (point, suffix) in points {
            let value = match point.value.unwrap() {
                number_data_point::Value::AsInt(value) => value as f64,
                number_data_point::Value::AsDouble(value) => value,
            };
            let shown = shown(&format!("{name}{suffix}"), &labels(&point.attributes));
            // Without requests a retry budget goes to its floor; what is sent later is on the way there.
            let fades =
                name == "fairflow_retry_budget_remaining" && (shown.min(100.0)..=shown.max(100.0)).contains(&value);
            assert!(
                moves || fades || shown == value,
                "{name} {:?}: {shown} is shown and {value} sent",
                labels(&point.attributes)
            );
            told.insert(format!("{name}{suffix}"));
        }
    }
    // All that was counted there is sent, but for routes, tenants, feeds, refusals at the door, and the process itself.
    let elsewhere = ["fairflow_route", "fairflow_tenant", "fairflow_feed", "fairflow_rejected", "fairflow_max_wait"];
    let elsewhere =
        elsewhere.iter().chain(&["fairflow_queue_capacity", "fairflow_draining", "fairflow_build", "process_"]);
    let counted = page
        .lines()
        .filter(|line| !line.starts_with('#') && !line.ends_with(" 0"))
        .filter_map(|line| line.split(['{', ' ']).next());
    let unsent: Vec<_> = counted
        .map(|name| ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name))
        .filter(|name| !told.contains(*name) && !elsewhere.clone().any(|other| name.starts_with(other)))
        .collect();
    assert!(unsent.is_empty(), "shown and not sent: {unsent:?}");
    assert!(metrics.iter().any(|metric| metric.name == "gen_ai.client.operation.duration" && metric.unit == "s"));
}

#[tokio::test]
async fn a_collector_that_is_away_does_no_harm() {
    let lab = Lab::start();
    let collector = Collector::start();
    collector.sent.hangs.store(true, Ordering::SeqCst);
    let away = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for port in [collector.port, away] {
        let mut gateway = lab.gateway_with("", &[("ok", "window = { initial = 64 }")], |command| {
            command.env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://127.0.0.1:{port}")).env("RUST_LOG", "error");
        });
        for _ in 0..10 {
            let asked = (0..30).map(|_| async { post(&gateway, CHAT, &chat("ok"), &[]).await.status().as_u16() });
            let answered = futures_util::future::join_all(asked).await;
            assert!(answered.iter().all(|status| *status == 200), "{answered:?}");
        }
        let dropped = async || -> u64 {
            let page = client().get(format!("{}/metrics", gateway.admin)).send().await.unwrap().text().await.unwrap();
            let line = page.lines().find(|line| line.starts_with("fairflow_telemetry_dropped_total ")).unwrap();
            line.split(' ').nth(1).unwrap().parse().unwrap()
        };
        if port == away {
            eventually("what cannot be sent is dropped", async || dropped().await >= 256).await;
        }
        gateway.terminate();
        assert!(gateway.ended().await, "a drain does not wait for a collector");
    }
}
