//! What callers of one dialect hear from providers of another.

use serde_json::{Value, json};

use crate::fake::{Fake, Reply};
use crate::lab::post;
use crate::support::{Gateway, json as read};

/// Starts a gateway with a model `m` at one account of a kind, which polls without waiting.
pub fn before(fake: &Fake, kind: &str, upstream: &str) -> Gateway {
    let poll = if kind == "openai" { "" } else { "poll = { initial = \"10ms\", max = \"20ms\" }" };
    Gateway::start(
        "",
        &format!(
            "[providers.p]\nkind = \"{kind}\"\nbase_url = \"{}/v1\"\napi_key = {{ value = \"k\" }}\n{poll}\n\
             [models.m]\nroutes = [{{ provider = \"p\", model = \"{upstream}\" }}]\nretry = {{ base = \"10ms\", max = \"20ms\" }}\n",
            fake.url
        ),
    )
}

pub const IMAGES: &str = "/v1/images/generations";

pub fn image(more: Value) -> Value {
    let mut body = json!({"model": "m", "prompt": "a fox"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

pub fn task(more: Value) -> Value {
    let mut body = json!({"taskType": "imageInference", "taskUUID": uuid::Uuid::new_v4().to_string(), "model": "m",
        "positivePrompt": "a fox", "width": 512, "height": 512});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!([body])
}

#[tokio::test]
async fn a_providers_words_reach_callers_of_either_dialect() {
    let pydantic =
        json!({"detail": [{"loc": ["body", "width"], "msg": "must be a multiple of 32", "type": "multiple_of"}]});
    let moderated = json!({"error": {"message": "Rejected by our safety system.", "type": "image_generation_user_error",
        "param": null, "code": "moderation_blocked"}});
    let runware = json!({"data": [], "errors": [{"code": "invalidProviderContent", "message": "Not allowed content.",
        "parameter": "positivePrompt", "taskType": "imageInference"}]});
    for (kind, status, said, words, openai, own) in [
        ("bfl", 422, pydantic, "multiple of 32", ("invalid_value", json!("size")), ("invalidParameter", "width")),
        (
            "openai",
            400,
            moderated,
            "safety system",
            ("moderation_blocked", Value::Null),
            ("invalidProviderContent", ""),
        ),
        (
            "runware",
            400,
            runware,
            "Not allowed",
            ("content_policy_violation", json!("prompt")),
            ("invalidProviderContent", "positivePrompt"),
        ),
    ] {
        let fake = Fake::start(move |_, _, _| Reply::Json(status, said.clone())).await;
        let gateway = before(&fake, kind, "up");
        let response = post(&gateway, IMAGES, &image(json!({})), &[]).await;
        assert_eq!(
            (response.status().as_u16(), response.headers()["content-type"].to_str().unwrap()),
            (status, "application/json"),
            "{kind}"
        );
        let error = read(response).await["error"].take();
        assert!(error["message"].as_str().unwrap().contains(words), "{kind}: {error}");
        assert_eq!((&error["code"], &error["param"]), (&json!(openai.0), &openai.1), "{kind}: {error}");
        assert!(error["type"].is_string(), "{kind}: {error}");
        let response = post(&gateway, "/v1", &task(json!({})), &[]).await;
        assert_eq!(response.status().as_u16(), status, "{kind}");
        let error = read(response).await["errors"][0].take();
        assert!(error["message"].as_str().unwrap().contains(words), "{kind}: {error}");
        assert_eq!((&error["code"], &error["parameter"]), (&json!(own.0), &json!(own.1)), "{kind}: {error}");
        assert_eq!(error["taskType"], "imageInference", "{kind}: {error}");
    }
}

#[tokio::test]
async fn a_page_of_html_is_no_answer_for_anybody() {
    let fake = Fake::start(|_, _, _| Reply::With(400, ("x-page", "yes"), json!("<html>"))).await;
    let gateway = before(&fake, "bfl", "up");
    let error = read(post(&gateway, IMAGES, &image(json!({})), &[]).await).await["error"].take();
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("did not say why") && !message.contains('<'), "{error}");
}

#[tokio::test]
async fn what_is_moderated_has_a_code_of_its_own_and_is_not_made_again() {
    let fake = Fake::start(|base, ask, _| match ask.method.as_str() {
        "POST" => Reply::Json(200, json!({"id": "b1", "polling_url": format!("{base}/v1/get_result?id=b1")})),
        _ => Reply::Json(
            200,
            json!({"status": "Request Moderated", "details": {"Moderation Reasons": ["Derivative Works"]}}),
        ),
    })
    .await;
    let gateway = before(&fake, "bfl", "up");
    let response = post(&gateway, IMAGES, &image(json!({})), &[]).await;
    assert_eq!(response.status(), 400);
    let error = read(response).await["error"].take();
    assert_eq!(
        error,
        json!({"message": "Request Moderated: Derivative Works", "type": "invalid_request_error", "param": null,
            "code": "content_policy_violation"})
    );
    let error = read(post(&gateway, "/v1", &task(json!({})), &[]).await).await["errors"][0].take();
    assert_eq!((&error["code"], &error["reason"]), (&json!("invalidProviderContent"), &json!("rejected")));
    assert_eq!(fake.count("POST", "/v1/up"), 2, "one for each caller");
}

/// What an adapter refuses before anything is sent names the field too.
#[tokio::test]
async fn what_a_service_cannot_do_names_the_callers_field() {
    let fake = Fake::start(|_, _, _| Reply::Json(200, json!({}))).await;
    let gateway = before(&fake, "bfl", "up");
    let error = read(post(&gateway, IMAGES, &image(json!({"n": 2})), &[]).await).await["error"].take();
    assert_eq!((&error["param"], &error["code"]), (&json!("n"), &json!("invalid_value")), "{error}");
    let error = read(post(&gateway, "/v1", &task(json!({"numberResults": 2})), &[]).await).await["errors"][0].take();
    assert_eq!((&error["parameter"], &error["code"]), (&json!("numberResults"), &json!("invalidParameter")), "{error}");
    assert!(fake.asks().is_empty());
}

/// What a caller's dialect has and the service's has not is translated, fetched or left out.
#[tokio::test]
async fn a_runware_task_at_an_openai_service() {
    let fake = Fake::start(|base, ask, _| match ask.method.as_str() {
        "POST" => Reply::Json(200, json!({"created": 1, "data": [{"url": format!("{base}/0.png")}]})),
        _ => Reply::Text("image/png", "PNG"),
    })
    .await;
    let gateway = before(&fake, "openai", "up");
    let more = json!({"outputType": "base64Data", "outputFormat": "JPG", "outputQuality": 95, "checkNSFW": false,
        "CFGScale": 7.0, "seed": 5, "steps": 20.0, "numberResults": 1.0, "strength": null, "includeCost": true});
    let answer = read(post(&gateway, "/v1", &task(more), &[]).await).await;
    assert_eq!(answer["data"][0]["imageBase64Data"], "UE5H", "{answer}");
    assert_eq!(
        fake.asks()[0].body,
        json!({"model": "up", "prompt": "a fox", "size": "512x512", "n": 1, "response_format": "b64_json",
            "output_format": "jpeg", "output_compression": 95})
    );
    assert!(!fake.asks()[1].headers.contains_key("authorization"), "an address gets no key");
}

#[tokio::test]
async fn an_address_is_made_of_what_comes_in_base64() {
    let fake =
        Fake::start(|_, _, _| Reply::Json(200, json!({"created": 1, "data": [{"b64_json": "iVBORw0KGgoA"}]}))).await;
    let gateway = before(&fake, "openai", "gpt-image-1");
    for (more, field, value) in [
        (json!({}), "imageURL", "data:image/png;base64,iVBORw0KGgoA"),
        (json!({"outputType": ["dataURI"]}), "imageDataURI", "data:image/png;base64,iVBORw0KGgoA"),
        (json!({"outputType": "base64Data"}), "imageBase64Data", "iVBORw0KGgoA"),
    ] {
        let answer = read(post(&gateway, "/v1", &task(more), &[]).await).await;
        assert_eq!(answer["data"][0][field], value, "{answer}");
    }
    assert!(fake.asks().iter().all(|ask| ask.body.get("response_format").is_none()), "it refuses to be told");
}

#[tokio::test]
async fn a_result_that_is_wanted_in_the_answer_is_fetched_where_it_may_be() {
    // Another server of this machine: the provider's word is not enough to be led there.
    let inside = Fake::start(|_, _, _| Reply::Text("text/plain", "secret")).await;
    let there = inside.url.clone();
    let fake = Fake::start(move |base, ask, nth| match (ask.method.as_str(), ask.path.as_str(), nth) {
        ("POST", ..) => Reply::Json(200, json!({"id": "b", "polling_url": format!("{base}/v1/poll")})),
        (_, "/v1/poll", nth) => {
            let sample = [format!("{base}/f.jpeg"), format!("{there}/f.jpeg"), "data:image/png;base64,QQ==".into()];
            Reply::Json(200, json!({"status": "Ready", "result": {"sample": sample[nth]}}))
        }
        // There a moment late.
        (_, "/f.jpeg", 0) => Reply::Json(404, json!({})),
        _ => Reply::Text("image/jpeg", "JPEG"),
    })
    .await;
    let gateway = before(&fake, "bfl", "up");
    let mut told = Vec::new();
    for _ in 0..3 {
        let asked = image(json!({"response_format": "b64_json", "quality": "high", "user": "u"}));
        told.push(read(post(&gateway, IMAGES, &asked, &[]).await).await["data"][0].take());
    }
    let kept = format!("{}/f.jpeg", inside.url);
    assert_eq!(told, [json!({"b64_json": "SlBFRw=="}), json!({"url": kept}), json!({"b64_json": "QQ=="})]);
    assert!(inside.asks().is_empty());
    assert_eq!(fake.asks()[0].body, json!({"prompt": "a fox", "width": 1024, "height": 1024}));
}

#[tokio::test]
async fn every_spelling_of_a_size_passes() {
    let openai =
        Fake::start(|_, _, _| Reply::Json(200, json!({"created": 1, "data": [{"url": "https://x/0.png"}]}))).await;
    let gateway = before(&openai, "ark", "up");
    let sizes = [
        json!("2K"),
        json!("1024*1024"),
        json!("16:9"),
        json!("1024x1024"),
        json!("auto"),
        json!("adaptive"),
        Value::Null,
    ];
    for size in &sizes {
        let response = post(&gateway, IMAGES, &image(json!({"size": size, "n": 1.0})), &[]).await;
        assert_eq!(response.status(), 200, "{size}");
    }
    let sent: Vec<Value> = openai.asks().iter().map(|ask| ask.body["size"].clone()).collect();
    assert_eq!(sent, sizes, "as they came, where the shape is the caller's own");

    let fal = Fake::start(|_, _, _| Reply::Json(422, json!({"detail": "no"}))).await;
    let gateway = before(&fal, "fal", "up");
    for size in &sizes {
        post(&gateway, IMAGES, &image(json!({"size": size})), &[]).await;
    }
    let sent: Vec<(u64, u64)> = fal
        .asks()
        .iter()
        .map(|ask| &ask.body["image_size"])
        .map(|size| (size["width"].as_u64().unwrap(), size["height"].as_u64().unwrap()))
        .collect();
    let square = (1024, 1024);
    assert_eq!(sent, [(2048, 2048), square, (1344, 768), square, square, square, square]);
    assert_eq!(fal.asks()[2].body["aspect_ratio"], "16:9");
}
