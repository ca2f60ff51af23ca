//! Results that a service keeps, fetched for callers who want them in the answer itself.
//!
//! A provider names the address and could name anybody's, also one inside the network that the gateway stands in. So it
//! leads to the provider's own origin or to the open internet, and never gets the key.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use futures_util::StreamExt;
use futures_util::future::join_all;
use reqwest::{Client, Url, redirect};

use super::http::tls;
use super::public::{PublicOnly, check};
use crate::config::{Authorities, Endpoint};
use crate::task::Product;
use crate::wire::fields::Form;
use crate::wording;

/// Longest that one file may take.
const TIMEOUT: Duration = Duration::from_secs(60);
/// How often one is fetched: the file may be there a moment after its address.
const TRIES: u32 = 3;
/// Wait before the second try; each further one waits as long again.
const PAUSE: Duration = Duration::from_millis(200);

/// Fetches what an account's results lie behind.
#[derive(Debug)]
pub(super) struct Fetch {
    base: Url,
    authorities: Option<Authorities>,
    /// Hosts that may have any address, as the provider's own.
    hosts: Vec<String>,
    /// Most bytes of all files of one result.
    limit: usize,
    /// Made when it is needed first: most accounts never do.
    client: OnceLock<Result<Client, String>>,
}

impl Fetch {
    /// Makes ready to fetch from an account's own origin, from `hosts`, and from the open internet.
    ///
    /// # Errors
    ///
    /// A sentence, where the base URL is none.
    pub(super) fn new(endpoint: &Endpoint, hosts: &[String]) -> Result<Self, String> {
        let shown = || wording::shown(&endpoint.base_url);
        let base = Url::parse(&endpoint.base_url).map_err(|error| format!("{} is no URL: {error}", shown()))?;
        let (authorities, hosts) = (endpoint.authorities.clone(), hosts.to_vec());
        Ok(Self { base, authorities, hosts, limit: endpoint.max_response, client: OnceLock::new() })
    }

    fn client(&self) -> Result<Client, String> {
        let made = self.client.get_or_init(|| {
            let own = self.base.host_str().map(str::to_owned);
            let hosts = own.into_iter().chain(self.hosts.iter().cloned()).collect();
            Client::builder()
                .dns_resolver(Arc::new(PublicOnly { hosts }))
                .connect_timeout(Duration::from_secs(10))
                .timeout(TIMEOUT)
                // A redirect would lead around the guard.
                .redirect(redirect::Policy::none())
                .no_proxy()
                .tls_backend_preconfigured(tls(true, self.authorities.as_ref())?)
                .build()
                .map_err(|error| format!("no HTTP client: {error}"))
        });
        made.clone()
    }

    /// Puts files into a product that is wanted in some `form`. One that cannot be fetched stays an address: it is made,
    /// and paid.
    pub(super) async fn fill(&self, product: &mut Product, form: Option<Form>) {
        if !matches!(form, Some(Form::Base64 | Form::DataUri)) {
            return;
        }
        let mut places: Vec<(&mut Option<String>, &String)> = Vec::new();
        match product {
            Product::Image(result) => {
                let images = result.images.iter_mut();
                places.extend(images.filter_map(|image| Some((&mut image.base64, image.url.as_ref()?))));
            }
            Product::Audio(result) => {
                let audios = result.audios.iter_mut();
                places.extend(audios.filter_map(|audio| Some((&mut audio.base64, audio.url.as_ref()?))));
            }
            _ => {}
        }
        let left = &AtomicUsize::new(self.limit);
        join_all(places.into_iter().filter(|(base64, _)| base64.is_none()).map(|(base64, url)| async move {
            match self.base64(url, left).await {
                Ok(data) => *base64 = Some(data),
                // The address stays out of it: it may hold a secret.
                Err(problem) => tracing::warn!(problem, "a result is told by its address: it cannot be fetched"),
            }
        }))
        .await;
    }

    /// Returns what lies at an address, or in it, as base64.
    async fn base64(&self, url: &str, left: &AtomicUsize) -> Result<String, String> {
        if let Some(data) = url.strip_prefix("data:") {
            let (_, data) = data.split_once(";base64,").ok_or("a data URI is not in base64")?;
            return Ok(data.to_owned());
        }
        let url = self.admit(url)?;
        let mut problem = String::new();
        for before in 0..TRIES {
            tokio::time::sleep(PAUSE * before).await;
            match self.get(url.clone(), left).await {
                Ok(bytes) => return Ok(STANDARD.encode(bytes)),
                Err(said) => problem = said,
            }
        }
        Err(problem)
    }

    fn admit(&self, url: &str) -> Result<Url, String> {
        match Url::parse(url) {
            Ok(own) if own.origin() == self.base.origin() && own.username().is_empty() => Ok(own),
            _ => check(url, &self.hosts).map_err(|problem| format!("its address {problem}")),
        }
    }

    async fn get(&self, url: Url, left: &AtomicUsize) -> Result<BytesMut, String> {
        let broken = |error: reqwest::Error| error.without_url().to_string();
        let response = self.client()?.get(url).send().await.map_err(broken)?;
        if !response.status().is_success() {
            return Err(format!("status {}", response.status().as_u16()));
        }
        let (mut body, mut chunks) = (BytesMut::new(), response.bytes_stream());
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(broken)?;
            let taken = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(chunk.len()));
            taken.map_err(|_| format!("it is larger than {} bytes (max_response)", self.limit))?;
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}
