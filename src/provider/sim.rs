//! A simulated provider in process: finite capacity, honest refusals, seeded service times.

mod raw;
mod text;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::stream::StreamExt;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use serde_json::{Map, Value};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::translate::unreadable_request;
use super::{Answer, Attempt, BoxFuture, Failure, Outcome, Provider, RateHint, RateHints, Reply};
use crate::config::SimConfig;
use crate::core::pacer::{Pacer, Rates};
use crate::core::time::Time;
use crate::task::Task as _;
use crate::task::{
    Audio, AudioResult, EmbeddingResult, Image, ImageResult, Product, RawResult, TextDelta, TextResult, Usage, Video,
    VideoResult, Work,
};
use crate::wire::Request;

/// A transparent pixel, PNG, base64.
const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==";
/// An MP4 of no picture, base64.
const FILM: &str = "AAAAGGZ0eXBpc29tAAACAGlzb21tcDQxAAAACGZyZWU=";

/// A provider that behaves as its [`SimConfig`] says: a concurrency cap or a silent queue, a rate bucket, an outage,
/// requests that hang, lognormal service times. It runs on tokio's clock, so paused time makes it instantaneous.
#[derive(Debug)]
pub struct Sim {
    config: SimConfig,
    started: Instant,
    slots: Arc<Semaphore>,
    /// Places at all, served or waiting.
    places: Arc<Semaphore>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    random: Xoshiro256PlusPlus,
    bucket: Pacer,
}

impl Sim {
    /// Builds a provider that starts idle.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "a provider is outside the engine and has its own beginning")]
    pub fn new(config: SimConfig) -> Self {
        let slots = config.capacity as usize;
        let rates = Rates { requests_per_minute: config.requests_per_minute, tokens_per_minute: None };
        Self {
            started: Instant::now(),
            slots: Arc::new(Semaphore::new(slots)),
            places: Arc::new(Semaphore::new(slots + config.queue as usize)),
            state: Mutex::new(State {
                random: Xoshiro256PlusPlus::seed_from_u64(config.seed),
                bucket: Pacer::new(rates, Time::ZERO),
            }),
            config,
        }
    }

    fn with_state<R>(&self, act: impl FnOnce(&mut State) -> R) -> R {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Refuses where an outage or the rate bucket says so.
    fn admit(&self) -> Result<RateHints, Failure> {
        let elapsed = self.started.elapsed();
        let refuse = |outcome, message: &str| {
            let failure = Failure::new(outcome, message);
            Err(match self.config.retry_after {
                Some(wait) => failure.retry_after(wait.0),
                None => failure,
            })
        };
        if let (Some(after), Some(span)) = (self.config.outage_after, self.config.outage_for)
            && elapsed >= after.0
            && elapsed < after.0 + span.0
        {
            return refuse(Outcome::Overloaded, "the simulated provider is out of order");
        }
        let now = Time::ZERO + elapsed;
        let Some(limit) = self.config.requests_per_minute else { return Ok(RateHints::default()) };
        let (ready, left) = self.with_state(|state| {
            let ready = state.bucket.ready_at(now, 0.0);
            if ready <= now {
                state.bucket.take(now, 0.0);
            }
            (ready, state.bucket.allowance(now, 1.0))
        });
        let hint = RateHint { limit: Some(limit), remaining: f64::from(left), ..RateHint::default() };
        let requests = self.config.headers.then_some(hint);
        let hints = RateHints { requests, ..RateHints::default() };
        if ready > now {
            let mut failure = Failure::new(Outcome::RateLimited, "the simulated provider's rate is used up");
            failure.retry_after = self.config.headers.then(|| ready.since(now));
            return Err(Failure { hints: Box::new(hints), ..failure });
        }
        Ok(hints)
    }

    /// Draws a service time: lognormal around the median, larger for a larger request where size matters.
    fn service(&self, cost: u32) -> Option<Duration> {
        let (hangs, normal) = self.with_state(|state| {
            let [a, b, c] = std::array::from_fn(|_| state.random.random::<f64>());
            // Box–Muller; 1 − a is never zero.
            (c < self.config.hang, (-2.0 * (1.0 - a).ln()).sqrt() * (std::f64::consts::TAU * b).cos())
        });
        let size = if self.config.unit_cost == 0 { 1.0 } else { f64::from(cost) / f64::from(self.config.unit_cost) };
        let seconds = self.config.service.0.as_secs_f64() * size * (self.config.sigma * normal).exp();
        (!hangs).then(|| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
    }
}

impl Provider for Sim {
    fn call<'a>(&'a self, request: &'a Request, attempt: &'a Attempt) -> BoxFuture<'a, Result<Answer, Failure>> {
        Box::pin(async move {
            let hints = self.admit()?;
            let work = request.work().map_err(unreadable_request)?;
            text::check(&work)?;
            let Ok(place) = self.places.clone().try_acquire_owned() else {
                let failure = Failure::new(Outcome::Throttled, "the simulated provider is at its concurrency limit");
                let retry_after = self.config.retry_after.map(|wait| wait.0);
                return Err(Failure { retry_after, hints: Box::new(hints), ..failure });
            };
            let slot =
                self.slots.clone().acquire_owned().await.map_err(|_| Failure::new(Outcome::Overloaded, "closed"))?;
            let Some(service) = self.service(work.cost().units()) else {
                return std::future::pending().await;
            };
            let streams = request.wants_stream() && matches!(work, Work::Text(_));
            let product = product(&work, attempt);
            if let (true, Product::Text(result)) = (streams, &product) {
                // The stream holds its place and its slot until it ends or is dropped.
                let held = (place, slot);
                let words = spell(result.clone(), service).map(move |word| {
                    let _held = &held;
                    word
                });
                return Ok(Answer { hints, ..Answer::new(Reply::Deltas(words.boxed())) });
            }
            tokio::time::sleep(service).await;
            Ok(Answer { hints, ..Answer::product(product) })
        })
    }
}

/// Spells a text word by word over `span`.
fn spell(result: TextResult, span: Duration) -> futures_util::stream::BoxStream<'static, Result<TextDelta, Failure>> {
    let words: Vec<String> = result.text.split_inclusive(' ').map(str::to_owned).collect();
    let pause = span / u32::try_from(words.len().max(1)).unwrap_or(u32::MAX);
    let pieces = words.into_iter().map(|text| TextDelta { text, ..TextDelta::default() });
    let last = TextDelta { finish_reason: result.finish_reason, usage: Some(result.usage), ..TextDelta::default() };
    futures_util::stream::iter(pieces.chain([last]))
        .then(move |delta| async move {
            tokio::time::sleep(pause).await;
            Ok(delta)
        })
        .boxed()
}

fn product(work: &Work, attempt: &Attempt) -> Product {
    match work {
        Work::Text(task) => Product::Text(text::write(task)),
        Work::Image(task) => images(task.count, &task.extra),
        Work::Upscale(task) => images(1, &task.extra),
        Work::Embedding(task) => {
            let dimensions = task.dimensions.unwrap_or(8).clamp(1, 4_096);
            let vectors = task.inputs.iter().map(|text| embed(text, dimensions)).collect();
            let tokens = task.inputs.iter().map(|text| (text.len() as u64).div_ceil(4)).sum();
            Product::Embedding(EmbeddingResult {
                vectors,
                usage: Usage { input_tokens: Some(tokens), ..Usage::default() },
            })
        }
        Work::Video(task) => {
            let video = |_| {
                let id = uuid::Uuid::new_v4().to_string();
                let url = Some(format!("data:video/mp4;base64,{FILM}"));
                Video { id: Some(id), url, seed: Some(1), ..Video::default() }
            };
            let videos: Vec<Video> = (0..task.count.clamp(1, 64)).map(video).collect();
            let dollars = Some(0.001 * videos.len() as f64);
            Product::Video(VideoResult { videos, usage: Usage { dollars, ..Usage::default() } })
        }
        Work::Audio(task) => {
            let audio = |_| {
                let id = uuid::Uuid::new_v4().to_string();
                let url = Some(format!("https://{}.invalid/{id}", attempt.provider()));
                Audio { id: Some(id), url, ..Audio::default() }
            };
            let audios: Vec<Audio> = (0..task.count.clamp(1, 64)).map(audio).collect();
            let dollars = Some(0.001 * audios.len() as f64);
            Product::Audio(AudioResult { audios, usage: Usage { dollars, ..Usage::default() } })
        }
        Work::Raw(task) => {
            let items = raw::results(task, attempt.provider());
            let dollars = Some(0.001 * items.len() as f64);
            Product::Raw(RawResult { items, usage: Usage { dollars, ..Usage::default() }, ..RawResult::default() })
        }
    }
}

fn images(count: u64, extra: &Map<String, Value>) -> Product {
    let inline = extra.get("response_format").is_some_and(|format| format == "b64_json")
        || extra.get("outputType").is_some_and(|kind| kind == "base64Data");
    let image = || {
        let id = Some(uuid::Uuid::new_v4().to_string());
        let (url, base64) = if inline {
            (None, Some(PIXEL.to_owned()))
        } else {
            (Some(format!("data:image/png;base64,{PIXEL}")), None)
        };
        Image { id, url, base64, seed: Some(1), ..Image::default() }
    };
    let images: Vec<Image> = (0..count.clamp(1, 64)).map(|_| image()).collect();
    let dollars = Some(0.001 * images.len() as f64);
    Product::Image(ImageResult { images, usage: Usage { dollars, ..Usage::default() } })
}

/// A vector that depends on nothing but the text, of length one.
fn embed(text: &str, dimensions: u64) -> Vec<f32> {
    let seed = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let raw: Vec<f32> = (0..dimensions).map(|_| random.random::<f32>() - 0.5).collect();
    let length = raw.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    raw.into_iter().map(|x| x / length).collect()
}
