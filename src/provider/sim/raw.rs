//! Results that a simulated provider makes of tasks that are not typed, in the form that Runware's SDKs look for.

use serde_json::{Map, Value, json};

use crate::task::{RawTask, results_wanted};

/// Makes the result objects of a task; `host` is where the media are that nobody can fetch.
pub(super) fn results(task: &RawTask, host: &str) -> Vec<Map<String, Value>> {
    (1..=results_wanted(&task.body).clamp(1, 64)).map(|number| result(task, host, number)).collect()
}

fn result(task: &RawTask, host: &str, number: u64) -> Map<String, Value> {
    let id = uuid::Uuid::new_v4().to_string();
    let url = format!("https://{host}.invalid/{id}");
    let takes_video = task.body.get("inputs").is_some_and(|inputs| inputs.get("video").is_some());
    let kind = task.task_type();
    let told = match kind {
        "caption" | "imageCaption" | "promptEnhance" => {
            json!({"text": format!("The simulated answer number {number}.")})
        }
        "modelSearch" => json!({"results": [], "totalResults": 0}),
        "modelUpload" => json!({"air": "sim:1@1", "status": "ready"}),
        "training" => json!({"outputs": {"air": "sim:1@1"}}),
        "getTaskDetails" => json!({"request": [{"taskUUID": task.body.get("taskUUID")}], "response": []}),
        "controlNetPreprocess" | "imageControlNetPreProcess" => json!({"guideImageUUID": id, "guideImageURL": url}),
        "mediaStorage" => json!({"mediaUUID": id, "mediaURL": url}),
        "3dInference" => json!({"outputs": {"files": [{"uuid": id, "url": url}]}}),
        _ if takes_video || kind.starts_with("video") => json!({"videoUUID": id, "videoURL": url}),
        _ if kind.starts_with("audio") => json!({"audioUUID": id, "audioURL": url}),
        _ => json!({"imageUUID": id, "imageURL": url}),
    };
    let mut item = Map::from_iter([("status".to_owned(), "success".into())]);
    item.extend(told.as_object().cloned().into_iter().flatten());
    item
}
