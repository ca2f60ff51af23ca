//! The videos of a tenant: listed, and forgotten.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::forget::forget;
use super::store::describe;
use crate::gateway::app::Gateway;
use crate::gateway::http::caller::Tenant;
use crate::gateway::http::query;
use crate::gateway::http::refusal::Refusal;
use crate::wire::Malformed;

/// Videos on a page, where the caller does not say, and at most.
const PAGE: usize = 20;
const LARGEST_PAGE: usize = 100;

/// The query of a caller that asks for its videos, as it is written.
#[derive(Debug, Default, Deserialize)]
struct Query {
    after: Option<String>,
    limit: Option<String>,
    order: Option<String>,
}

/// A page that a caller wants to see.
#[derive(Debug, PartialEq)]
struct Wanted {
    after: Option<String>,
    limit: usize,
    ascending: bool,
}

impl Query {
    fn check(self) -> Result<Wanted, Malformed> {
        let wrong = |name, must, given: &str| {
            Malformed::new(name, format!("must be {must}, not {:?}", given.chars().take(40).collect::<String>()))
        };
        let limit = match self.limit.as_deref() {
            None => PAGE,
            Some(given) => given
                .parse()
                .ok()
                .filter(|limit| (1..=LARGEST_PAGE).contains(limit))
                .ok_or_else(|| wrong("limit", "a whole number from 1 to 100", given))?,
        };
        let ascending = match self.order.as_deref() {
            Some("asc") => true,
            None | Some("desc") => false,
            Some(given) => return Err(wrong("order", "asc or desc", given)),
        };
        Ok(Wanted { after: self.after, limit, ascending })
    }
}

/// `GET /v1/videos`.
pub(in crate::gateway) async fn list(
    request: HttpRequest,
    Tenant(tenant): Tenant,
    gateway: Data<Gateway>,
) -> Result<HttpResponse, Refusal> {
    let Wanted { after, limit, ascending } = query::read::<Query>(&request)?.check()?;
    let mut videos = gateway.videos.list(&tenant, gateway.fairflow.now());
    if !ascending {
        videos.reverse();
    }
    let begin = match &after {
        None => 0,
        Some(after) => {
            let at = videos.iter().position(|(name, _, _)| **name == **after);
            at.ok_or_else(|| Malformed::new("after", "names no video, or one that is kept no more"))? + 1
        }
    };
    let has_more = videos.len() > begin + limit;
    let page = videos.iter().skip(begin).take(limit);
    let data: Vec<Value> = page.map(|(_, order, watch)| describe(order, watch)).collect();
    let id = |video: Option<&Value>| video.map(|video| video["id"].clone());
    let (first, last) = (id(data.first()), id(data.last()));
    let page = json!({"object": "list", "data": data, "first_id": first, "last_id": last, "has_more": has_more});
    Ok(HttpResponse::Ok().json(page))
}

/// `DELETE /v1/videos/{id}`: cancels what is under way.
pub(in crate::gateway) async fn remove(
    tenant: Tenant,
    video: Path<String>,
    gateway: Data<Gateway>,
) -> Result<HttpResponse, Refusal> {
    forget(&gateway, &gateway.videos, &tenant.key(&video), "video.deleted", Refusal::unknown_video)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn read(query: &str) -> Result<Wanted, Malformed> {
        let request = TestRequest::with_uri(&format!("/v1/videos?{query}")).to_http_request();
        query::read::<Query>(&request)?.check()
    }

    #[test]
    fn queries_are_read() {
        assert_eq!(read(""), Ok(Wanted { after: None, limit: 20, ascending: false }));
        let wanted = read("after=video%5F1&limit=100&order=asc&unknown=x");
        assert_eq!(wanted, Ok(Wanted { after: Some("video_1".into()), limit: 100, ascending: true }));
        for (query, field) in [
            ("limit=0", "limit"),
            ("limit=101", "limit"),
            ("limit=x", "limit"),
            ("order=up", "order"),
            ("limit=1&limit=2", "query"),
        ] {
            assert_eq!(read(query).expect_err("wrong").field, field);
        }
    }
}
