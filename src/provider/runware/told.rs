//! Answers of Runware, whatever their shape: they tell results, states, and errors that can stand anywhere.
//!
//! The service documents `data` and `errors`, and is still unifying what its models and providers say; so an error may
//! also be an object or a sentence under `error`, or an item of `data` whose status is one.

use serde_json::{Map, Value};

use super::common::Object;

/// Words for a task's state that is an end without a result.
const FAILED: [&str; 9] =
    ["error", "failed", "failure", "cancelled", "canceled", "expired", "rejected", "aborted", "timeout"];
/// Words for a state that is an end with a result. A model that was uploaded is `ready` after it was validated,
/// downloaded and so on; any other word is a state on the way.
const DONE: [&str; 6] = ["success", "succeeded", "completed", "done", "finished", "ready"];
/// Fields of an item that say nothing of a result.
const BOOKKEEPING: [&str; 8] =
    ["taskType", "taskUUID", "status", "progress", "resultIndex", "cost", "delta", "connectionSessionUUID"];
/// Fields that hold the id of a result.
const IDS: [&str; 4] = ["imageUUID", "videoUUID", "audioUUID", "mediaUUID"];
/// Tasks whose results are media: an item without any is no result yet.
const MAKES_MEDIA: [&str; 9] = [
    "imageInference",
    "videoInference",
    "audioInference",
    "3dInference",
    "photoMaker",
    "imageUpscale",
    "upscale",
    "removeBackground",
    "imageBackgroundRemoval",
];
/// Tasks whose results are not media, and whose acknowledgement is no result either.
const MAKES_OTHERS: [&str; 6] = ["textInference", "promptEnhance", "caption", "imageCaption", "vectorize", "training"];

/// An answer, of any number of tasks.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Told {
    /// Results and states.
    pub(super) items: Vec<Object>,
    /// Errors, each an object.
    pub(super) errors: Vec<Fault>,
}

/// An error of a task, or of one of its results.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fault {
    pub(super) object: Object,
    /// Whether the error stood among the results, and so is about one of them.
    pub(super) of_one: bool,
}

impl Told {
    /// Reads an answer; `None` where it is none of a task.
    pub(super) fn read(mut answer: Object) -> Option<Self> {
        let mut told = Self::default();
        let whole = |object| Fault { object, of_one: false };
        let (errors, error) = (answer.remove("errors"), answer.remove("error"));
        told.errors.extend(errors.map(faults).into_iter().flatten().map(whole));
        // Some write the same in both places.
        let others = error.map(faults).into_iter().flatten().map(whole);
        let others: Vec<_> = others.filter(|fault| !told.errors.contains(fault)).collect();
        told.errors.extend(others);
        let data = answer.remove("data");
        let has_data = data.is_some();
        for item in data.map(objects).unwrap_or_default() {
            match fault_of(&item) {
                Some(object) => told.errors.push(Fault { object, of_one: true }),
                None => told.items.push(item),
            }
        }
        if !has_data && told.errors.is_empty() {
            told.errors.extend(is_failed(&answer).then(|| whole(answer)));
        }
        (has_data || !told.errors.is_empty()).then_some(told)
    }
}

impl Fault {
    pub(super) fn text(&self, name: &str) -> &str {
        text(&self.object, name)
    }

    /// Says whether it is about one of several results.
    pub(super) fn is_of_one(&self) -> bool {
        self.of_one || self.object.contains_key("resultIndex")
    }
}

/// Returns a text field; empty where there is none.
pub(super) fn text<'a>(object: &'a Object, name: &str) -> &'a str {
    object.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Takes the objects out of a list; one that stands alone is a list of one.
fn objects(value: Value) -> Vec<Object> {
    match value {
        Value::Object(object) => vec![object],
        Value::Array(items) => items
            .into_iter()
            .filter_map(|item| if let Value::Object(item) = item { Some(item) } else { None })
            .collect(),
        _ => Vec::new(),
    }
}

/// Reads what stands under `errors` or `error`.
fn faults(value: Value) -> Vec<Object> {
    match value {
        Value::Array(list) => list.into_iter().flat_map(faults).collect(),
        Value::Object(object) if !object.is_empty() => vec![object],
        Value::String(words) if !words.is_empty() => vec![Map::from_iter([("message".to_owned(), words.into())])],
        _ => Vec::new(),
    }
}

fn state(item: &Object) -> String {
    text(item, "status").to_lowercase()
}

fn is_failed(item: &Object) -> bool {
    FAILED.contains(&state(item).as_str())
}

/// Returns the error that an item of `data` is, with its task named; `None` for a result or a state.
fn fault_of(item: &Object) -> Option<Object> {
    if DONE.contains(&state(item).as_str()) {
        return None;
    }
    let own = ["error", "errors"].into_iter().find_map(|name| faults(item.get(name)?.clone()).into_iter().next());
    let mut object = match own {
        Some(own) => own,
        None if is_failed(item) => {
            let mut object = item.clone();
            object.entry("message").or_insert_with(|| format!("the task ended as {:?}", text(item, "status")).into());
            object
        }
        None => return None,
    };
    for name in ["taskUUID", "taskType"] {
        if text(&object, name).is_empty()
            && let Some(value) = item.get(name)
        {
            object.insert(name.to_owned(), value.clone());
        }
    }
    Some(object)
}

/// Says whether an item holds a result of a task of the type `kind`, and not just how that stands.
pub(super) fn is_result(item: &Object, kind: &str) -> bool {
    let is_done = match state(item) {
        state if state.is_empty() => !is_under_way(item),
        state => DONE.contains(&state.as_str()),
    };
    is_done && if MAKES_MEDIA.contains(&kind) { has_medium(item) } else { says_something(item) }
}

/// Says whether an item is the end of a task whose results are media, and holds none: it says that it was made, or where it
/// lies, and that is nowhere.
pub(super) fn is_hollow(item: &Object, kind: &str) -> bool {
    if !MAKES_MEDIA.contains(&kind) || has_medium(item) {
        return false;
    }
    let is_placed = || item.iter().any(|(name, value)| is_medium(name) && value == "");
    match state(item) {
        state if state.is_empty() => !is_under_way(item) && is_placed(),
        state => DONE.contains(&state.as_str()) && says_something(item),
    }
}

fn says_something(item: &Object) -> bool {
    item.iter().any(|(name, value)| !BOOKKEEPING.contains(&name.as_str()) && !value.is_null())
}

fn has_medium(item: &Object) -> bool {
    item.iter().any(|(name, value)| is_medium(name) && !value.is_null() && value != "")
}

/// Says whether an item without a state is of what is only begun: that has an id too, and a preview has an address.
fn is_under_way(item: &Object) -> bool {
    item.get("progress").is_some_and(|progress| progress.as_f64().is_none_or(|part| part < 100.0))
}

/// Says whether a field holds a medium, or where it lies.
fn is_medium(name: &str) -> bool {
    ["URL", "URLs", "URI", "Data"].iter().any(|end| name.ends_with(end)) || matches!(name, "outputs" | "text")
}

/// Says whether an item that is no result is all that a task of that type answers: nothing is made by it.
pub(super) fn is_bare_end(item: &Object, kind: &str) -> bool {
    let generates = MAKES_MEDIA.contains(&kind) || MAKES_OTHERS.contains(&kind);
    !generates && !item.contains_key("status") && !item.contains_key("progress")
}

/// Returns the id of a result, where it has one.
pub(super) fn id(item: &Object) -> Option<(&'static str, &str)> {
    IDS.into_iter().map(|name| (name, text(item, name))).find(|(_, id)| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Object {
        value.as_object().expect("an object").clone()
    }

    #[test]
    fn an_error_is_found_wherever_it_stands() {
        let named = json!({"code": "invalidModel", "message": "x", "taskUUID": "u"});
        for (answer, of_one) in [
            (json!({"errors": [named]}), false),
            (json!({"errors": named}), false),
            (json!({"error": named}), false),
            (json!({"error": [named], "errors": [named], "data": []}), false),
            (json!({"data": [{"taskUUID": "u", "status": "error", "error": named}]}), true),
            (json!({"data": [{"taskUUID": "u", "errors": [{"code": "invalidModel", "message": "x"}]}]}), true),
            (json!({"data": {"taskUUID": "u", "status": "Failed", "code": "invalidModel", "message": "x"}}), true),
        ] {
            let told = Told::read(object(answer.clone())).expect("an answer");
            assert_eq!((told.items.len(), told.errors.len()), (0, 1), "{answer}");
            let error = &told.errors[0];
            assert_eq!((error.text("code"), error.text("message"), error.of_one), ("invalidModel", "x", of_one));
            assert_eq!(error.text("taskUUID"), "u", "{answer}");
        }
        let words = Told::read(object(json!({"error": "out of memory"}))).expect("an answer");
        assert_eq!(words.errors[0].text("message"), "out of memory");
        let bare = Told::read(object(json!({"status": "error", "message": "no"}))).expect("an answer");
        assert_eq!(bare.errors[0].text("message"), "no");
    }

    #[test]
    fn what_says_nothing_of_a_task_is_no_answer_and_empty_errors_are_none() {
        for answer in [json!({}), json!({"hello": 1}), json!({"errors": []}), json!({"error": null, "errors": {}})] {
            assert_eq!(Told::read(object(answer.clone())), None, "{answer}");
        }
        let read = |answer: Value| Told::read(object(answer)).expect("an answer");
        let fine = read(
            json!({"data": [{"taskUUID": "u", "status": "success", "error": null, "text": "x"}, 7], "errors": []}),
        );
        assert_eq!((fine.items.len(), fine.errors.len()), (1, 0));
        assert_eq!(read(json!({"data": "nonsense"})), Told::default());
    }

    #[test]
    fn a_result_holds_what_was_made() {
        for (kind, item, expected) in [
            ("imageInference", json!({"imageUUID": "i", "imageURL": "https://x"}), true),
            ("imageInference", json!({"imageUUID": "i", "imageBase64Data": "QUJD", "seed": 1}), true),
            ("imageInference", json!({"imageUUID": "i", "seed": 1}), false),
            ("imageInference", json!({"imageUUID": "i", "imageURL": null}), false),
            ("imageInference", json!({"imageUUID": "i", "imageURL": "https://preview", "progress": 50}), false),
            ("imageInference", json!({"imageUUID": "i", "imageURL": "https://x", "progress": 100}), true),
            ("videoInference", json!({"videoUUID": "v", "resultIndex": 0, "progress": 30}), false),
            ("videoInference", json!({"videoUUID": "v", "videoURL": "https://x", "status": "success"}), true),
            ("videoInference", json!({"videoUUID": "v", "status": "success"}), false),
            ("videoInference", json!({"videoUUID": "v", "videoURL": "", "status": "success"}), false),
            ("videoInference", json!({"videoURL": "https://x", "status": "uploading"}), false),
            ("videoInference", json!({"status": "success"}), false),
            ("3dInference", json!({"outputs": {"files": []}}), true),
            ("promptEnhance", json!({"text": "x"}), true),
            ("textInference", json!({"delta": {"text": "x"}}), false),
            ("imageUpload", json!({"imageUUID": "i"}), true),
            ("modelUpload", json!({"status": "validated", "air": "a:b@c"}), false),
            ("modelUpload", json!({"status": "ready", "air": "a:b@c"}), true),
            ("modelSearch", json!({"results": [], "totalResults": 0}), true),
        ] {
            let mut item = object(item);
            item.insert("taskUUID".into(), "u".into());
            assert_eq!(is_result(&item, kind), expected, "{kind} {item:?}");
        }
        for (kind, item, expected) in [
            ("videoInference", json!({"videoUUID": "v", "status": "success"}), true),
            ("videoInference", json!({"videoUUID": "v", "videoURL": "", "status": "success"}), true),
            ("imageInference", json!({"imageUUID": "i", "imageURL": ""}), true),
            ("imageInference", json!({"imageUUID": "i", "imageURL": "", "progress": 50}), false),
            ("imageInference", json!({"imageUUID": "i", "imageURL": null}), false),
            ("imageInference", json!({"imageUUID": "i", "imageURL": "https://x", "status": "success"}), false),
            ("videoInference", json!({"status": "success"}), false),
            ("videoInference", json!({"videoUUID": "v", "status": "processing"}), false),
            ("promptEnhance", json!({"text": "", "status": "success"}), false),
        ] {
            assert_eq!(is_hollow(&object(item.clone()), kind), expected, "{kind} {item}");
        }
        assert!(is_bare_end(&object(json!({"taskUUID": "u"})), "mediaDelete"));
        assert!(!is_bare_end(&object(json!({"taskUUID": "u"})), "imageInference"));
        assert!(!is_bare_end(&object(json!({"taskUUID": "u", "status": "processing"})), "mediaDelete"));
    }
}
