//! Whatever a provider of any kind sends, an attempt ends, in an error that is one or a result that holds something.

use std::fmt::Write;
use std::future::IntoFuture;
use std::time::Duration;

use fairflow::task::{ImageInference, TextInference, VideoInference};
use fairflow::{Config, Error, Fairflow};
use futures_util::StreamExt;
use futures_util::future::{BoxFuture, join_all};
use proptest::prelude::*;
use serde_json::{Map, Value};

use crate::fake::{Fake, Reply};

/// Names that some adapter looks for; `URL` leads back to the provider.
const NAMES: [&str; 44] = [
    "data",
    "errors",
    "error",
    "message",
    "code",
    "type",
    "param",
    "detail",
    "details",
    "status",
    "id",
    "taskUUID",
    "imageURL",
    "imageUUID",
    "videoURL",
    "result",
    "sample",
    "polling_url",
    "request_id",
    "status_url",
    "response_url",
    "cancel_url",
    "queue_position",
    "images",
    "video",
    "url",
    "urls",
    "get",
    "cancel",
    "output",
    "choices",
    "delta",
    "content",
    "text",
    "usage",
    "prompt_tokens",
    "completion_tokens",
    "cost",
    "retryAfter",
    "estimated_time",
    "error_type",
    "progress",
    "b64_json",
    "title",
];
const TEXTS: [&str; 20] = [
    "URL",
    "Ready",
    "Pending",
    "Task not found",
    "Content Moderated",
    "COMPLETED",
    "IN_QUEUE",
    "succeeded",
    "failed",
    "processing",
    "running",
    "success",
    "rateLimitExceeded",
    "insufficient_quota",
    "invalidApiKey",
    "timeoutProvider",
    "",
    "é",
    "Please try again in 1e300s",
    "overloaded",
];
const STATUSES: [u16; 24] = [
    200, 200, 200, 200, 201, 202, 204, 206, 301, 307, 400, 401, 402, 403, 404, 409, 422, 429, 500, 503, 520, 524, 529,
    999,
];
const HEADERS: [&str; 9] = [
    "retry-after",
    "retry-after-ms",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-limit-requests",
    "x-ratelimit-reset-requests",
    "ratelimit",
    "ratelimit-policy",
    "content-encoding",
    "content-type",
];
const VALUES: [&str; 16] = [
    "0",
    "-1",
    "1e999",
    "NaN",
    "99999999999999999999",
    "Thu, 01 Jan 1970 00:00:00 GMT",
    "Fri, 31 Dec 9999 23:59:59 GMT",
    "\"x\";r=0;t=1e9",
    "1;w=86400",
    "gzip",
    "br",
    "text/event-stream",
    "Text/HTML",
    "0.001",
    "6m0s",
    ",",
];

/// JSON of any shape, with familiar names and texts.
fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        proptest::sample::select(&TEXTS[..]).prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 30, 6, |inner| {
        let name = proptest::sample::select(&NAMES[..]).prop_map(str::to_owned);
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(name, inner, 0..8)
                .prop_map(|map| Value::Object(map.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// All that a connection carries.
#[derive(Debug, Clone)]
enum Answer {
    Noise(Vec<u8>),
    /// A body that is off the length that was told by a few bytes, or by none.
    Whole {
        status: u16,
        headers: Vec<(&'static str, &'static str)>,
        body: Vec<u8>,
        off: isize,
    },
}

impl Answer {
    /// Writes it, with addresses that lead to `next`.
    fn write(&self, next: &str) -> Vec<u8> {
        let (status, headers, body, off) = match self {
            Self::Noise(bytes) => return bytes.clone(),
            Self::Whole { status, headers, body, off } => (status, headers, body, off),
        };
        let body = match std::str::from_utf8(body) {
            Ok(text) => text.replace("\"URL\"", &format!("{next:?}")).into_bytes(),
            Err(_) => body.clone(),
        };
        let mut head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n", body.len() as isize + off);
        headers.iter().for_each(|(name, value)| write!(head, "{name}: {value}\r\n").unwrap());
        [head.as_bytes(), b"\r\n", &body].concat()
    }
}

fn answer() -> impl Strategy<Value = Answer> {
    let object = proptest::collection::btree_map(proptest::sample::select(&NAMES[..]), json(), 0..8)
        .prop_map(|map| serde_json::to_vec(&map).unwrap());
    let events = proptest::collection::vec(json(), 0..4).prop_map(|events| {
        events.iter().fold(String::new(), |text, event| format!("{text}data: {event}\n\n")).into_bytes()
    });
    let body = prop_oneof![4 => object, 1 => json().prop_map(|value| value.to_string().into_bytes()), 1 => events,
        1 => proptest::collection::vec(any::<u8>(), 0..200)];
    let header = (proptest::sample::select(&HEADERS[..]), proptest::sample::select(&VALUES[..]));
    let headers = proptest::collection::vec(header, 0..3);
    let off = prop_oneof![6 => Just(0_isize), 1 => -5..9_isize];
    let whole = (proptest::sample::select(&STATUSES[..]), headers, body, off)
        .prop_map(|(status, headers, body, off)| Answer::Whole { status, headers, body, off });
    prop_oneof![8 => whole, 1 => proptest::collection::vec(any::<u8>(), 0..200).prop_map(Answer::Noise)]
}

/// Asks for what a kind makes; says whether the result holds nothing.
fn ask(fairflow: &Fairflow, kind: &str, model: String) -> BoxFuture<'static, Result<bool, Error>> {
    match kind {
        "openai" => {
            let call = fairflow.generate(TextInference::new(model, "a fox")).into_future();
            Box::pin(async move { call.await.map(|made| made.text.is_empty()) })
        }
        "stream" => {
            let stream = fairflow.generate(TextInference::new(model, "a fox")).stream();
            Box::pin(async move {
                let mut pieces = Box::pin(stream.await?);
                while let Some(piece) = pieces.next().await {
                    piece?;
                }
                Ok(false)
            })
        }
        "ark" => {
            let call = fairflow.generate(VideoInference::new(model, "a fox")).into_future();
            Box::pin(async move { call.await.map(|made| made.videos.is_empty()) })
        }
        _ => {
            let call = fairflow.generate(ImageInference::new(model, "a fox")).into_future();
            Box::pin(async move { call.await.map(|made| made.images.is_empty()) })
        }
    }
}

/// One account and one model for each list of answers, so that what one says is no other's matter.
fn config(url: &str, kind: &str, count: usize) -> Config {
    let provider = if kind == "stream" { "openai" } else { kind };
    let poll = if ["openai", "stream"].contains(&kind) {
        ""
    } else {
        "poll = { initial = \"1ms\", max = \"10ms\", patience = 2, per_second = 1000 }"
    };
    let mut text = String::from("[defaults]\ntimeout = \"400ms\"\nqueue.max_wait = \"500ms\"\n");
    text += "retry = { max_attempts = 2, base = \"5ms\", max = \"10ms\", budget = 1.0 }\n";
    for n in 0..count {
        write!(
            text,
            "[providers.p{n}]\nkind = {provider:?}\nbase_url = \"{url}/{n}/v1\"\napi_key = {{ value = \"secret\" }}\n{poll}\n\
             [models.m{n}]\nroutes = [{{ provider = \"p{n}\", model = \"lab/model\" }}]\n"
        )
        .unwrap();
    }
    Config::from_toml(&text).unwrap()
}

/// Has every list of answers answer a request, and says how that ended.
async fn play(kind: &str, answers: Vec<Vec<Answer>>) -> Vec<Result<bool, Error>> {
    let count = answers.len();
    let fake = Fake::start(move |base, ask, nth| {
        let number: usize = ask.path.split('/').nth(1).and_then(|part| part.parse().ok()).unwrap_or_default();
        let list = &answers[number % answers.len()];
        Reply::Bytes(list[nth % list.len()].write(&format!("{base}/{number}/v1/next")))
    })
    .await;
    let fairflow = Fairflow::builder(config(&fake.url, kind, count)).start().await.unwrap();
    let calls =
        (0..count).map(|n| tokio::time::timeout(Duration::from_secs(30), ask(&fairflow, kind, format!("m{n}"))));
    let ends = join_all(calls).await.into_iter().map(|end| end.expect("an end in time")).collect();
    fairflow.drain(Duration::from_secs(10)).await;
    ends
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, max_shrink_iters: 40, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_of_a_provider_of_any_kind_end_in_a_verdict(
        answers in proptest::collection::vec(proptest::collection::vec(answer(), 1..4), 24),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let kinds = ["openai", "stream", "runware", "bfl", "fal", "replicate", "ark"];
        let ends = runtime.block_on(join_all(kinds.map(|kind| play(kind, answers.clone()))));
        for (kind, ends) in kinds.into_iter().zip(ends) {
            for (n, end) in ends.into_iter().enumerate() {
                let sent = &answers[n];
                match end {
                    Ok(empty) => prop_assert!(!empty, "{kind}: a result that holds nothing, of {sent:?}"),
                    Err(error) => prop_assert!(error.reason().as_str() != "internal", "{kind}: {error}, of {sent:?}"),
                }
            }
        }
    }
}
