//! Policies: how a stack's requests are scheduled.

use std::time::Duration;

use crate::contract::failure::Failure;
use crate::engine::caller::plan::Plan;

/// Says how requests are scheduled, which can be sent again, and what their responses mean.
///
/// # Examples
///
/// ```
/// use fairflow::provider::Failure;
/// use fairflow::tower::{Plan, Policy, http_failure};
/// use http::{Request, Response};
///
/// #[derive(Clone)]
/// struct ByHeader;
///
/// impl<E> Policy<Request<String>, Response<String>, E> for ByHeader {
///     fn plan(&self, request: &Request<String>) -> Plan {
///         let tenant = request.headers().get("x-tenant").and_then(|name| name.to_str().ok()).unwrap_or("default");
///         Plan::new("gpt-test").tenant(tenant)
///     }
///
///     fn clone_request(&self, request: &Request<String>) -> Option<Request<String>> {
///         Some(request.clone())
///     }
///
///     fn classify(&self, result: Result<&Response<String>, &E>) -> Option<Failure> {
///         result.map_or(Some(Failure::from_status(503)), http_failure)
///     }
/// }
/// ```
pub trait Policy<Request, Response, Error> {
    /// Says how a request is scheduled.
    fn plan(&self, request: &Request) -> Plan;

    /// Clones a request, so that it can be sent again; `None`, the default, where it must not or cannot be.
    fn clone_request(&self, _: &Request) -> Option<Request> {
        None
    }

    /// Says how an attempt failed, `None` where it did not. By default an error of the inner service is the request's
    /// own fault and any response a success.
    ///
    /// A request that fails in a retryable way is sent again, if it can be; otherwise the scheduler learns from the
    /// failure and the caller gets the inner service's own response or error.
    fn classify(&self, result: Result<&Response, &Error>) -> Option<Failure> {
        result.err().map(|_| Failure::new(crate::core::outcome::Outcome::Rejected, "the inner service failed"))
    }
}

impl<F, Request, Response, Error> Policy<Request, Response, Error> for F
where
    F: Fn(&Request) -> Plan,
{
    fn plan(&self, request: &Request) -> Plan {
        self(request)
    }
}

/// Reads an HTTP response: `None` below 400, else what [`Failure::from_status`] says, with `retry-after` in whole seconds.
#[must_use]
pub fn http_failure<B>(response: &http::Response<B>) -> Option<Failure> {
    let status = response.status().as_u16();
    let failure = (status >= 400).then(|| Failure::from_status(status))?;
    let stated = response.headers().get(http::header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    Some(Failure { retry_after: stated.map(Duration::from_secs), ..failure })
}
