//! Whatever arrives from the network is read or refused: no parser panics, and none loses what was well-formed.

use bytes::Bytes;
use fairflow::task::{Product, RawTask, Work};
use fairflow::wire::openai::{Endpoint, OpenAiRequest};
use fairflow::wire::runware::{RunwareTask, render};
use fairflow::wire::sse::Events;
use fairflow::wire::usage::{tokens_in, usage_in};
use fairflow::wire::{openai, runware};
use proptest::prelude::*;
use serde_json::{Map, Value};

/// Names that some parser looks for, so that values land where they matter.
const NAMES: &[&str] = &[
    "taskType",
    "taskUUID",
    "model",
    "positivePrompt",
    "numberResults",
    "width",
    "height",
    "steps",
    "duration",
    "fps",
    "messages",
    "role",
    "content",
    "input",
    "prompt",
    "size",
    "n",
    "stream",
    "deliveryMethod",
    "frameImages",
    "inputImage",
    "outputType",
    "choices",
    "delta",
    "usage",
    "data",
    "errors",
    "error",
    "message",
    "embedding",
    "text",
    "status",
    "imageURL",
    "seed",
    "cost",
    "finish_reason",
    "max_tokens",
    "instructions",
    "type",
    "image_url",
    "id",
    "previous_response_id",
    "encoding_format",
    "includeCost",
    "response",
];
const TEXTS: &[&str] = &[
    "imageInference",
    "textInference",
    "videoInference",
    "audioInference",
    "imageUpscale",
    "getResponse",
    "ping",
    "user",
    "512x512",
    "auto",
    "AAAA",
    "success",
    "[DONE]",
    "",
    "é",
    "input_text",
    "message",
];

/// JSON of any shape, with familiar names and texts.
fn json() -> impl Strategy<Value = Value> {
    let name = proptest::sample::select(NAMES).prop_map(str::to_owned);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        proptest::sample::select(TEXTS).prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::btree_map(name.clone(), inner, 0..8)
                .prop_map(|map| Value::Object(map.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

const ENDPOINTS: [Endpoint; 4] = [Endpoint::Chat, Endpoint::Embeddings, Endpoint::Images, Endpoint::Responses];

fn read_everything(text: &[u8]) {
    for endpoint in ENDPOINTS {
        if let Ok(request) = OpenAiRequest::parse(endpoint, Bytes::copy_from_slice(text)) {
            let sent = request.body_for("another").joined();
            let model = serde_json::from_slice::<Value>(&sent).unwrap()["model"].clone();
            assert_eq!(model, "another", "the model's name, and nothing else, is replaced");
            drop(request.work());
        }
        drop(openai::decode(endpoint, text));
    }
    if let Ok(text) = std::str::from_utf8(text) {
        drop((openai::decode_delta(text), runware::decode_delta(text)));
    }
    let text = String::from_utf8_lossy(text);
    std::hint::black_box((usage_in(&*text), tokens_in(&*text)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn bytes_of_any_kind_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        read_everything(&bytes);
    }

    #[test]
    fn json_of_any_shape_is_read_or_refused(value in json()) {
        read_everything(value.to_string().as_bytes());
        let items = match &value {
            Value::Object(map) => vec![map.clone()],
            Value::Array(items) => items.iter().filter_map(|item| item.as_object().cloned()).collect(),
            _ => Vec::new(),
        };
        if let Ok(task) = RunwareTask::parse(value) {
            let sent: Value = serde_json::from_str(&task.written(&task.changes_for("another"))).unwrap();
            prop_assert!(sent[0].get("model").is_none_or(|model| model == "another"));
            if let Ok(work) = task.work() {
                drop(runware::encode(&work, "another", "uuid"));
                drop(openai::encode(&work, "another"));
                let product = runware::decode(&work, items.clone());
                prop_assert!(render(product, &task).iter().all(|item| item["taskUUID"] == task.uuid()));
            }
        }
        let raw = Work::Raw(RawTask::new("x", "y"));
        let Product::Raw(kept) = runware::decode(&raw, items.clone()) else { panic!("raw stays raw") };
        prop_assert_eq!(kept.items, items);
    }

    #[test]
    fn events_are_the_same_wherever_they_are_cut(
        payloads in proptest::collection::vec("[^\r\n]{1,20}", 0..6),
        noise in proptest::collection::vec(any::<u8>(), 0..60),
        cut in 1usize..20,
    ) {
        let payloads: Vec<String> = payloads.iter().map(|text| format!("x{text}")).collect();
        let stream: String = payloads.iter().map(|text| format!(": c\n\nevent: e\ndata: {text}\r\n\r\n")).collect();
        let mut events = Events::default();
        let mut seen = Vec::new();
        for piece in stream.as_bytes().chunks(cut) {
            events.push(piece.to_vec()).unwrap();
            seen.extend(std::iter::from_fn(|| events.next_event()).filter_map(|event| Some(event.data()?.into_owned())));
        }
        prop_assert_eq!(seen, payloads);
        for piece in noise.chunks(cut) {
            events.push(piece.to_vec()).unwrap();
            while events.next_event().is_some() {}
        }
    }
}
