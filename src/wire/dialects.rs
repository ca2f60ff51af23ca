//! Fields that OpenAI's callers and Runware's name differently when they ask for text, so that a request of each can be
//! sent to the other's providers. What only one of them knows is passed on as it came.

use serde_json::{Map, Value, json};

use super::number::whole;
use crate::task::TextInference;

/// Fields by their names at OpenAI's and at Runware's.
const NAMES: [(&str, &str); 6] = [
    ("top_p", "topP"),
    ("top_k", "topK"),
    ("stop", "stopSequences"),
    ("frequency_penalty", "frequencyPenalty"),
    ("presence_penalty", "presencePenalty"),
    ("repetition_penalty", "repetitionPenalty"),
];

/// Runware's parameters of how a text is delivered and accounted for.
const RUNWARE: [&str; 10] = [
    "includeCost",
    "includeUsage",
    "deliveryMethod",
    "webhookURL",
    "numberResults",
    "outputType",
    "outputFormat",
    "checkNSFW",
    "ttl",
    "uploadEndpoint",
];
/// OpenAI's parameters of whom a text is for, and how it is kept and accounted for.
const OPENAI: [&str; 8] = [
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "metadata",
    "store",
    "service_tier",
    "stream_options",
    "parallel_tool_calls",
];

/// Takes the most tokens that a Runware task asks for, be it in its `settings` or beside them.
pub(super) fn take_max_tokens(task: &mut Map<String, Value>) -> Option<u64> {
    let in_settings = task.get_mut("settings").and_then(Value::as_object_mut);
    let in_settings = in_settings.and_then(|settings| settings.remove("maxTokens"));
    whole(&task.remove("maxTokens").or(in_settings)?)
}

/// Writes a chat completion without its model.
pub(super) fn openai(task: &TextInference) -> Map<String, Value> {
    let mut body = task.extra.clone();
    if let Some(Value::Object(settings)) = body.remove("settings") {
        body.extend(settings);
    }
    // Whether it streams is the task's to say.
    body.remove("stream");
    body.retain(|name, value| !value.is_null() && !RUNWARE.contains(&name.as_str()));
    for (openai, runware) in NAMES {
        rename(&mut body, runware, openai);
    }
    let system = body.remove("systemPrompt").map(|prompt| json!({"role": "system", "content": prompt}));
    body.insert("messages".into(), system.into_iter().chain(messages(task)).collect());
    if let Some(limit) = task.max_tokens {
        body.insert("max_tokens".into(), limit.into());
    }
    body
}

/// Writes a Runware task without its type, model and UUID.
pub(super) fn runware(task: &TextInference) -> Map<String, Value> {
    let mut body = task.extra.clone();
    body.retain(|name, value| !value.is_null() && !OPENAI.contains(&name.as_str()));
    for (openai, runware) in NAMES {
        rename(&mut body, openai, runware);
    }
    if let Some(Value::String(stop)) = body.get("stopSequences") {
        let stop = json!([stop]);
        body.insert("stopSequences".into(), stop);
    }
    body.insert("messages".into(), messages(task).collect());
    if let Some(limit) = task.max_tokens {
        match body.get_mut("settings").and_then(Value::as_object_mut) {
            Some(settings) => settings.insert("maxTokens".into(), limit.into()),
            None => body.insert("maxTokens".into(), limit.into()),
        };
    }
    body
}

fn messages(task: &TextInference) -> impl Iterator<Item = Value> {
    task.messages.iter().map(|message| json!({"role": message.role, "content": message.content}))
}

/// Renames a field, unless what it would be called is there too.
fn rename(body: &mut Map<String, Value>, from: &str, to: &str) {
    if let Some(value) = body.remove(from) {
        body.entry(to).or_insert(value);
    }
}
