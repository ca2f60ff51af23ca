//! Runware's REST API: one task per call, so that each is scheduled by itself.

use reqwest::header::HeaderMap;
use serde_json::{Map, Value};

use super::common::{deltas, unreadable};
use super::headers::hints;
use super::http::{Http, chunks, classify};
use super::{Answer, Attempt, BoxFuture, Failure, Outcome, Provider, Reply, Upstream, read_work};
use crate::config::Endpoint;
use crate::task::wire::runware::{decode, decode_delta, encode, usage};
use crate::task::wire::{Malformed, Wire};
use crate::task::{Product, RawResult, Request};

/// An account at Runware, or at a server of its shape.
#[derive(Debug)]
pub(super) struct Runware {
    http: Http,
}

impl Runware {
    pub(super) fn new(endpoint: &Endpoint) -> Result<Self, String> {
        Ok(Self { http: Http::new(endpoint)? })
    }

    /// Sends one task object and returns its result objects.
    async fn send(&self, task: &Map<String, Value>) -> Result<(Vec<Map<String, Value>>, HeaderMap), Failure> {
        let response = self.http.send_read(self.http.post("", array(task)), read_failure).await?;
        let headers = response.headers().clone();
        let body = self.http.body(response).await?;
        let mut answer: Map<String, Value> = serde_json::from_slice(&body)
            .map_err(|error| unreadable(&Malformed::new("answer", format!("is no JSON object: {error}"))))?;
        if let Some(failure) = error_in(&answer, &headers) {
            return Err(failure);
        }
        let Some(Value::Array(items)) = answer.remove("data") else {
            return Err(unreadable(&Malformed::new("data", "is missing from the answer")));
        };
        let items = items.into_iter().filter_map(|item| match item {
            Value::Object(item) => Some(item),
            _ => None,
        });
        Ok((items.collect(), headers))
    }

    async fn stream(&self, task: &Map<String, Value>) -> Result<Answer, Failure> {
        let response = self.http.send_read(self.http.post("", array(task)), read_failure).await?;
        let hints = hints(response.headers());
        Ok(Answer { hints, ..Answer::new(Reply::Deltas(deltas(chunks(response), decode_delta))) })
    }
}

fn array(task: &Map<String, Value>) -> bytes::Bytes {
    Value::Array(vec![Value::Object(task.clone())]).to_string().into()
}

/// Reads the error object of a failure's body: its code says more than the status.
fn read_failure(status: u16, headers: &HeaderMap, body: bytes::Bytes) -> Failure {
    let failure = classify(status, headers, body);
    let Some(upstream) = &failure.upstream else { return failure };
    let answer: Option<Map<String, Value>> = serde_json::from_slice(&upstream.body).ok();
    let coded = answer.and_then(|answer| coded(&answer, status, headers));
    match coded {
        Some(coded) if coded.outcome != Outcome::Rejected => coded,
        _ => failure,
    }
}

/// Returns the failure that a 200 reports in its `errors`.
fn error_in(answer: &Map<String, Value>, headers: &HeaderMap) -> Option<Failure> {
    coded(answer, 400, headers)
}

fn coded(answer: &Map<String, Value>, status: u16, headers: &HeaderMap) -> Option<Failure> {
    let error = answer.get("errors").and_then(Value::as_array).and_then(|errors| errors.first())?;
    let code = error.get("code").and_then(Value::as_str).unwrap_or_default();
    let status = match code {
        "rateLimitExceeded" | "concurrencyLimit" => 429,
        "serviceUnavailable" => 503,
        code if code.contains("Timeout") => 504,
        code if ["Credits", "Quota", "Balance"].iter().any(|word| code.contains(word)) => 402,
        "invalidApiKey" => 401,
        _ => status,
    };
    let body = bytes::Bytes::from(Value::Object(answer.clone()).to_string());
    let mut failure = classify(status, headers, body);
    if let Some(Upstream { content_type, .. }) = &mut failure.upstream {
        *content_type = "application/json".into();
    }
    if let Some(message) = error.get("message").and_then(Value::as_str).filter(|_| failure.outcome == Outcome::Rejected)
    {
        failure.message = message.to_owned();
    }
    Some(failure)
}

impl Provider for Runware {
    fn call<'a>(&'a self, request: &'a Request, attempt: &'a Attempt) -> BoxFuture<'a, Result<Answer, Failure>> {
        Box::pin(async move {
            let streams = request.wants_stream();
            if let Request::Wire(Wire::Runware(task)) = request {
                let body = task.body_for(attempt.upstream_model());
                if streams {
                    return self.stream(&body).await;
                }
                let (items, headers) = self.send(&body).await?;
                let usage = usage(&items);
                let product = Product::Raw(RawResult { items, usage });
                return Ok(Answer { hints: hints(&headers), ..Answer::product(product) });
            }
            let work = read_work(request)?;
            let uuid = uuid::Uuid::new_v4().to_string();
            let Some(body) = encode(&work, attempt.upstream_model(), &uuid) else {
                let message = format!("a runware provider cannot do {} tasks", work.kind());
                return Err(Failure::new(Outcome::Rejected, message));
            };
            if streams {
                return self.stream(&body).await;
            }
            let (items, headers) = self.send(&body).await?;
            Ok(Answer { hints: hints(&headers), ..Answer::product(decode(&work, items)) })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_in_a_4xx_keeps_what_its_headers_say() {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", http::HeaderValue::from_static("7"));
        headers.insert("x-ratelimit-remaining-requests", http::HeaderValue::from_static("0"));
        let body = bytes::Bytes::from_static(br#"{"errors":[{"code":"rateLimitExceeded"}]}"#);
        let failure = read_failure(400, &headers, body);
        assert_eq!(failure.outcome, Outcome::RateLimited);
        assert_eq!(failure.retry_after, Some(std::time::Duration::from_secs(7)));
        assert_eq!(failure.hints.requests.map(|hint| hint.remaining), Some(0.0));
        let body = bytes::Bytes::from_static(br#"{"errors":[{"code":"invalidPrompt"}]}"#);
        assert_eq!(read_failure(400, &headers, body).outcome, Outcome::Rejected);
    }
}
