//! What is thrown at the parsers of everything that comes from the network. `fuzz/` runs each of these with cargo-fuzz;
//! `main.rs` runs them over the corpora.

use std::time::Duration;

use bytes::Bytes;
use fairflow::provider::{Outcome, doors};
use fairflow::task::{Product, RawTask, TextDelta, Usage, Work};
use fairflow::wire::event::{error_in, moves};
use fairflow::wire::form::Form;
use fairflow::wire::openai::{self, Endpoint, Label, OpenAiRequest};
use fairflow::wire::responses::Writer;
use fairflow::wire::runware::{self, RunwareTask};
use fairflow::wire::sse::{Event, Events, begins, is_whole};
use fairflow::wire::usage::{tokens_in, usage_in};
use serde_json::{Map, Value};

/// A parser, and what it is checked for.
pub type Target = fn(&[u8]);

/// Every target by name.
#[allow(dead_code, reason = "each fuzzer uses one of them")]
pub const TARGETS: [(&str, Target); 10] = [
    ("answers", answers),
    ("bodies", bodies),
    ("forms", forms),
    ("frames", frames),
    ("headers", headers),
    ("polls", polls),
    ("responses", responses),
    ("sse", sse),
    ("tasks", tasks),
    ("verdicts", verdicts),
];

/// Arrays of tasks, over REST and over the socket.
pub fn tasks(data: &[u8]) {
    let Ok(Value::Array(tasks)) = serde_json::from_slice(data) else { return };
    for task in tasks.into_iter().take(64) {
        let Ok(task) = RunwareTask::parse(task) else { continue };
        let sent: Value = serde_json::from_str(&task.written(&task.changes_for("another"))).expect("JSON");
        assert!(sent[0].get("model").is_none_or(|model| model == "another"));
        if let Ok(work) = task.work() {
            drop((runware::encode(&work, "another", "uuid"), openai::encode(&work, "another")));
            let items = vec![Map::from_iter([("imageURL".to_owned(), Value::from("x"))])];
            let written = runware::render(runware::decode(&work, items), &task);
            assert!(written.iter().all(|item| item["taskUUID"] == task.uuid()));
        }
    }
}

/// JSON bodies of OpenAI's endpoints.
pub fn bodies(data: &[u8]) {
    for &endpoint in Endpoint::ALL {
        let Ok(request) = OpenAiRequest::parse(endpoint, Bytes::copy_from_slice(data)) else { continue };
        // What is skipped is forwarded as it came: a lone surrogate is the provider's to judge.
        let sent = OpenAiRequest::parse(endpoint, request.body_for("another").joined());
        assert_eq!(sent.expect("still a body").model, "another");
        if let Ok(work) = request.work() {
            drop((runware::encode(&work, "another", "uuid"), openai::encode(&work, "another")));
        }
    }
}

/// Forms of image edits.
pub fn forms(data: &[u8]) {
    const KIND: &str = "multipart/form-data; boundary=B";
    let body = Bytes::copy_from_slice(data);
    if let Ok(text) = std::str::from_utf8(data) {
        drop(Form::parse(text, &body));
    }
    if let Ok(Some(form)) = Form::parse(KIND, &body) {
        drop(form.fields());
    }
    if let Ok(request) = OpenAiRequest::read(Endpoint::Edits, KIND, body) {
        drop(request.work());
        let sent = OpenAiRequest::read(Endpoint::Edits, KIND, request.body_for("another").joined());
        assert_eq!(sent.expect("still a form").model, "another");
    }
}

/// Event streams, wherever they are cut.
pub fn sse(data: &[u8]) {
    let Some((&cut, stream)) = data.split_first() else { return };
    let read = |size: usize| {
        let (mut events, mut seen) = (Events::default(), Vec::new());
        for piece in stream.chunks(size) {
            events.push(piece.to_vec()).expect("short");
            seen.extend(std::iter::from_fn(|| events.next_event()).filter_map(|event| said(&event)));
        }
        (seen, events.rest().and_then(|event| said(&event)))
    };
    let whole = read(stream.len().max(1));
    assert_eq!(whole, read(usize::from(cut).max(1)));
    for (_, data) in whole.0 {
        drop((openai::decode_delta(&data), runware::decode_delta(&data)));
        std::hint::black_box((error_in(&*data), moves(&*data), is_whole(&*data), usage_in(&*data), tokens_in(&*data)));
    }
    std::hint::black_box(begins(stream));
}

/// Returns the name and the payload of an event that has one.
fn said(event: &Event) -> Option<(Option<String>, String)> {
    Some((event.name().map(Into::into), event.data()?.into_owned()))
}

/// Answers of OpenAI's and Runware's endpoints, usage included.
pub fn answers(data: &[u8]) {
    for &endpoint in Endpoint::ALL {
        if let Ok(product) = openai::decode(endpoint, data) {
            std::hint::black_box(openai::render(&product, Label { model: "m", id: "i", created: 1 }, None));
        }
    }
    let Ok(answer) = serde_json::from_slice::<Value>(data) else { return };
    let items: Vec<Map<String, Value>> = match answer {
        Value::Array(items) => items.into_iter().filter_map(|item| item.as_object().cloned()).collect(),
        Value::Object(item) => vec![item],
        _ => return,
    };
    items.iter().for_each(|item| assert!(Usage::from_json(item).dollars.is_none()));
    let raw = Work::Raw(RawTask::new("x", "y"));
    let Product::Raw(kept) = runware::decode(&raw, items.clone()) else { panic!("raw stays raw") };
    assert_eq!(kept.items, items);
}

/// Inputs of responses, and their events: numbered without a gap, whatever the text.
pub fn responses(data: &[u8]) {
    if let Ok(request) = OpenAiRequest::parse(Endpoint::Responses, Bytes::copy_from_slice(data)) {
        drop(request.work());
    }
    let label = Label { model: "m", id: "i", created: 1 };
    let mut writer = Writer::default();
    let mut events = writer.begin(label);
    for piece in data.chunks(16) {
        let piece = TextDelta::new(String::from_utf8_lossy(piece));
        events.extend(writer.delta(&piece, label));
    }
    events.extend(writer.end(label));
    assert!(events.iter().enumerate().all(|(number, event)| event["sequence_number"] == number));
}

/// Headers of an answer.
pub fn headers(data: &[u8]) {
    doors::headers(data);
}

/// Answers that are no success, of any status: each has one verdict, and a wait with an end.
pub fn verdicts(data: &[u8]) {
    const LONGEST_WAIT: Duration = Duration::from_secs(31 * 86_400);
    let failure = doors::verdict(data);
    assert_ne!(failure.outcome, Outcome::Success);
    assert!(failure.retry_after.is_none_or(|wait| wait <= LONGEST_WAIT), "{failure:?}");
    assert!(failure.message.len() < 4096, "what is told of it is short: {}", failure.message.len());
}

/// Answers of services that are submitted to and polled.
pub fn polls(data: &[u8]) {
    doors::polls(data);
}

/// Frames of a provider's socket.
pub fn frames(data: &[u8]) {
    doors::frame(data);
}
