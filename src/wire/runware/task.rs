//! A task object of Runware's, as it came.

use std::sync::Arc;

use serde::Serialize;
use serde::ser::Serializer;
use serde_json::{Map, Value};

use super::cost::cost;
use crate::core::cost::Cost;
use crate::task::Tokens;
use crate::wire::malformed::Malformed;
use crate::wire::number::{length, whole_number};

/// The types of task that no model could be guessed for.
const GENERATES: [&str; 5] = ["imageInference", "textInference", "videoInference", "audioInference", "photoMaker"];

/// Types of task that are paid for by the piece.
const PAID: [&str; 11] = [
    "imageInference",
    "videoInference",
    "audioInference",
    "textInference",
    "photoMaker",
    "imageUpscale",
    "upscale",
    "removeBackground",
    "imageBackgroundRemoval",
    "caption",
    "promptEnhance",
];

/// A task object, checked as far as scheduling needs.
#[derive(Debug, Clone, PartialEq)]
pub struct RunwareTask {
    /// Shared: it may hold media of many megabytes.
    pub(super) body: Arc<Map<String, Value>>,
    cost: Cost,
}

impl RunwareTask {
    /// Checks a task object. A null is taken as absent, and `20.0` as the whole number that it is.
    ///
    /// # Errors
    ///
    /// [`Malformed`] names the field: not an object, no `taskType`, no `model`, or a number that is none.
    pub fn parse(task: Value) -> Result<Self, Malformed> {
        let Value::Object(mut body) = task else {
            return Err(Malformed::new("task", "must be an object with taskType, taskUUID and model"));
        };
        normalise(&mut body);
        let generates = body.get("taskType").and_then(Value::as_str).is_some_and(|kind| GENERATES.contains(&kind));
        for field in ["taskType", "model"] {
            match body.get(field) {
                Some(Value::String(text)) if !text.is_empty() => {}
                None if field == "model" && !generates => {}
                None => return Err(Malformed::new(field, "is missing")),
                Some(_) => return Err(Malformed::new(field, "must be a non-empty string")),
            }
        }
        if body.get("taskUUID").is_some_and(|uuid| !uuid.is_string() && !uuid.is_null()) {
            return Err(Malformed::new("taskUUID", "must be a string"));
        }
        let cost = cost(&body)?;
        Ok(Self { body: Arc::new(body), cost })
    }

    /// Returns the task's type.
    #[must_use]
    pub fn task_type(&self) -> &str {
        self.text("taskType")
    }

    /// Returns the task's id; empty when it has none.
    #[must_use]
    pub fn uuid(&self) -> &str {
        self.text("taskUUID")
    }

    /// Returns the model asked for; empty where the task names none.
    #[must_use]
    pub fn model(&self) -> &str {
        self.text("model")
    }

    /// Returns the predicted cost.
    #[must_use]
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// Says whether the answer is wanted as a stream of text.
    #[must_use]
    pub fn wants_stream(&self) -> bool {
        self.text("deliveryMethod") == "stream"
    }

    /// Returns a field of the task.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.body.get(name)
    }

    /// Returns the whole task object.
    #[must_use]
    pub fn body(&self) -> &Map<String, Value> {
        &self.body
    }

    fn text(&self, name: &str) -> &str {
        self.body.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// Returns the fields that a provider is sent otherwise than they came: the model's name there, where the task has one,
    /// and the wish to be told what the task costs, where tasks of its type take that. Without it the service does not say,
    /// and most callers do not ask.
    #[must_use]
    pub fn changes_for(&self, upstream: &str) -> Map<String, Value> {
        let mut changes = Map::new();
        if self.body.contains_key("model") {
            changes.insert("model".into(), upstream.into());
        }
        if PAID.contains(&self.task_type()) {
            changes.insert("includeCost".into(), true.into());
        }
        if self.task_type() == "textInference" {
            changes.insert("includeUsage".into(), true.into());
        }
        changes
    }

    /// Writes the task with some fields changed, as the array that the service takes. Nothing of it is copied before.
    #[must_use]
    pub fn written(&self, changes: &Map<String, Value>) -> String {
        // Room for all at once: growing would copy what is written.
        let texts = self.body.iter().map(|(name, value)| name.len() + value.as_str().map_or(0, str::len) + 32);
        let mut written = Vec::with_capacity(texts.sum::<usize>() + 256);
        // An object of JSON values can always be written, and is UTF-8.
        serde_json::to_writer(&mut written, &[Changed { own: &self.body, changes }]).unwrap_or_default();
        String::from_utf8(written).unwrap_or_default()
    }

    /// Returns the tokens that the task is about to take, where a price by the token applies to it.
    #[must_use]
    pub fn tokens(&self) -> Option<Tokens> {
        if self.task_type() != "textInference" {
            return None;
        }
        let limit = self.get("maxTokens").or_else(|| self.get("settings")?.get("maxTokens"));
        let messages = self.get("messages").map_or(0, length);
        Some(Tokens::of_bytes(messages, limit.and_then(Value::as_u64)))
    }
}

/// An object with fields of another in the place of its own.
struct Changed<'a> {
    own: &'a Map<String, Value>,
    changes: &'a Map<String, Value>,
}

impl Serialize for Changed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let own = self.own.iter().filter(|(name, _)| !self.changes.contains_key(*name));
        serializer.collect_map(own.chain(self.changes))
    }
}

/// Leaves out nulls, which SDKs send for what is not set, and writes whole numbers as such, which some languages write as
/// fractions.
fn normalise(fields: &mut Map<String, Value>) {
    fields.retain(|_, value| !value.is_null());
    for value in fields.values_mut() {
        match value {
            Value::Object(fields) => normalise(fields),
            Value::Number(number) => *number = whole_number(number).unwrap_or_else(|| number.clone()),
            _ => {}
        }
    }
}
