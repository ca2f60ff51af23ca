//! Usage and text that an event tells, read without building the rest of it.

use std::borrow::Cow;
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::task::Usage;

/// Strings of a delta that no model wrote.
const NAMES: [&str; 3] = ["role", "id", "type"];

/// The usage that an object tells, itself or in its `response`, where the events of a response have it. What has the
/// name and is no object, and an object that tells nothing, hides none.
pub(super) struct Found(pub(super) Option<Usage>);

impl<'de> Deserialize<'de> for Found {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Found;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found, A::Error> {
                let mut found = None;
                while let Some(key) = map.next_key::<Cow<'_, str>>()? {
                    let told = match &*key {
                        "usage" => match map.next_value::<Value>()? {
                            Value::Object(usage) => Some(Usage::from_json(&usage)),
                            _ => None,
                        },
                        "response" => match map.next_value::<Value>()? {
                            Value::Object(mut response) => match response.remove("usage") {
                                Some(Value::Object(usage)) => Some(Usage::from_json(&usage)),
                                _ => None,
                            },
                            _ => None,
                        },
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                            None
                        }
                    };
                    found = told.filter(|usage| *usage != Usage::default()).or(found);
                }
                Ok(Found(found))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

/// Bytes of text that a model wrote in a value: all strings, whatever they are in, but names that the API gives.
pub(super) struct Text(pub(super) u64);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            fn visit_str<E>(self, text: &str) -> Result<Text, E> {
                Ok(Text(text.len() as u64))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Text, E> {
                Ok(Text(0))
            }

            fn visit_i64<E>(self, _: i64) -> Result<Text, E> {
                Ok(Text(0))
            }

            fn visit_u64<E>(self, _: u64) -> Result<Text, E> {
                Ok(Text(0))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Text, E> {
                Ok(Text(0))
            }

            fn visit_unit<E>(self) -> Result<Text, E> {
                Ok(Text(0))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Text, A::Error> {
                let mut bytes = 0u64;
                while let Some(Text(item)) = items.next_element()? {
                    bytes += item;
                }
                Ok(Text(bytes))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Text, A::Error> {
                let mut bytes = 0u64;
                while let Some(key) = map.next_key::<Cow<'_, str>>()? {
                    if NAMES.contains(&&*key) {
                        map.next_value::<IgnoredAny>()?;
                    } else {
                        bytes += map.next_value::<Text>()?.0;
                    }
                }
                Ok(Text(bytes))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}
