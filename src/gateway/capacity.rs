//! `/v1/capacity`: snapshots, once or as they change.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use super::state::Gateway;
use super::{auth, event_stream, feed, openai, refusal};
use crate::Error;

pub(super) async fn all(request: HttpRequest, gateway: Data<Gateway>) -> HttpResponse {
    let fairflow = &gateway.fairflow;
    let models = fairflow.capacity().into_iter().map(|model| model.model.to_string()).collect();
    respond(&request, &gateway, models, false).await
}

pub(super) async fn one(request: HttpRequest, model: Path<String>, gateway: Data<Gateway>) -> HttpResponse {
    respond(&request, &gateway, vec![model.into_inner()], true).await
}

/// Answers with `models`; unless they were `named` by the caller, one that has just retired is left out.
async fn respond(request: &HttpRequest, gateway: &Data<Gateway>, models: Vec<String>, named: bool) -> HttpResponse {
    let id = refusal::request_id(request);
    let settings = gateway.fairflow.settings();
    let tenant = match auth::tenant(request, &settings, None) {
        Ok(tenant) => tenant,
        Err(refusal) => return openai::refuse(gateway, &refusal, &id),
    };
    let policy = gateway.fairflow.policy(&tenant);
    let models: Vec<String> = models.into_iter().filter(|model| named || policy.allows(model)).collect();
    let refuse = |error: Error| openai::refuse(gateway, &error.into(), &id);
    let live = request.headers().get("accept").and_then(|accept| accept.to_str().ok());
    if live.is_some_and(|accept| accept.contains("text/event-stream")) {
        let feeds = models.iter().map(|model| feed::subscribe(gateway, &policy, model));
        let feeds: Result<Vec<_>, Error> = feeds.filter(|feed| named || !retired(feed)).collect();
        return match feeds {
            Ok(feeds) => {
                let mut response = HttpResponse::Ok();
                event_stream::begin(&mut response, &id);
                response.streaming(feed::events(feeds, gateway.draining(), settings.server.keep_alive.0))
            }
            Err(error) => refuse(error),
        };
    }
    let views = models.iter().map(|model| gateway.fairflow.capacity_of(model, Some(&tenant)));
    let views = futures_util::future::join_all(views).await.into_iter();
    let views: Result<Vec<_>, Error> = views.filter(|view| named || !retired(view)).collect();
    match views {
        Ok(views) => HttpResponse::Ok().insert_header(("x-request-id", id)).json(json!({"models": views})),
        Err(error) => refuse(error),
    }
}

fn retired<T>(found: &Result<T, Error>) -> bool {
    matches!(found, Err(Error::UnknownModel { .. }))
}
