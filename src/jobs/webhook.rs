//! Deliveries: each is posted until a 2xx, with backoff and jitter, a bounded number of times.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use rand::RngExt;
use reqwest::{Client, Url, redirect};
use secrecy::ExposeSecret;
use sha2::Sha256;

use crate::clock::unix_time;
use crate::config::DeliverySettings;
use crate::provider::public::{PublicOnly, check};

/// Posts results to where tasks want them.
#[derive(Debug, Default)]
pub(crate) struct Webhooks {
    /// The client, and the hosts it trusts.
    client: Mutex<Option<(Vec<String>, Client)>>,
    pending: Arc<AtomicUsize>,
}

/// Counts a delivery as pending until it is dropped.
#[derive(Debug)]
struct Pending(Arc<AtomicUsize>);

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Webhooks {
    /// Reads an address that a task names.
    ///
    /// # Errors
    ///
    /// The problem, to stand behind the name of the field.
    pub(crate) fn check(url: &str, settings: &DeliverySettings) -> Result<Url, String> {
        check(url, &settings.webhooks.hosts)
    }

    /// Returns how many deliveries wait or are under way.
    pub(crate) fn pending(&self) -> usize {
        self.pending.load(Ordering::SeqCst)
    }

    /// Begins to deliver a body, in a task of its own.
    pub(crate) fn deliver(&self, settings: &DeliverySettings, url: Url, body: Bytes) {
        let host = url.host_str().unwrap_or_default().to_owned();
        self.pending.fetch_add(1, Ordering::SeqCst);
        let pending = Pending(self.pending.clone());
        if self.pending() > settings.webhooks.most as usize {
            tracing::warn!(host, "a webhook is given up: too many wait (webhooks.most)");
            return;
        }
        let client = match self.client(&settings.webhooks.hosts) {
            Ok(client) => client,
            Err(error) => return tracing::error!(host, "a webhook is given up: {error}"),
        };
        let settings = settings.clone();
        tokio::spawn(async move {
            let _pending = pending;
            let id = uuid::Uuid::new_v4().to_string();
            let mut ceiling = settings.webhooks.base.0;
            for attempt in 1..=settings.webhooks.attempts {
                let problem = match post(&client, &settings, &url, &body, &id).await {
                    Ok(status) if (200..300).contains(&status) => return,
                    Ok(status) => format!("status {status}"),
                    // The address stays out of it: it may hold a secret.
                    Err(error) => error.without_url().to_string(),
                };
                tracing::warn!(host, attempt, "a webhook was not taken: {problem}");
                if attempt < settings.webhooks.attempts {
                    let jitter = rand::rng().random_range(0.5..=1.0);
                    tokio::time::sleep(ceiling.mul_f64(jitter)).await;
                    ceiling = ceiling.saturating_mul(2).min(settings.webhooks.max.0);
                }
            }
            tracing::error!(host, "a webhook is given up after {} attempts", settings.webhooks.attempts);
        });
    }

    fn client(&self, hosts: &[String]) -> Result<Client, String> {
        let mut kept = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, client)) = kept.as_ref().filter(|(trusted, _)| trusted == hosts) {
            return Ok(client.clone());
        }
        let client = Client::builder()
            .user_agent(crate::config::USER_AGENT)
            .dns_resolver(Arc::new(PublicOnly { hosts: hosts.to_vec() }))
            .connect_timeout(Duration::from_secs(10))
            // A redirect would lead around the guard.
            .redirect(redirect::Policy::none())
            .no_proxy()
            .tls_backend_preconfigured(crate::provider::http::tls(true, None)?)
            .build()
            .map_err(|error| format!("no HTTP client: {error}"))?;
        *kept = Some((hosts.to_vec(), client.clone()));
        Ok(client)
    }
}

async fn post(
    client: &Client,
    settings: &DeliverySettings,
    url: &Url,
    body: &Bytes,
    id: &str,
) -> Result<u16, reqwest::Error> {
    let request = client.post(url.clone()).timeout(settings.webhooks.timeout.0);
    let mut request = request.header("content-type", "application/json").header("x-fairflow-delivery", id);
    if let Some(secret) = &settings.webhook_secret {
        request = request.header("x-fairflow-signature", sign(secret.expose_secret(), unix_time(), body));
    }
    Ok(request.body(body.clone()).send().await?.status().as_u16())
}

/// Signs the time and the body together, so that neither can be replayed with another.
fn sign(secret: &str, now: u64, body: &[u8]) -> String {
    use std::fmt::Write;
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(format!("{now}.").as_bytes());
    mac.update(body);
    let digest = mac.finalize().into_bytes();
    let mut hex = String::with_capacity(64);
    digest.iter().for_each(|byte| write!(hex, "{byte:02x}").unwrap_or_default());
    format!("t={now},v1={hex}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_hmac_of_time_and_body() {
        // printf '12.{}' | openssl dgst -sha256 -hmac secret
        let signed = sign("secret", 12, b"{}");
        assert_eq!(signed, "t=12,v1=773e3168d620c0ffe05ebb73e13b0cded4fe6220daed68d8fcb2a796f2d784dc");
    }
}
