//! The edge that every request passes first: `HEAD` becomes `GET`, other web pages are kept out, and those that may come are told so.

use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::HttpResponse;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::{Bytes, Data};

use super::http::origin::Pages;
use super::routes;

/// Longest list of headers that a preflight is granted.
const LONGEST_LIST: usize = 2_048;
/// Headers of an answer that a page may read.
const EXPOSED: &str = "x-request-id, x-fairflow-reason, x-fairflow-queue-ms, x-fairflow-upstream-ms, x-fairflow-attempts, \
                       x-fairflow-route, x-fairflow-upstream-id, retry-after, retry-after-ms, x-should-retry, \
                       x-ratelimit-limit-requests, x-ratelimit-remaining-requests, x-ratelimit-reset-requests";

/// A body that says its length and is not sent: the answer to a `HEAD`.
struct Unsent(BodySize);

impl MessageBody for Unsent {
    type Error = std::convert::Infallible;

    fn size(&self) -> BodySize {
        self.0
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Poll::Ready(None)
    }
}

/// Answers `HEAD` as `GET`, without the body (RFC 9110 §9.3.2).
pub(super) async fn head(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let is_head = *request.method() == Method::HEAD && !request.headers().contains_key(header::UPGRADE);
    if is_head {
        request.head_mut().method = Method::GET;
    }
    let response = next.call(request).await?;
    Ok(response.map_body(|_, body| if is_head { Unsent(body.size()).boxed() } else { body.boxed() }))
}

/// Keeps other pages out of the public port, and answers those that `[server] cors` names as browsers want it.
pub(super) async fn pages(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let Some(pages) = request.app_data::<Data<Pages>>().cloned() else {
        return Ok(next.call(request).await?.map_into_boxed_body());
    };
    let origin = pages.named(request.headers()).cloned();
    if let Err(refusal) = pages.check(request.request()) {
        let response = routes::refused_at(request.path(), &refusal);
        return Ok(request.into_response(response));
    }
    let Some(origin) = origin else { return Ok(next.call(request).await?.map_into_boxed_body()) };
    let mut response = match preflight(&request) {
        Some(granted) => request.into_response(granted),
        None => next.call(request).await?.map_into_boxed_body(),
    };
    allow(response.headers_mut(), origin);
    Ok(response)
}

/// Answers what a browser asks before it sends a page's request.
fn preflight(request: &ServiceRequest) -> Option<HttpResponse> {
    let asked = |name: &str| request.headers().get(name);
    let method = asked("access-control-request-method").filter(|_| *request.method() == Method::OPTIONS)?;
    let mut granted = HttpResponse::build(StatusCode::NO_CONTENT);
    granted
        .insert_header(("access-control-allow-methods", method.clone()))
        .insert_header(("access-control-max-age", "600"));
    if let Some(headers) = asked("access-control-request-headers").filter(|list| list.len() <= LONGEST_LIST) {
        granted.insert_header(("access-control-allow-headers", headers.clone()));
    }
    if asked("access-control-request-private-network").is_some() {
        granted.insert_header(("access-control-allow-private-network", "true"));
    }
    Some(granted.finish())
}

fn allow(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    headers.append(header::VARY, HeaderValue::from_static("origin"));
}
