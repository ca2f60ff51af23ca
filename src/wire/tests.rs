//! Tasks between the dialects.

use serde_json::{Map, Value, json};

use super::openai;
use super::runware::{RunwareTask, decode, encode, render};
use crate::task::{AudioInference, Product, RawResult, Task, TextInference, Usage, VideoInference, Work};

fn task(body: Value) -> RunwareTask {
    RunwareTask::parse(body).expect("well-formed")
}

#[test]
fn a_video_task_is_read_written_and_costed_the_same() {
    let wire = task(json!({"taskType": "videoInference", "taskUUID": "u", "model": "m", "positivePrompt": "a fox",
        "duration": 2.5, "fps": 24, "width": 1024, "height": 512, "frameImages": [{"inputImage": "https://x/y.png"}],
        "deliveryMethod": "async", "CFGScale": 3}));
    let typed = VideoInference::new("m", "a fox").seconds(2.5).fps(24).size(1024, 512);
    let typed = typed.first_frame("https://x/y.png").set("CFGScale", 3);
    assert_eq!(wire.cost(), typed.cost());
    assert_eq!(typed.cost().units(), 120, "60 frames of two quarter-megapixels");
    let work = wire.work().expect("readable");
    assert_eq!(work, Work::Video(typed));
    let body = encode(&work, "up", "v").expect("Runware has it");
    let again = json!({"taskType": "videoInference", "taskUUID": "v", "model": "up", "positivePrompt": "a fox",
        "duration": 2.5, "fps": 24, "width": 1024, "height": 512, "frameImages": [{"inputImage": "https://x/y.png"}],
        "deliveryMethod": "async", "CFGScale": 3, "includeCost": true, "numberResults": 1});
    assert_eq!(Value::Object(body), again);
}

#[test]
fn frames_that_are_more_than_a_first_one_stay_as_they_are() {
    let frames = json!([{"inputImage": "a", "frame": "first"}, {"inputImage": "b", "frame": "last"}]);
    let wire = task(json!({"taskType": "videoInference", "model": "m", "frameImages": frames}));
    let Ok(Work::Video(video)) = wire.work() else { panic!("no video") };
    assert_eq!((video.first_frame, video.extra.get("frameImages")), (None, Some(&frames)));
}

#[test]
fn whole_numbers_may_be_written_as_others_and_nulls_are_none() {
    let body = json!({"taskType": "imageInference", "taskUUID": null, "model": "m", "positivePrompt": "a fox", "width": 512.0,
        "height": 512, "steps": 20.0, "numberResults": 2.0, "seed": null, "CFGScale": 7.5});
    let wire = task(body);
    assert_eq!(wire.cost().units(), 40);
    let Ok(Work::Image(image)) = wire.work() else { panic!("no image") };
    assert_eq!((image.width, image.steps, image.count), (512, Some(20), 2));
    assert_eq!(Value::from(image.extra), json!({"CFGScale": 7.5}));
    let chat = json!({"model": "m", "max_tokens": 10.0, "messages": [{"role": "user", "content": "x"}], "top_p": null});
    let request = openai::OpenAiRequest::parse(openai::Endpoint::Chat, chat.to_string().into()).expect("well-formed");
    let Ok(Work::Text(text)) = request.work() else { panic!("no text") };
    assert_eq!(text.max_tokens, Some(10));
    let body = encode(&Work::Text(text), "up", "u").expect("Runware has it");
    assert!(!body.contains_key("topP"), "{body:?}");
}

#[test]
fn results_are_rendered_as_they_are_read() {
    let wire = task(json!({"taskType": "audioInference", "taskUUID": "u", "model": "m", "includeCost": true,
        "positivePrompt": "rain", "duration": 7}));
    assert_eq!(wire.cost().units(), 7);
    let work = wire.work().expect("readable");
    assert_eq!(work, Work::Audio(AudioInference::new("m", "rain").seconds(7.0)));
    let item = json!({"taskType": "audioInference", "taskUUID": "u", "status": "success", "audioUUID": "a",
        "audioURL": "https://x/y.mp3", "cost": 0.5});
    let items = vec![item.as_object().expect("is one").clone()];
    let product = decode(&work, items.clone());
    assert!(matches!(&product, Product::Audio(result) if result.usage.dollars == Some(0.5)));
    assert_eq!(render(product, &wire), items);
}

#[test]
fn lengths_and_sizes_that_are_none_are_named() {
    for (field, value) in
        [("duration", json!(-1)), ("duration", json!("long")), ("fps", json!(0)), ("width", json!(1.5))]
    {
        let mut body = json!({"taskType": "videoInference", "model": "m", "height": 8, "width": 8});
        body[field] = value.clone();
        let error = RunwareTask::parse(body).expect_err("must be refused");
        assert_eq!(error.field, field, "{value}");
    }
    // No number of frames overflows what a cost can say.
    let endless =
        VideoInference::new("m", "x").seconds(f64::MAX).fps(u64::MAX).size(u64::MAX, u64::MAX).count(u64::MAX);
    assert_eq!(endless.cost().units(), u32::MAX);
    assert_eq!(VideoInference::new("m", "x").seconds(f64::NAN).cost().units(), 4);
}

#[test]
fn the_settings_of_a_text_reach_either_kind_of_provider() {
    let settings = json!({"maxTokens": 100, "topP": 0.5, "stopSequences": ["x"], "temperature": 0.1,
        "systemPrompt": "Be brief.", "stream": true});
    let messages = json!([{"role": "user", "content": "hi"}]);
    let wire = task(json!({"taskType": "textInference", "model": "m", "messages": messages, "settings": settings}));
    let mut flat = settings.clone();
    flat["taskType"] = "textInference".into();
    flat["model"] = "m".into();
    flat["messages"] = messages.clone();
    assert_eq!(wire.cost(), task(flat).cost(), "wherever the limit stands");
    let work = wire.work().expect("readable");
    let (_, body) = openai::encode(&work, "up").expect("OpenAI has it");
    assert_eq!(
        body,
        json!({"model": "up", "max_tokens": 100, "top_p": 0.5, "stop": ["x"], "temperature": 0.1,
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]})
    );
    let body = encode(&work, "up", "u").expect("Runware has it");
    assert_eq!((&body["settings"], &body["messages"]), (&settings, &messages), "as they came");

    let asked = TextInference::new("m", "hi").set("top_p", 0.5).set("stop", "x").set("temperature", 0.1);
    let body = encode(&Work::Text(asked.max_tokens(100)), "up", "u").expect("Runware has it");
    let written = ["maxTokens", "topP", "stopSequences", "temperature"].map(|name| &body[name]);
    assert_eq!(written, [&json!(100), &json!(0.5), &json!(["x"]), &json!(0.1)]);
}

#[test]
fn what_a_task_costs_is_asked_for_and_kept_from_who_did_not_ask() {
    let sent = |task: &RunwareTask| {
        let written = task.written(&task.changes_for("there"));
        let [sent] = &serde_json::from_str::<Vec<Value>>(&written).expect("an array")[..] else { panic!("{written}") };
        sent.clone()
    };
    let upload = json!({"taskType": "imageUpload", "taskUUID": "u", "image": "x"});
    assert_eq!(sent(&task(upload.clone())), upload, "nothing to pay for");
    for (wanted, told) in [(json!(true), Some(0.5)), (json!(false), None), (Value::Null, None)] {
        let cut = task(json!({"taskType": "removeBackground", "taskUUID": "u", "model": "m", "includeCost": wanted}));
        let paid = json!({"taskType": "removeBackground", "taskUUID": "u", "model": "there", "includeCost": true});
        assert_eq!(sent(&cut), paid);
        let items = vec![Map::from_iter([("imageUUID".to_owned(), json!("i")), ("cost".to_owned(), json!(0.5))])];
        let usage = Usage { dollars: Some(0.5), ..Usage::default() };
        let rendered = render(Product::Raw(RawResult { items, errors: Vec::new(), usage }), &cut);
        assert_eq!(rendered[0].get("cost").and_then(Value::as_f64), told, "{wanted}");
    }
    let text = task(json!({"taskType": "textInference", "taskUUID": "u", "model": "m", "messages": []}));
    assert_eq!(sent(&text)["includeUsage"], true);
}
