//! Which videos a tenant has, and forgetting them.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use reqwest::Url;
use serde_json::{Value, json};

use super::super::forget;
use super::{describe, refuse};
use crate::gateway::auth;
use crate::gateway::refusal::{Refusal, request_id};
use crate::gateway::state::Gateway;
use crate::wire::Malformed;

/// Videos on a page, where the caller does not say, and at most.
const PAGE: usize = 20;
const LARGEST_PAGE: usize = 100;

/// `GET /v1/videos`.
pub(in crate::gateway) async fn list(request: HttpRequest, gateway: Data<Gateway>) -> HttpResponse {
    let id = request_id(&request);
    match page(&request, &gateway) {
        Ok(page) => HttpResponse::Ok().insert_header(("x-request-id", id)).json(page),
        Err(refusal) => refuse(&gateway, &refusal, &id),
    }
}

/// `DELETE /v1/videos/{id}`: cancels what is under way.
pub(in crate::gateway) async fn remove(
    request: HttpRequest,
    video: Path<String>,
    gateway: Data<Gateway>,
) -> HttpResponse {
    forget((&request, &gateway), &gateway.videos, &video, "video.deleted", Refusal::unknown_video)
}

/// What a caller wants to see.
#[derive(Debug, PartialEq)]
struct Query {
    after: Option<String>,
    limit: usize,
    ascending: bool,
}

impl Query {
    fn read(query: &str) -> Result<Self, Malformed> {
        let mut read = Self { after: None, limit: PAGE, ascending: false };
        let url = Url::parse(&format!("http://query/?{query}"));
        let url = url.map_err(|_| Malformed::new("query", "cannot be read"))?;
        for (name, value) in url.query_pairs() {
            let wrong = |must| {
                Malformed::new(&*name, format!("must be {must}, not {:?}", value.chars().take(40).collect::<String>()))
            };
            match &*name {
                "after" => read.after = Some(value.into_owned()),
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=LARGEST_PAGE).contains(limit));
                    read.limit = limit.ok_or_else(|| wrong("a whole number from 1 to 100"))?;
                }
                "order" => {
                    read.ascending = match &*value {
                        "asc" => true,
                        "desc" => false,
                        _ => return Err(wrong("asc or desc")),
                    };
                }
                _ => {}
            }
        }
        Ok(read)
    }
}

fn page(request: &HttpRequest, gateway: &Gateway) -> Result<Value, Refusal> {
    let tenant = auth::tenant(request, &gateway.fairflow.settings(), None)?;
    let query = Query::read(request.query_string())?;
    let mut videos = gateway.videos.list(&tenant, gateway.fairflow.now());
    if !query.ascending {
        videos.reverse();
    }
    let begin = match &query.after {
        None => 0,
        Some(after) => {
            let at = videos.iter().position(|(name, _, _)| **name == **after);
            at.ok_or_else(|| Malformed::new("after", "names no video, or one that is kept no more"))? + 1
        }
    };
    let has_more = videos.len() > begin + query.limit;
    let page = videos.iter().skip(begin).take(query.limit);
    let data: Vec<Value> = page.map(|(_, order, watch)| describe(order, watch)).collect();
    let id = |video: Option<&Value>| video.map(|video| video["id"].clone());
    let (first, last) = (id(data.first()), id(data.last()));
    Ok(json!({"object": "list", "data": data, "first_id": first, "last_id": last, "has_more": has_more}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read() {
        assert_eq!(Query::read(""), Ok(Query { after: None, limit: 20, ascending: false }));
        let read = Query::read("after=video%5F1&limit=100&order=asc&unknown=x");
        assert_eq!(read, Ok(Query { after: Some("video_1".into()), limit: 100, ascending: true }));
        for (query, field) in
            [("limit=0", "limit"), ("limit=101", "limit"), ("limit=x", "limit"), ("order=up", "order")]
        {
            assert_eq!(Query::read(query).expect_err("wrong").field, field);
        }
    }
}
