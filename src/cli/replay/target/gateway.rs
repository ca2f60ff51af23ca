//! A gateway over HTTP: requests as its clients send them, and its capacity as dashboards read it.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap};
use reqwest::{Client, Response};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;

use super::ending::Ending;
use crate::capacity::ModelCapacity;
use crate::provider::http::{bearer, client};
use crate::task::Work;
use crate::wire::{openai, runware};

/// Timeout of a request: the official SDKs wait as long for an answer.
const TIMEOUT: Duration = Duration::from_secs(600);
/// Timeout of a request that looks at the gateway's models or capacity.
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);

/// A gateway, by its address.
#[derive(Debug, Clone)]
pub(in crate::cli::replay) struct Gateway {
    client: Client,
    /// Ends in `/v1`.
    base: String,
}

#[derive(Deserialize)]
struct Models {
    data: Vec<Named>,
}

#[derive(Deserialize)]
struct Named {
    id: String,
}

#[derive(Deserialize)]
struct Capacities {
    models: Vec<ModelCapacity>,
}

impl Gateway {
    /// Connects to the gateway at `url` and makes sure that it has `model`.
    ///
    /// # Errors
    ///
    /// A sentence: nobody answers there, it is no gateway, the key is wrong, or it has no such model.
    pub(in crate::cli::replay) async fn connect(
        url: &str,
        key: Option<&SecretString>,
        model: &str,
    ) -> Result<Self, String> {
        let base = url.trim_end_matches('/').trim_end_matches("/v1");
        if !base.starts_with("http://") && !base.starts_with("https://") {
            return Err(format!("--target {url}: must begin with http:// or https://"));
        }
        let mut headers = HeaderMap::new();
        if let Some(key) = key {
            headers.insert(AUTHORIZATION, bearer(key)?);
        }
        let gateway = Self { client: client(base, None, headers)?, base: format!("{base}/v1") };
        let answer = gateway.client.get(format!("{}/models", gateway.base)).timeout(LOOK_TIMEOUT).send().await;
        let answer = answer
            .map_err(|_| format!("--target {url}: nobody answers there; start a gateway with: fairflow serve"))?;
        match answer.status().as_u16() {
            200 => {}
            401 => return Err(format!("--target {url}: wants a key; give one with --api-key or FAIRFLOW_API_KEY")),
            status => return Err(format!("--target {url}: answers {status} to GET /v1/models; is it a gateway?")),
        }
        let models: Models =
            answer.json().await.map_err(|_| format!("--target {url}: does not list models; is it a gateway?"))?;
        if models.data.iter().any(|named| named.id == model) {
            return Ok(gateway);
        }
        let names: Vec<&str> = models.data.iter().map(|named| named.id.as_str()).collect();
        Err(format!("--model {model}: the gateway has no such model; it has {}", names.join(", ")))
    }

    pub(super) async fn send(&self, work: Work, tenant: &str) -> Ending {
        let Some((path, body)) = encode(&work) else {
            return Ending { reason: Some("no request for such work".into()), ..Ending::default() };
        };
        let request = self.client.post(format!("{}{path}", self.base)).header("content-type", "application/json");
        let sent = request.header("x-fairflow-tenant", tenant).timeout(TIMEOUT).body(body.to_string()).send().await;
        match sent {
            Ok(response) => read(response).await,
            Err(error) => broken(&error),
        }
    }

    pub(super) async fn look(&self, model: &str) -> Option<ModelCapacity> {
        let url = format!("{}/capacity", self.base);
        let answer = self.client.get(url).timeout(LOOK_TIMEOUT).send().await.ok()?;
        let capacities: Capacities = answer.json().await.ok()?;
        capacities.models.into_iter().find(|seen| &*seen.model == model)
    }
}

/// Writes work in the dialect that has a word for all of it: Runware's for pictures, OpenAI's for the rest.
fn encode(work: &Work) -> Option<(&'static str, Value)> {
    use crate::task::Task;
    if let Work::Text(_) | Work::Embedding(_) = work {
        return openai::encode(work, work.model()).map(|(endpoint, body)| (endpoint.path(), body));
    }
    let uuid = uuid::Uuid::new_v4().to_string();
    runware::encode(work, work.model(), &uuid).map(|task| ("", Value::Array(vec![Value::Object(task)])))
}

async fn read(response: Response) -> Ending {
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let number = |name: &str| header(name).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    let ending = Ending {
        queue_ms: number("x-fairflow-queue-ms"),
        upstream_ms: number("x-fairflow-upstream-ms"),
        attempts: number("x-fairflow-attempts") as u32,
        status: response.status().as_u16(),
        reason: header("x-fairflow-reason"),
    };
    // The answer counts when it is there, not when it begins.
    match response.bytes().await {
        Ok(_) if ending.status < 400 => ending,
        Ok(_) => Ending { reason: ending.reason.or_else(|| Some(format!("status {}", ending.status))), ..ending },
        Err(error) => Ending { queue_ms: ending.queue_ms, attempts: ending.attempts, ..broken(&error) },
    }
}

fn broken(error: &reqwest::Error) -> Ending {
    let reason = if error.is_timeout() { "no answer in time" } else { "connection broke" };
    Ending { reason: Some(reason.into()), ..Ending::default() }
}
