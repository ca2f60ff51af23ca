//! The key of the admin port.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};
use secrecy::ExposeSecret;
use subtle::ConstantTimeEq;

use crate::config::KeyHash;
use crate::gateway::app::Gateway;
use crate::gateway::http::caller::bearer;
use crate::gateway::http::origin;
use crate::gateway::http::refusal::Refusal;

/// An operator: a request with the admin key, which no other web page has sent.
#[derive(Debug)]
pub(in crate::gateway) struct Operator;

impl Operator {
    /// Checks the key, which the port asks for unless it is on loopback and no key is configured.
    fn of(request: &HttpRequest) -> Result<Self, Refusal> {
        let gateway =
            request.app_data::<Data<Gateway>>().ok_or_else(|| Refusal::internal("the gateway is not there"))?;
        let settings = gateway.fairflow.settings();
        origin::check(request, settings.admin_key.is_some())?;
        let allowed = match &settings.admin_key {
            None => gateway.admin_on_loopback,
            // Hashed first, so that not even its length shows in the time it takes.
            Some(key) => bearer(request)
                .is_some_and(|given| KeyHash::of(given).0.ct_eq(&KeyHash::of(key.expose_secret()).0).into()),
        };
        if allowed { Ok(Self) } else { Err(Refusal::invalid_key()) }
    }
}

impl FromRequest for Operator {
    type Error = Refusal;
    type Future = Ready<Result<Self, Refusal>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::of(request))
    }
}
