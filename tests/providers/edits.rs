//! Images that begin from images: what each service is sent, and what it cannot do.

use fairflow::task::ImageInference;
use serde_json::{Value, json};

use crate::fake::{Fake, Reply, engine};

const PNG: &str = "data:image/png;base64,UE5H";

fn edit(inputs: usize, mask: bool) -> ImageInference {
    let task = ImageInference::new("m", "a hat").size(512, 512);
    let task = (1..inputs).fold(task.input(PNG), |task, n| task.input(format!("https://x/{n}.png")));
    if mask { task.mask(PNG) } else { task }
}

/// Sends a task to a service that refuses it, and returns the first body that it was sent.
async fn sent(kind: &str, task: ImageInference) -> Value {
    let fake = Fake::start(|_, _, _| Reply::Json(400, json!({"error": {"message": "no"}}))).await;
    let fairflow = engine(kind, &fake.url, "", "").await;
    assert!(fairflow.generate(task).await.is_err());
    fake.asks()[0].body.clone()
}

#[tokio::test]
async fn every_service_is_sent_the_images_in_its_own_words() {
    let runware = |body: Value| body[0].clone();
    let replicate = |body: Value| body["input"].clone();
    let plain = |body: Value| body;
    let (one, two): (Value, Value) = (PNG.into(), json!([PNG, "https://x/1.png"]));
    type Within = fn(Value) -> Value;
    let cases: [(&str, Within, usize, bool, Value); 10] = [
        ("runware", runware, 1, true, json!({"seedImage": one, "maskImage": one, "referenceImages": null})),
        (
            "runware",
            runware,
            2,
            false,
            json!({"seedImage": one, "maskImage": null, "referenceImages": ["https://x/1.png"]}),
        ),
        ("bfl", plain, 1, true, json!({"image": "UE5H", "mask": "UE5H"})),
        ("bfl", plain, 2, false, json!({"input_image": "UE5H", "input_image_2": "https://x/1.png", "image": null})),
        ("fal", plain, 1, true, json!({"image_url": one, "mask_url": one, "image_urls": null})),
        ("fal", plain, 2, false, json!({"image_urls": two, "image_url": null})),
        ("replicate", replicate, 1, true, json!({"image": one, "mask": one})),
        ("ark", plain, 1, false, json!({"image": one, "prompt": "a hat"})),
        ("ark", plain, 2, false, json!({"image": two})),
        // Not all of them are there, so no form can hold them.
        ("openai", plain, 2, false, json!({"images": [{"image_url": PNG}, {"image_url": "https://x/1.png"}], "n": 1})),
    ];
    for (kind, within, inputs, mask, expected) in cases {
        let body = within(sent(kind, edit(inputs, mask)).await);
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(&body[name], value, "{kind} {inputs} {mask} {name}: {body}");
        }
    }
}

#[tokio::test]
async fn openai_is_sent_a_form() {
    let fake = Fake::start(|_, ask, _| {
        assert_eq!(ask.path, "/images/edits");
        Reply::Json(200, json!({"created": 1, "data": [{"b64_json": "QQ=="}]}))
    })
    .await;
    let fairflow = engine("openai", &fake.url, "", "").await;
    let task = edit(1, true).input("UE5H").count(2).set("quality", "high").set("strength", 0.5);
    let result = fairflow.generate(task).await.unwrap();
    assert_eq!(result.images[0].base64.as_deref(), Some("QQ=="));
    let ask = &fake.asks()[0];
    let (kind, text) = (&ask.headers["content-type"], String::from_utf8(ask.raw.clone()).unwrap());
    let boundary = kind.strip_prefix("multipart/form-data; boundary=").expect("a form");
    let part = |name: &str, more: &str, value: &str| {
        format!("--{boundary}\r\ncontent-disposition: form-data; name=\"{name}\"{more}\r\n\r\n{value}\r\n")
    };
    let file = |n: usize| format!("; filename=\"{n}.png\"\r\ncontent-type: image/png");
    let texts = [
        ("model", "lab/model"),
        ("n", "2"),
        ("prompt", "a hat"),
        ("size", "512x512"),
        ("quality", "high"),
        ("strength", "0.5"),
    ];
    for expected in texts.map(|(name, value)| part(name, "", value)) {
        assert!(text.contains(&expected), "{expected}\n{text}");
    }
    let files = [part("image[]", &file(0), "PNG"), part("image[]", &file(1), "PNG"), part("mask", &file(2), "PNG")];
    assert!(text.ends_with(&format!("{}--{boundary}--\r\n", files.concat())), "{text}");
}

#[tokio::test]
async fn what_cannot_be_done_is_said_before_anything_is_spent() {
    let fake = Fake::start(|_, _, _| Reply::Json(200, json!({}))).await;
    for (kind, task, says) in [
        ("bfl", edit(9, false), "at most 8"),
        ("bfl", edit(2, true), "at most 1"),
        ("replicate", edit(2, false), "must be one image"),
        ("fal", ImageInference::new("m", "x").mask(PNG), "needs an image"),
        ("ark", edit(1, true), "mask"),
        ("openai", ImageInference::new("m", "x").input("3f0c-an-id-elsewhere"), "its URL"),
    ] {
        let fairflow = engine(kind, &fake.url, "", "").await;
        let error = fairflow.generate(task).await.unwrap_err();
        assert_eq!(error.status(), 400, "{kind}: {error}");
        assert!(error.to_string().contains(says), "{kind}: {error}");
    }
    assert_eq!(fake.asks().len(), 0);
}
