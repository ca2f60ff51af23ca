//! Usage of a streamed chat: providers tell it only where they are asked to, and most callers do not ask.
//!
//! The cost of a stream is not known without it. So it is asked for on the caller's behalf, and the chunk that tells it
//! is kept from a caller who did not.

use std::ops::Range;

use bytes::Bytes;
use memchr::memmem;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::wire::body::Edit;

/// `stream_options` of a body.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct StreamOptions {
    /// Where the value stands in the body; nothing where it has none.
    pub(super) at: Option<Range<usize>>,
    /// Whether usage is asked for.
    pub(super) with_usage: bool,
    /// Whether it is neither an object nor null, which is for the provider to refuse.
    is_strange: bool,
}

impl StreamOptions {
    /// Reads the field; `place` tells where in the body it stands.
    pub(super) fn read(raw: Option<&RawValue>, place: impl Fn(&RawValue) -> Range<usize>) -> Self {
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

    /// Returns the edit that asks a body for usage; `None` where it asks already, or for something strange.
    pub(super) fn wish(&self, body: &Bytes) -> Option<Edit> {
        if self.with_usage || self.is_strange {
            return None;
        }
        let Some(at) = self.at.clone() else {
            return Some(Edit::first_member(body, "stream_options", r#"{"include_usage":true}"#));
        };
        let options = serde_json::from_slice::<Option<Map<String, Value>>>(&body[at.clone()]).ok()?;
        let mut options = options.unwrap_or_default();
        options.insert("include_usage".into(), true.into());
        Some(Edit { at, text: Value::Object(options).to_string() })
    }
}

/// Says whether the payload of an event tells usage and nothing else.
#[must_use]
pub fn is_usage_alone(data: impl AsRef<[u8]>) -> bool {
    #[derive(Deserialize)]
    struct Chunk {
        choices: Option<Vec<IgnoredAny>>,
        usage: Option<Map<String, Value>>,
    }
    // Most events are told apart without parsing them.
    memmem::find(data.as_ref(), b"\"usage\"").is_some()
        && serde_json::from_slice::<Chunk>(data.as_ref())
            .is_ok_and(|chunk| chunk.usage.is_some() && chunk.choices.is_some_and(|choices| choices.is_empty()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::wire::openai::{Endpoint, OpenAiRequest};

    fn asked(body: &str) -> Option<Value> {
        let request = OpenAiRequest::parse(Endpoint::Chat, body.to_owned().into()).expect("valid");
        let body = request.body_with_usage("up\"stream")?;
        let text = String::from_utf8(body.joined().to_vec()).expect("UTF-8");
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
