//! Responses that a provider makes in the background: asked for where they are made, and their slot held meanwhile.

use std::sync::Arc;
use std::time::Duration;

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use serde_json::Value;
use tracing::Instrument;

use super::kept::{Keeper, Kept, asked_once, find, keep, said, told};
use super::{own, refuse};
use crate::engine::caller::slot::Settling;
use crate::gateway::refusal::{Refusal, request_id};
use crate::gateway::state::Gateway;
use crate::jobs::{Jobs, Key};
use crate::provider::{Failure, Outcome};
use crate::task::Usage;
use crate::wire::Malformed;
use crate::wire::openai::Endpoint;
use crate::{Error, Fairflow};

/// Waits between the questions of who holds a slot: the first, and the longest.
const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(5);

/// Says whether a response is not made yet.
pub(super) fn is_under_way(answer: &Value) -> bool {
    matches!(answer["status"].as_str(), Some("queued" | "in_progress"))
}

/// `POST /v1/responses/{id}/cancel`.
pub(in crate::gateway) async fn cancel(
    request: HttpRequest,
    response: Path<String>,
    gateway: Data<Gateway>,
) -> HttpResponse {
    let id = request_id(&request);
    let found = own(&request, &gateway, &response);
    match found.and_then(|key| find(&gateway, &key).map(|kept| (key, kept)).ok_or_else(Refusal::unknown_response)) {
        Ok((key, kept)) if kept.under_way => tell(&gateway, &key, &kept, true, &id).await,
        // What has ended stays as it is.
        Ok((_, kept)) => told(kept.answer.clone(), &id),
        Err(refusal) => refuse(&gateway, &refusal, &id),
    }
}

/// Answers with how a response stands now; with `cancel`, after it was told to stop.
pub(super) async fn tell(gateway: &Gateway, key: &Key, kept: &Kept, cancel: bool, id: &str) -> HttpResponse {
    match ask(&gateway.fairflow, &gateway.responses, key, kept, cancel).await {
        Ok((answer, _)) => told(answer, id),
        Err(error) => refuse(gateway, &error.into(), id),
    }
}

/// Asks the account that makes a response how it stands, and keeps what it says.
async fn ask(
    fairflow: &Fairflow,
    responses: &Jobs<Kept>,
    key: &Key,
    kept: &Kept,
    cancel: bool,
) -> Result<(Bytes, Value), Error> {
    let gone = || Malformed::new("response_id", "is made by an account that is not configured any more");
    let holder = kept.holder.as_ref().ok_or_else(gone)?;
    let client = fairflow.client_of(&holder.account).await?.ok_or_else(gone)?;
    let told = asked_once(client.background_response(&key.1, &holder.upstream_model, cancel)).await?.body;
    let answer: Value = serde_json::from_slice(&told).unwrap_or_default();
    if answer["id"].as_str() != Some(&key.1) {
        let failure = Failure::new(Outcome::Failed, "the provider's answer is no such response");
        return Err(Error::RetriesExhausted { attempts: 1, retry_after: FIRST, last: Box::new(failure) });
    }
    let under_way = is_under_way(&answer);
    // What was forgotten meanwhile stays so.
    if responses.find(key, fairflow.now()).is_some() {
        let said = if under_way { Vec::new() } else { said(&answer) };
        let turns = kept.turns.clone().map(|mut turns| {
            turns.extend(said);
            turns
        });
        keep(responses, fairflow, key, Kept { answer: told.clone(), turns, holder: kept.holder.clone(), under_way });
    }
    Ok((told, answer))
}

/// Holds the slot of a response that is begun until it is made, or `longest` has passed.
pub(super) fn hold(keeper: &Keeper, key: Key, settling: Settling, longest: Duration) {
    let (fairflow, responses) = (keeper.fairflow.clone(), keeper.responses.clone());
    let holding = async move {
        let made = tokio::time::timeout(longest, made(&fairflow, &responses, &key)).await;
        settle(settling, made.ok().flatten());
    };
    tokio::spawn(holding.in_current_span());
}

/// Waits until a response is made; `None` where nobody will know.
async fn made(fairflow: &Fairflow, responses: &Jobs<Kept>, key: &Key) -> Option<Value> {
    let mut pause = FIRST;
    loop {
        tokio::time::sleep(pause).await;
        pause = pause.mul_f64(1.5).min(LONGEST);
        let kept: Arc<Kept> = responses.find(key, fairflow.now())?.1.borrow().clone()?;
        if !kept.under_way {
            return serde_json::from_slice(&kept.answer).ok();
        }
        match ask(fairflow, responses, key, &kept, false).await {
            Ok((_, answer)) if !is_under_way(&answer) => return Some(answer),
            Err(Error::Rejected(_) | Error::InvalidRequest(_)) => return None,
            Ok(_) | Err(_) => {}
        }
    }
}

/// Ends the attempt as its response did.
fn settle(mut settling: Settling, made: Option<Value>) {
    let Some(made) = made else { return settling.done() };
    if made["status"] == "failed" {
        let words = made["error"]["message"].as_str().unwrap_or("the response failed at the provider");
        return settling.slot.fail(&Failure::new(Outcome::Failed, words));
    }
    if let Some(usage) = made["usage"].as_object().map(Usage::from_json) {
        (settling.usage, settling.cost) = (usage, Endpoint::Responses.cost(usage));
    }
    settling.done();
}
