//! Responses that a provider makes in the background: asked for where they are made, and their slot held meanwhile.

use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use bytes::Bytes;
use serde_json::Value;
use tracing::Instrument;

use super::keeper::Keeper;
use super::store::{Kept, is_under_way, keep, said, told};
use crate::engine::caller::slot::Settling;
use crate::gateway::app::Gateway;
use crate::gateway::http::refusal::Refusal;
use crate::jobs::{Jobs, Key};
use crate::provider::{Failure, Outcome};
use crate::task::Usage;
use crate::wire::Malformed;
use crate::wire::openai::Endpoint;
use crate::{Error, Fairflow};

/// Longest that a provider may take to forget a response, or to say how it stands.
const ASK_TIMEOUT: Duration = Duration::from_secs(30);
/// First wait between two questions while a slot is held.
const FIRST: Duration = Duration::from_millis(500);
/// Longest wait between two questions while a slot is held; waits grow by half.
const LONGEST: Duration = Duration::from_secs(5);

/// Answers with how a response stands now; with `cancel`, after it was told to stop.
pub(super) async fn tell(gateway: &Gateway, key: &Key, kept: &Kept, cancel: bool) -> Result<HttpResponse, Refusal> {
    let asked = ask(&gateway.fairflow, &gateway.responses, key, kept, cancel).await;
    let (answer, _) = asked.map_err(Refusal::unscheduled)?;
    Ok(told(answer))
}

/// Waits for an answer about a response, outside any schedule; what fails is for the caller to ask again.
pub(super) async fn asked_once<T>(asked: impl Future<Output = Result<T, Failure>>) -> Result<T, Error> {
    match tokio::time::timeout(ASK_TIMEOUT, asked).await {
        Ok(Ok(told)) => Ok(told),
        Ok(Err(failure)) if failure.outcome.is_retryable() => {
            let retry_after = failure.retry_after.unwrap_or(Duration::from_secs(1));
            Err(Error::RetriesExhausted { attempts: 1, retry_after, last: Box::new(failure) })
        }
        Ok(Err(failure)) => Err(Error::Rejected(Box::new(failure))),
        Err(_) => Err(Error::UpstreamTimeout { attempts: 1 }),
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
pub(in crate::gateway) fn hold(keeper: &Keeper, key: Key, settling: Settling, longest: Duration) {
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
