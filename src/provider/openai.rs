//! OpenAI's API, and the many servers that speak it, Azure's way of headers, versions and deployments included.

use bytes::Bytes;
use futures_util::stream::{StreamExt, iter};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use secrecy::ExposeSecret;

use super::common::{actual_cost, form_asked, unreadable};
use super::fetch::Fetch;
use super::headers::{Unit, hints};
use super::http::{Http, Response, secret_header};
use super::streamed::{self, Dialect, Opened};
use super::translate::{inexpressible, translated};
use super::usage_wish::UsageWish;
use super::{Answer, Attempt, BoxFuture, Failure, Outcome, Provider, Reply, Upstream};
use crate::config::Endpoint;
use crate::task::{ImageInference, Product, Work};
use crate::wire::openai::{self, OpenAiRequest, edits};
use crate::wire::usage::usage_of;
use crate::wire::{Body, Malformed, Request, Wire, fields};

/// An account at an OpenAI-compatible service.
#[derive(Debug)]
pub(super) struct OpenAi {
    http: Http,
    /// Azure's.
    api_version: Option<String>,
    fetch: Fetch,
    /// Where requests go, by endpoint; `None` where that depends on the model.
    addresses: Option<Vec<Url>>,
    /// Which models tell the usage of a stream.
    usage: UsageWish,
    /// Headers that the configuration sets.
    fixed: Vec<Box<str>>,
}

/// How this API's streams are read.
const DIALECT: Dialect = Dialect { decode: openai::decode_delta, refused: streamed::refused };

impl OpenAi {
    pub(super) fn new(endpoint: &Endpoint) -> Result<Self, String> {
        let http = if endpoint.bare_key {
            let mut headers = HeaderMap::new();
            if let Some(key) = &endpoint.api_key {
                headers.insert("api-key", secret_header(key.expose_secret())?);
            }
            Http::with_headers(endpoint, headers)?
        } else {
            Http::new(endpoint)?
        };
        let fixed = endpoint.headers.iter().map(|header| header.name.as_str().into()).collect();
        let mut client = Self {
            http,
            api_version: endpoint.api_version.clone(),
            fetch: Fetch::new(endpoint, &[])?,
            addresses: None,
            usage: UsageWish::default(),
            fixed,
        };
        if !endpoint.base_url.contains("{model}") {
            let parsed = openai::Endpoint::ALL.iter().map(|to| client.parse(*to, ""));
            client.addresses = Some(parsed.collect::<Result<_, _>>()?);
        }
        Ok(client)
    }

    fn parse(&self, endpoint: openai::Endpoint, model: &str) -> Result<Url, String> {
        let mut url = format!("{}{}", self.http.base_url(), endpoint.path());
        if url.contains("{model}") {
            url = url.replace("{model}", &segment(model));
        }
        if let Some(version) = &self.api_version {
            url.push_str("?api-version=");
            url.push_str(version);
        }
        Url::parse(&url).map_err(|error| format!("base_url {:?} is no address: {error}", self.http.base_url()))
    }

    fn address(&self, endpoint: openai::Endpoint, model: &str) -> Result<Url, Failure> {
        match &self.addresses {
            Some(known) => Ok(known[endpoint as usize].clone()),
            None => self.parse(endpoint, model).map_err(|problem| Failure::new(Outcome::Rejected, problem)),
        }
    }

    /// Returns where a response is kept, or what can be done with it.
    fn response_url(&self, id: &str, more: Option<&str>, model: &str) -> Result<Url, Failure> {
        let mut url = self.address(openai::Endpoint::Responses, model)?;
        if let Ok(mut path) = url.path_segments_mut() {
            path.push(id).extend(more);
        }
        Ok(url)
    }

    /// Sends a body to an endpoint. A request for images is not sent again once it may have been taken: they are paid
    /// by the piece. Text and embeddings are, as the official SDKs do it.
    async fn send(
        &self,
        endpoint: openai::Endpoint,
        content_type: &str,
        body: Body,
        passed: &[(Box<str>, Box<str>)],
        attempt: &Attempt,
    ) -> Result<Response, Failure> {
        let costly = is_costly(endpoint);
        let url = self.address(endpoint, attempt.upstream_model())?;
        let text = |text: &str| {
            let wrong = |error| Failure::new(Outcome::Rejected, format!("a header cannot be sent: {error}"));
            HeaderValue::from_str(text).map_err(wrong)
        };
        let request = self.http.request(Method::POST, url).header(CONTENT_TYPE, text(content_type)?);
        let request = Http::traced(request, attempt.trace());
        // What the configuration sets is not the caller's to change.
        let mut passed = passed.iter().filter(|(name, _)| !self.fixed.contains(name));
        let request = passed.try_fold(request, |request, (name, value)| {
            let wrong = |error| Failure::new(Outcome::Rejected, format!("the header {name:?} cannot be sent: {error}"));
            Ok(request.header(HeaderName::from_bytes(name.as_bytes()).map_err(wrong)?, text(value)?))
        })?;
        let request = request.body(body);
        attempt.mark_spent(costly);
        self.http.send_for(unit(endpoint), request, costly).await.map_err(|failure| {
            let spent = failure.spent && costly;
            attempt.mark_spent(spent);
            Failure { spent, ..failure }
        })
    }

    /// Reads a whole answer; whether what breaks off here is spent was decided when it was sent.
    async fn read(&self, response: Response) -> Result<Bytes, Failure> {
        self.http.body(response).await.map_err(|failure| Failure { spent: false, ..failure })
    }

    /// As [`read`](Self::read), for what may stream.
    async fn open(&self, response: Response) -> Result<Opened, Failure> {
        let opened = streamed::open(&self.http, response, streamed::refused).await;
        opened.map_err(|failure| Failure { spent: false, ..failure })
    }

    /// Forwards a request of this dialect and its answer as they are.
    async fn forward(&self, request: &OpenAiRequest, attempt: &Attempt) -> Result<Answer, Failure> {
        let upstream = attempt.upstream_model();
        let wish = request.body_with_usage(upstream);
        let send = |asks: bool| {
            let body = wish.clone().filter(|_| asks).unwrap_or_else(|| request.body_for(upstream));
            self.send(request.endpoint, request.content_type(), body, &request.passed, attempt)
        };
        let response = self.usage.ask(upstream, wish.is_some(), send).await?;
        let (status, hints) = (response.status().as_u16(), unit(request.endpoint).of(hints(response.headers())));
        let told = self.http.told(response.headers());
        let content_type = kind(&response);
        let body = if request.stream {
            match self.open(response).await? {
                Opened::Events(chunks) => return Ok(Answer { hints, told, ..Answer::new(Reply::Stream(chunks)) }),
                Opened::Whole(body) => body,
            }
        } else {
            self.read(response).await?
        };
        let body = whole(body, &content_type, request.endpoint, attempt)?;
        let usage = usage_of(&body).unwrap_or_default();
        let cost = request.endpoint.cost(usage);
        Ok(Answer { reply: Reply::Verbatim(Upstream { status, content_type, body }), usage, cost, hints, told })
    }

    /// Carries out typed work; `foreign` where another dialect named its parameters.
    async fn make(&self, work: &Work, foreign: bool, attempt: &Attempt) -> Result<Answer, Failure> {
        let upstream = attempt.upstream_model();
        let streams = matches!(work, Work::Text(task) if task.stream);
        let (endpoint, content_type, plain) = match work {
            Work::Image(task) if foreign => {
                let extra = fields::for_openai(&task.extra, upstream);
                encode(&Work::Image(ImageInference { extra, ..task.clone() }), upstream, false)?
            }
            work => encode(work, upstream, false)?,
        };
        let wish = if streams { encode(work, upstream, true)?.2 } else { Bytes::new() };
        let send = |asks: bool| {
            let body = if asks { &wish } else { &plain };
            self.send(endpoint, &content_type, body.clone().into(), &[], attempt)
        };
        let response = self.usage.ask(upstream, streams, send).await?;
        let (hints, told) = (unit(endpoint).of(hints(response.headers())), self.http.told(response.headers()));
        if streams {
            let pieces = match self.open(response).await? {
                Opened::Events(chunks) => streamed::deltas(chunks, DIALECT),
                Opened::Whole(body) => match openai::decode(endpoint, &body).map_err(|error| unreadable(&error))? {
                    Product::Text(text) => iter([Ok(text.into())]).boxed(),
                    _ => return Err(unreadable(&Malformed::new("answer", "is no text"))),
                },
            };
            return Ok(Answer { hints, told, ..Answer::new(Reply::Deltas(pieces)) });
        }
        let content_type = kind(&response);
        let body = whole(self.read(response).await?, &content_type, endpoint, attempt)?;
        let mut product = openai::decode(endpoint, &body).map_err(|error| unreadable(&error))?;
        self.fetch.fill(&mut product, form_asked(work)).await;
        let cost = actual_cost(work, &product);
        Ok(Answer { cost, hints, told, ..Answer::product(product) })
    }
}

impl Provider for OpenAi {
    fn call<'a>(&'a self, request: &'a Request, attempt: &'a Attempt) -> BoxFuture<'a, Result<Answer, Failure>> {
        Box::pin(async move {
            match request {
                Request::Wire(Wire::OpenAi(request)) => self.forward(request, attempt).await,
                Request::Typed(work) => self.make(work, false, attempt).await,
                Request::Wire(_) => self.make(&*translated(request)?, true, attempt).await,
            }
        })
    }

    fn background_response<'a>(
        &'a self,
        id: &'a str,
        upstream_model: &'a str,
        cancel: bool,
    ) -> BoxFuture<'a, Result<Upstream, Failure>> {
        Box::pin(async move {
            let (method, more) = if cancel { (Method::POST, Some("cancel")) } else { (Method::GET, None) };
            let url = self.response_url(id, more, upstream_model)?;
            let response = self.http.send(self.http.request(method, url)).await?;
            let status = response.status().as_u16();
            let body = self.read(response).await?;
            Ok(Upstream { status, content_type: "application/json".into(), body })
        })
    }

    fn forget_response<'a>(&'a self, id: &'a str, upstream_model: &'a str) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let url = self.response_url(id, None, upstream_model)?;
            match self.http.send(self.http.request(Method::DELETE, url)).await {
                Err(failure) if failure.upstream.as_ref().is_none_or(|answer| answer.status != 404) => Err(failure),
                _ => Ok(()),
            }
        })
    }
}

/// Returns what a request to an endpoint uses of the account's limits.
fn unit(endpoint: openai::Endpoint) -> Unit {
    match endpoint {
        openai::Endpoint::Images | openai::Endpoint::Edits => Unit::Images,
        _ => Unit::Tokens,
    }
}

/// Returns the content type of an answer.
fn kind(response: &Response) -> String {
    let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.unwrap_or("application/json").to_owned()
}

/// Checks a whole answer; what the provider itself says it did not make is not paid.
fn whole(body: Bytes, content_type: &str, endpoint: openai::Endpoint, attempt: &Attempt) -> Result<Bytes, Failure> {
    super::whole::checked(endpoint, content_type, body).map_err(|failure| {
        let spent = failure.spent && is_costly(endpoint);
        attempt.mark_spent(spent);
        Failure { spent, ..failure }
    })
}

/// Says whether a request is paid by the piece, so that it is not sent again once it may have been taken.
fn is_costly(endpoint: openai::Endpoint) -> bool {
    matches!(endpoint, openai::Endpoint::Images | openai::Endpoint::Edits)
}

/// Writes work as a request: its endpoint, content type and body, with or without the wish for a stream's usage.
fn encode(work: &Work, upstream: &str, with_usage: bool) -> Result<(openai::Endpoint, String, Bytes), Failure> {
    if let Work::Image(task) = work
        && !task.inputs.is_empty()
    {
        let wrong = |wrong: Malformed| Failure::new(Outcome::Rejected, wrong.to_string()).caused_by(wrong);
        let (content_type, body) = edits::encode(task, upstream).map_err(wrong)?;
        return Ok((openai::Endpoint::Edits, content_type, body));
    }
    let Some((endpoint, mut body)) = openai::encode(work, upstream) else {
        return Err(inexpressible(format!("an openai provider cannot do {} tasks", work.kind())));
    };
    if let Some(body) = body.as_object_mut().filter(|_| !with_usage) {
        body.remove("stream_options");
    }
    Ok((endpoint, "application/json".into(), body.to_string().into()))
}

/// Writes a model's name as one part of a path.
fn segment(model: &str) -> String {
    const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');
    utf8_percent_encode(model, RESERVED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of<A, F: Future>(_: impl Fn(A) -> F) -> usize {
        size_of::<F>()
    }

    /// Each call's future is boxed, and moved on its way there.
    #[test]
    fn what_a_call_takes_while_it_waits_is_small() {
        let call = |(provider, request, attempt): (&'static OpenAi, &'static OpenAiRequest, &'static Attempt)| {
            provider.forward(request, attempt)
        };
        assert!(bytes_of(call) <= 4_096, "{} bytes", bytes_of(call));
    }
}
