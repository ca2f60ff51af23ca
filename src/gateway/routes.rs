//! The routes of both ports, in one table each: they are served from it, and checked against the API description.

use std::collections::BTreeMap;

use actix_web::http::Method;
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, ResponseError, Route};

use super::admin::{actions, dashboard, health, metrics};
use super::http::refusal::Refusal;
use super::{capacity, openai, runware};
use crate::wire::openai::Endpoint;

/// The description of the public port. It is kept by hand: most bodies are forwarded as they are, so there are no types
/// that a description could be derived from; a test holds it against [`public`].
const OPENAPI: &str = include_str!("openapi.json");

/// Calls `add` with every route of the public port.
fn public(mut add: impl FnMut(Method, &'static str, Route)) {
    add(Method::POST, "/v1/chat/completions", openai::generation(Endpoint::Chat));
    add(Method::POST, "/v1/responses", openai::generation(Endpoint::Responses));
    add(Method::GET, "/v1/responses/{response}", web::get().to(openai::responses::retrieve));
    add(Method::DELETE, "/v1/responses/{response}", web::delete().to(openai::responses::remove));
    add(Method::POST, "/v1/responses/{response}/cancel", web::post().to(openai::responses::cancel));
    add(Method::GET, "/v1/responses/{response}/input_items", web::get().to(openai::responses::input_items));
    add(Method::POST, "/v1/embeddings", openai::generation(Endpoint::Embeddings));
    add(Method::POST, "/v1/images/generations", openai::generation(Endpoint::Images));
    add(Method::POST, "/v1/images/edits", openai::generation(Endpoint::Edits));
    add(Method::POST, "/v1/videos", web::post().to(openai::videos::create));
    add(Method::GET, "/v1/videos", web::get().to(openai::videos::list));
    add(Method::DELETE, "/v1/videos/{video}", web::delete().to(openai::videos::remove));
    add(Method::GET, "/v1/videos/{video}", web::get().to(openai::videos::state));
    add(Method::GET, "/v1/videos/{video}/content", web::get().to(openai::videos::content));
    add(Method::POST, "/v1/videos/{video}/remix", web::post().to(openai::videos::remix));
    add(Method::GET, "/v1/models", web::get().to(openai::models));
    add(Method::GET, "/v1/models/{model:.*}", web::get().to(openai::model));
    add(Method::POST, "/v1", web::post().to(runware::tasks));
    add(Method::POST, "/", web::post().to(runware::tasks));
    add(Method::GET, "/v1", web::get().to(runware::connect));
    add(Method::GET, "/", web::get().to(runware::connect));
    add(Method::GET, "/v1/capacity", web::get().to(capacity::all));
    add(Method::GET, "/v1/capacity/{model:.*}", web::get().to(capacity::one));
    add(Method::GET, "/openapi.json", web::get().to(openapi));
    health_of(&mut add);
}

/// Calls `add` with every route of the admin port.
fn admin(mut add: impl FnMut(Method, &'static str, Route)) {
    add(Method::GET, "/", web::get().to(dashboard::page));
    add(Method::GET, "/assets/{name:.*}", web::get().to(dashboard::asset));
    add(Method::GET, "/admin/overview", web::get().to(dashboard::overview));
    add(Method::GET, "/admin/tenants", web::get().to(dashboard::tenants));
    add(Method::GET, "/admin/models/{model:.*}", web::get().to(dashboard::model));
    add(Method::GET, "/metrics", web::get().to(metrics::metrics));
    add(Method::GET, "/admin/config", web::get().to(actions::config));
    add(Method::POST, "/admin/drain", web::post().to(actions::drain));
    add(Method::POST, "/admin/models/{model:.*}", web::post().to(actions::model));
    health_of(&mut add);
}

fn health_of(add: &mut impl FnMut(Method, &'static str, Route)) {
    add(Method::GET, "/health/live", web::get().to(health::live));
    add(Method::GET, "/health/ready", web::get().to(health::ready));
}

pub(super) fn serve_public(config: &mut ServiceConfig) {
    let mut table = Table::default();
    public(|method, path, route| table.add(method, path, route));
    table.serve(config, "GET /openapi.json lists those there are");
}

pub(super) fn serve_admin(config: &mut ServiceConfig) {
    let mut table = Table::default();
    admin(|method, path, route| table.add(method, path, route));
    table.serve(config, "this is the admin port: GET / is the dashboard, and the API is on the public port");
}

#[derive(Default)]
struct Table(BTreeMap<&'static str, (Vec<String>, Vec<Route>)>);

impl Table {
    fn add(&mut self, method: Method, path: &'static str, route: Route) {
        let (methods, routes) = self.0.entry(path).or_default();
        methods.push(method.to_string());
        routes.push(route);
    }

    /// Registers every path, with an answer to other methods and to other paths, where `hint` leads on.
    fn serve(self, config: &mut ServiceConfig, hint: &'static str) {
        for (path, (methods, routes)) in self.0 {
            let with_head = methods.iter().map(|method| if method == "GET" { "GET, HEAD" } else { method });
            let allowed = with_head.collect::<Vec<_>>().join(", ");
            let wrong_method = move |request: HttpRequest| {
                let mut response = refused_at(request.path(), &Refusal::wrong_method(&request, &allowed));
                if let Ok(value) = allowed.parse() {
                    response.headers_mut().insert(actix_web::http::header::ALLOW, value);
                }
                std::future::ready(response)
            };
            let resource = routes.into_iter().fold(web::resource(path), actix_web::Resource::route);
            config.service(resource.default_service(web::to(wrong_method)));
        }
        config.default_service(web::to(move |request: HttpRequest| {
            std::future::ready(Err::<HttpResponse, _>(Refusal::unknown_path(&request, hint)))
        }));
    }
}

/// Answers with a refusal in the shape of the API that a path belongs to.
pub(super) fn refused_at(path: &str, refusal: &Refusal) -> HttpResponse {
    match path {
        "/" | "/v1" => refusal.runware_alone(),
        _ => refusal.error_response(),
    }
}

async fn openapi() -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(OPENAPI)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::Reason;
    use crate::capacity::{
        BudgetCapacity, Millis, ModelCapacity, Phase, ReserveCapacity, ReserveStatus, ReservedCapacity, RouteCapacity,
        RouteStatus, TenantCapacity,
    };

    #[test]
    fn every_public_route_is_described_and_no_other() {
        let mut served = BTreeSet::new();
        public(|method, path, _| {
            served.insert((method.to_string().to_lowercase(), path.replace(":.*", "")));
        });
        let document: Value = serde_json::from_str(OPENAPI).expect("JSON");
        let paths = document["paths"].as_object().expect("paths");
        let described = paths.iter().flat_map(|(path, operations)| {
            operations.as_object().expect("operations").keys().map(move |method| (method.clone(), path.clone()))
        });
        assert_eq!(described.collect::<BTreeSet<_>>(), served);
    }

    #[test]
    fn the_description_names_every_reason() {
        let document: Value = serde_json::from_str(OPENAPI).expect("JSON");
        let named = document.pointer("/components/headers/Reason/schema/enum").and_then(Value::as_array);
        let named: Vec<_> = named.expect("a list").iter().filter_map(Value::as_str).collect();
        assert_eq!(named, Reason::ALL.iter().map(|reason| reason.as_str()).collect::<Vec<_>>());
    }

    /// Compares the properties that a schema names with those of a value that has all of them.
    fn assert_described(schema: &Value, value: &Value, document: &Value, place: &str) {
        let reference = schema["$ref"].as_str().and_then(|reference| document.pointer(reference.strip_prefix('#')?));
        let schema = reference.unwrap_or(schema);
        match value {
            Value::Object(fields) => {
                let described: BTreeSet<_> = schema["properties"].as_object().expect(place).keys().collect();
                assert_eq!(described, fields.keys().collect(), "{place}");
                for (name, value) in fields {
                    assert_described(&schema["properties"][name], value, document, &format!("{place}.{name}"));
                }
            }
            Value::Array(items) => {
                items.iter().for_each(|item| assert_described(&schema["items"], item, document, place));
            }
            _ => {}
        }
    }

    #[test]
    fn the_description_has_every_field_of_capacity() {
        let document: Value = serde_json::from_str(OPENAPI).expect("JSON");
        let mut capacity = ModelCapacity::new("m".into(), 1);
        capacity.reserved = Some(ReservedCapacity { slots: 1, granted: 1, in_use: 0, lent: 0 });
        capacity.routes = vec![RouteCapacity {
            provider: "p".into(),
            model: "m".into(),
            state: RouteStatus::Suspended,
            reason: Some("key".into()),
            window: 1,
            in_flight: 0,
            hold_until_ms: 1,
            learned_rate: Some(1.0),
            misses_latency_target: true,
            phase: Phase::Holding,
        }];
        capacity.you = Some(TenantCapacity {
            tenant: "t".into(),
            queued: 0,
            in_flight: 0,
            weight: 1.0,
            max_in_flight: Some(1),
            tier: Some("standard".into()),
            budget: Some(BudgetCapacity { dollars_per_day: 1.0, spent: 0.0, reserved: 0.0, renews_in_ms: 1 }),
            reserve: Some(ReserveCapacity { slots: 1, granted: 1, in_use: 0, state: ReserveStatus::Full }),
            estimated_wait_ms: Millis::default(),
        });
        let value = serde_json::to_value(capacity).expect("JSON");
        let schema = document.pointer("/components/schemas/ModelCapacity").expect("a schema");
        assert_described(schema, &value, &document, "ModelCapacity");
    }

    #[test]
    fn every_reference_of_the_description_leads_somewhere() {
        fn references(value: &Value, found: &mut Vec<String>) {
            match value {
                Value::Object(map) => {
                    found.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
                    map.values().for_each(|value| references(value, found));
                }
                Value::Array(items) => items.iter().for_each(|value| references(value, found)),
                _ => {}
            }
        }
        let document: Value = serde_json::from_str(OPENAPI).expect("JSON");
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 10, "the description shares its parts");
        for reference in found {
            let pointer = reference.strip_prefix('#').expect("within the document");
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    }
}
