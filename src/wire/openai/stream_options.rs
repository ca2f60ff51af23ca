//! Usage of a streamed chat: providers tell it only where they are asked to, and most callers do not ask.
//!
//! What a stream cost is not known without it. So it is asked for on the caller's behalf, and the chunk that tells it is
//! kept from a caller who did not.

use bytes::Bytes;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::{Endpoint, OpenAiRequest};

/// `stream_options` of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::wire) struct StreamOptions {
    /// Where its value stands in the body; nothing where it has none.
    at: Option<(usize, usize)>,
    /// Whether it asks for usage.
    with_usage: bool,
    /// Whether it is neither an object nor null, which is for the provider to refuse.
    is_strange: bool,
}

/// Reads a field as it stands, null too.
pub(super) fn raw<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl StreamOptions {
    /// Reads the field; `place` tells where in the body it stands.
    pub(super) fn read(raw: Option<&RawValue>, place: impl Fn(&RawValue) -> (usize, usize)) -> Self {
        #[derive(Deserialize)]
        struct Peek<'a> {
            #[serde(borrow)]
            include_usage: Option<&'a RawValue>,
        }
        let Some(raw) = raw else { return Self::default() };
        let options = serde_json::from_str::<Option<Peek<'_>>>(raw.get()).ok().filter(|_| !raw.get().starts_with('['));
        let wanted = options.as_ref().and_then(|options| options.as_ref()?.include_usage);
        Self {
            at: Some(place(raw)),
            with_usage: wanted.is_some_and(|wanted| wanted.get() == "true"),
            is_strange: options.is_none(),
        }
    }
}

impl OpenAiRequest {
    /// Says whether the caller wants the usage of a streamed chat as a chunk of its own.
    #[must_use]
    pub fn wants_usage(&self) -> bool {
        self.options.with_usage
    }

    /// Returns the body for an upstream model with the wish for usage put into it; `None` where it needs none.
    #[must_use]
    pub fn body_with_usage(&self, upstream: &str) -> Option<Bytes> {
        let StreamOptions { at, with_usage, is_strange } = self.options;
        if self.endpoint != Endpoint::Chat || !self.stream || with_usage || is_strange || self.form.is_some() {
            return None;
        }
        let wish = match at {
            Some((start, end)) => {
                let options = serde_json::from_slice::<Option<Map<String, Value>>>(&self.body[start..end]).ok()?;
                let mut options = options.unwrap_or_default();
                options.insert("include_usage".into(), true.into());
                ((start, end), Value::Object(options).to_string())
            }
            None => {
                // Just behind the brace; the model's name comes after it, so a comma does.
                let start = self.body.iter().position(|byte| *byte == b'{')? + 1;
                ((start, start), r#""stream_options":{"include_usage":true},"#.to_owned())
            }
        };
        Some(splice(&self.body, &mut [wish, (self.model_at, self.written(upstream))]).into())
    }
}

/// Puts texts in the place of others, which do not overlap.
pub(super) fn splice(body: &[u8], edits: &mut [((usize, usize), String)]) -> Vec<u8> {
    edits.sort_unstable_by_key(|(at, _)| *at);
    let (mut written, mut from) = (Vec::with_capacity(body.len() + 64), 0);
    for ((start, end), text) in edits {
        written.extend_from_slice(&body[from..*start]);
        written.extend_from_slice(text.as_bytes());
        from = *end;
    }
    written.extend_from_slice(&body[from..]);
    written
}

/// Says whether the payload of an event tells usage and nothing else.
#[must_use]
pub fn is_usage_alone(data: &str) -> bool {
    #[derive(Deserialize)]
    struct Chunk {
        choices: Option<Vec<IgnoredAny>>,
        usage: Option<Map<String, Value>>,
    }
    // Most events are told apart without parsing them.
    data.contains("\"usage\"")
        && serde_json::from_str::<Chunk>(data)
            .is_ok_and(|chunk| chunk.usage.is_some() && chunk.choices.is_some_and(|choices| choices.is_empty()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asked(body: &str) -> Option<Value> {
        let request = OpenAiRequest::parse(Endpoint::Chat, body.to_owned().into()).expect("valid");
        let body = request.body_with_usage("up\"stream")?;
        let text = String::from_utf8(body.to_vec()).expect("UTF-8");
        assert_eq!(text.matches("stream_options").count(), 1, "once: {text}");
        Some(serde_json::from_str(&text).expect("JSON"))
    }

    #[test]
    fn usage_is_asked_for_wherever_the_caller_did_not() {
        let rest = r#""stream":true,"messages":[{"role":"user","content":"say \"stream_option\""}]"#;
        let wish = json!({"include_usage": true});
        for (options, wanted) in [
            ("", &wish),
            (r#""stream_options":null,"#, &wish),
            (r#""stream_options": { } ,"#, &wish),
            (r#""stream_options":{"include_usage":false},"#, &wish),
            (
                r#""stream_options":{"include_obfuscation":false},"#,
                &json!({"include_usage": true, "include_obfuscation": false}),
            ),
        ] {
            for body in
                [format!("\n {{{options}\"model\":\"m\",{rest}}}"), format!("{{\"model\":\"m\",{options}{rest}}}")]
            {
                let sent = asked(&body).expect(&body);
                assert_eq!((&sent["stream_options"], &sent["model"]), (wanted, &json!("up\"stream")), "{body}");
                assert_eq!(sent["messages"][0]["content"], "say \"stream_option\"");
            }
        }
        for body in [
            format!(r#"{{"model":"m","stream_options":{{"include_usage":true}},{rest}}}"#),
            format!(r#"{{"model":"m","stream_options":["x"],{rest}}}"#),
            format!(r#"{{"model":"m","stream_options":7,{rest}}}"#),
            format!(r#"{{"model":"m",{}}}"#, rest.replace("true", "false")),
        ] {
            assert_eq!(asked(&body), None, "{body}");
        }
    }

    #[test]
    fn only_a_chunk_that_tells_nothing_else_is_usage_alone() {
        assert!(is_usage_alone(r#"{"id":"1","choices":[],"usage":{"prompt_tokens":1}}"#));
        for more in [
            r#"{"choices":[{"delta":{"content":"\"usage\""}}],"usage":null}"#,
            r#"{"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":1}}"#,
            r#"{"choices":[],"usage":null,"prompt_filter_results":[]}"#,
            r#"{"choices":[],"prompt_filter_results":[]}"#,
            "[DONE]",
        ] {
            assert!(!is_usage_alone(more), "{more}");
        }
    }
}
