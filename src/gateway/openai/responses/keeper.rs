//! Keeps the answers to requests that ask for it.

use std::sync::Arc;

use bytes::Bytes;
use memchr::memmem;
use serde_json::Value;

use super::store::{Holder, Kept, is_under_way, items, keep, said};
use crate::Fairflow;
use crate::engine::view::receipt::Receipt;
use crate::jobs::{Jobs, Key};
use crate::wire::openai::{Endpoint, OpenAiRequest};
use crate::wire::sse::Event;

/// Longest id of a response that is kept, in bytes: it is the provider's word.
const LONGEST_ID: usize = 256;

/// Keeps the answer to one request.
#[derive(Debug)]
pub(in crate::gateway) struct Keeper {
    pub(super) responses: Jobs<Kept>,
    pub(super) fairflow: Fairflow,
    tenant: Arc<str>,
    /// The input, as it stands in the request's body.
    input: Bytes,
    /// The account whose stream is forwarded, if any is.
    streamed: Option<Holder>,
    /// Whether the next turn may go to another account.
    is_spread: bool,
}

impl Keeper {
    /// Makes ready to keep the response to a request; `None` where it asks for none, or not to keep it.
    pub(in crate::gateway) fn of(
        fairflow: &Fairflow,
        responses: &Jobs<Kept>,
        tenant: &Arc<str>,
        request: &OpenAiRequest,
    ) -> Option<Self> {
        if request.endpoint != Endpoint::Responses || request.turn.is_private {
            return None;
        }
        let settings = fairflow.settings();
        let routes = settings.models.get(&*request.model).map_or(&[][..], |model| &model.routes);
        Some(Self {
            is_spread: routes.windows(2).any(|pair| pair[0].provider != pair[1].provider),
            responses: responses.clone(),
            fairflow: fairflow.clone(),
            tenant: tenant.clone(),
            input: request.input(),
            streamed: None,
        })
    }

    /// Keeps a response that was written here.
    pub(in crate::gateway) fn keep(&self, answer: &Value) {
        self.put(answer, answer.to_string().into(), None);
    }

    /// Keeps a provider's own response; returns its key where it is only begun.
    pub(in crate::gateway) fn keep_verbatim(&self, body: &Bytes, receipt: &Receipt) -> Option<Key> {
        let answer = serde_json::from_slice(body).ok()?;
        self.put(&answer, body.clone(), Some(Holder::of(receipt))).filter(|_| is_under_way(&answer))
    }

    /// Makes ready for the stream of the account that answers.
    pub(in crate::gateway) fn expect(&mut self, receipt: &Receipt) {
        self.streamed = Some(Holder::of(receipt));
    }

    /// Looks whether an event that is forwarded ends a response, or begins one that outlives its stream.
    pub(in crate::gateway) fn pass(&self, event: &Event) {
        // Only the last event has the whole of it.
        const ENDS: [&str; 2] = ["response.completed", "response.incomplete"];
        const BEGINS: &str = "response.created";
        if !ENDS.iter().chain([&BEGINS]).any(|kind| memmem::find(event.raw(), kind.as_bytes()).is_some()) {
            return;
        }
        let event: Value = event.data().and_then(|data| serde_json::from_str(&data).ok()).unwrap_or_default();
        let answer = &event["response"];
        let is_told = match event["type"].as_str() {
            Some(BEGINS) => answer["background"] == true,
            kind => kind.is_some_and(|kind| ENDS.contains(&kind)),
        };
        if is_told {
            self.put(answer, answer.to_string().into(), self.streamed.clone());
        }
    }

    /// Keeps an answer, which is `text` as it was told, and the conversation where it is needed here.
    fn put(&self, answer: &Value, text: Bytes, holder: Option<Holder>) -> Option<Key> {
        let id = answer["id"].as_str().filter(|id| !id.is_empty() && id.len() <= LONGEST_ID)?;
        let turns = (holder.is_none() || self.is_spread).then(|| {
            let mut turns = items(serde_json::from_slice(&self.input).ok());
            turns.extend(said(answer));
            turns
        });
        let under_way = holder.is_some() && is_under_way(answer);
        let key: Key = (self.tenant.clone(), id.into());
        keep(&self.responses, &self.fairflow, &key, Kept { answer: text, turns, holder, under_way });
        Some(key)
    }
}
