//! Products as Runware's API answers.

use serde_json::{Map, Value, json};

use super::task::RunwareTask;
use crate::task::{Audio, Product, TextDelta, Usage, Video};
use crate::wire::fields::{Form, data_uri};

/// Writes a product as the result objects of `task`.
#[must_use]
pub fn render(product: Product, task: &RunwareTask) -> Vec<Map<String, Value>> {
    let usage = product.usage();
    let form = Form::asked(task.body()).unwrap_or(Form::Url);
    let mut items: Vec<Map<String, Value>> = match product {
        Product::Image(result) => result
            .images
            .into_iter()
            .map(|image| {
                let mut item = Map::new();
                // Sync image results need an imageUUID, or the SDKs drop them.
                let id = image.id.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
                item.insert("imageUUID".into(), id.into());
                item.extend(placed("image", form, image.url, image.base64));
                item.extend(image.seed.map(|seed| ("seed".to_owned(), seed.into())));
                item.extend(image.nsfw.map(|flag| ("NSFWContent".to_owned(), flag.into())));
                item
            })
            .collect(),
        Product::Text(result) => {
            let mut item = Map::new();
            item.insert("text".into(), result.text.into());
            item.insert("finishReason".into(), result.finish_reason.unwrap_or_else(|| "stop".into()).into());
            item.insert("usage".into(), usage_json(usage));
            vec![item]
        }
        Product::Video(result) => {
            let item =
                |video: Video| medium("video", video.id, placed("video", Form::Url, video.url, None), video.seed);
            result.videos.into_iter().map(item).collect()
        }
        Product::Audio(result) => {
            let item = |audio: Audio| medium("audio", audio.id, placed("audio", form, audio.url, audio.base64), None);
            result.audios.into_iter().map(item).collect()
        }
        Product::Embedding(result) => {
            vec![Map::from_iter([("embeddings".to_owned(), json!(result.vectors))])]
        }
        Product::Raw(result) => result.items,
    };
    let each = items.len().max(1) as f64;
    for item in &mut items {
        item.insert("taskType".into(), task.task_type().into());
        item.insert("taskUUID".into(), task.uuid().into());
        match usage.dollars.filter(|_| task.get("includeCost") == Some(&Value::Bool(true))) {
            Some(dollars) => drop(item.insert("cost".into(), (dollars / each).into())),
            None => drop(item.remove("cost")),
        }
    }
    items
}

/// Writes a file in the form asked for, or in the one that there is.
fn placed(kind: &str, form: Form, url: Option<String>, base64: Option<String>) -> Option<(String, Value)> {
    let inline = url.as_ref().is_some_and(|url| url.starts_with("data:"));
    let (name, value) = match (form, url, base64) {
        (Form::Base64, _, Some(data)) => ("Base64Data", data),
        (Form::Base64, Some(url), None) if inline => match url.split_once(";base64,") {
            Some((_, data)) => ("Base64Data", data.to_owned()),
            None => ("URL", url),
        },
        (Form::DataUri, Some(url), _) if inline => ("DataURI", url),
        (Form::DataUri, _, Some(data)) => ("DataURI", data_uri(kind, &data)),
        (_, Some(url), _) => ("URL", url),
        (_, None, Some(data)) => ("URL", data_uri(kind, &data)),
        (_, None, None) => return None,
    };
    Some((format!("{kind}{name}"), value.into()))
}

/// Writes one video or piece of sound; `getResponse` needs its status.
fn medium(kind: &str, id: Option<String>, placed: Option<(String, Value)>, seed: Option<u64>) -> Map<String, Value> {
    let mut item = Map::new();
    item.insert("status".into(), "success".into());
    item.insert(format!("{kind}UUID"), id.unwrap_or_else(|| uuid::Uuid::new_v4().to_string()).into());
    item.extend(placed);
    item.extend(seed.map(|seed| ("seed".to_owned(), seed.into())));
    item
}

fn usage_json(usage: Usage) -> Value {
    let (input, output) = (usage.input_tokens.unwrap_or(0), usage.output_tokens.unwrap_or(0));
    json!({"promptTokens": input, "completionTokens": output, "totalTokens": input.saturating_add(output)})
}

/// Writes one piece of a streamed text as the payload of a server-sent event.
#[must_use]
pub fn render_delta(delta: &TextDelta, task: &RunwareTask) -> Value {
    let mut event = json!({"taskType": task.task_type(), "taskUUID": task.uuid(), "delta": {"text": delta.text}});
    if let Some(reason) = &delta.finish_reason {
        event["finishReason"] = reason.clone().into();
    }
    if let Some(usage) = delta.usage {
        event["usage"] = usage_json(usage);
    }
    event
}
