//! The error of a service, read from whatever dialect it speaks, so that it can be said in another.

use serde_json::{Map, Value};

/// Most characters of a message that are passed on.
const LONGEST_MESSAGE: usize = 2_000;
/// Most characters of a code or of a field's name.
const LONGEST_NAME: usize = 100;
/// Most of several problems that are named in one message.
const MOST_PROBLEMS: usize = 3;
/// Deepest that an error within an error is looked for.
const DEEPEST: u32 = 4;

/// Fields that hold an error's words, the best first.
const MESSAGES: [&str; 7] = ["message", "msg", "detail", "description", "error_description", "reason", "title"];
/// Fields that hold an error's code, the best first.
const CODES: [&str; 4] = ["code", "error_type", "errorType", "type"];
/// Fields that name the field at fault.
const PARAMS: [&str; 3] = ["param", "parameter", "field"];

/// Words for content that a service will not make or show, in lower case; of a code without what divides its words.
const MODERATION: [&str; 14] = [
    "moderat",
    "nsfw",
    "sensitive",
    "safety",
    "flagged",
    "policy",
    "copyright",
    "content filter",
    "contentfilter",
    "responsibleai",
    "inappropriate",
    "providercontent",
    "datainspection",
    "prohibited",
];

/// A service's own words about what it refused or failed at.
///
/// # Examples
///
/// ```
/// use fairflow::wire::said::Said;
///
/// let said = Said::read(br#"{"detail": [{"loc": ["body", "width"], "msg": "must be a multiple of 32"}]}"#);
/// assert_eq!(said.map(|said| (said.message, said.param)), Some(("must be a multiple of 32".into(), Some("width".into()))));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Said {
    /// The words; never empty.
    pub message: String,
    /// The service's own code.
    pub code: Option<String>,
    /// The field at fault, by the service's name.
    pub param: Option<String>,
    /// Whether it is about what may be asked for or shown, not about how it was asked for.
    pub moderated: bool,
}

impl Said {
    /// Reads the body of an error; `None` where it says nothing that a caller could use, as a page of HTML.
    #[must_use]
    pub fn read(body: &[u8]) -> Option<Self> {
        match serde_json::from_slice::<Value>(body) {
            Ok(answer) => Self::of(&answer),
            Err(_) => {
                let text = std::str::from_utf8(body).ok()?.trim();
                let is_text = !text.starts_with(['<', '{', '[']) && text.len() <= LONGEST_MESSAGE;
                is_text.then(|| Self::words(text)).flatten()
            }
        }
    }

    /// Reads an error, or an answer that holds one.
    #[must_use]
    pub fn of(answer: &Value) -> Option<Self> {
        Self::within(answer, DEEPEST)
    }

    fn within(value: &Value, deepest: u32) -> Option<Self> {
        let deeper = deepest.checked_sub(1)?;
        match value {
            Value::String(text) => Self::words(text),
            Value::Array(items) => Self::first(items, deeper),
            Value::Object(object) => {
                let inner = ["errors", "error", "detail"].iter().filter_map(|name| object.get(*name));
                let found = inner.filter_map(|inner| Self::within(inner, deeper)).next();
                let own = Self::own(object);
                let mut said = match (found, own) {
                    (Some(found), own) => Self::together(found, own),
                    (None, own) => own?,
                };
                said.moderated |= inner_code(object).is_some_and(|code| is_moderation(&code));
                Some(said)
            }
            _ => None,
        }
    }

    /// Reads a list of problems: the first one's code and field, the words of all that there is room for.
    fn first(items: &[Value], deepest: u32) -> Option<Self> {
        let all: Vec<Self> = items.iter().filter_map(|item| Self::within(item, deepest)).take(MOST_PROBLEMS).collect();
        let first = all.first()?.clone();
        if all.len() == 1 {
            return Some(first);
        }
        let named = |said: &Self| match &said.param {
            Some(param) => format!("{param}: {}", said.message),
            None => said.message.clone(),
        };
        let message = all.iter().map(named).collect::<Vec<_>>().join("; ");
        Some(Self {
            message: plain(&message, LONGEST_MESSAGE),
            moderated: all.iter().any(|said| said.moderated),
            ..first
        })
    }

    /// Adds what an envelope knows to what the error in it says.
    fn together(inner: Self, envelope: Option<Self>) -> Self {
        let Some(envelope) = envelope else { return inner };
        let code = inner.code.or(envelope.code);
        Self {
            param: inner.param.or(envelope.param),
            moderated: inner.moderated || code.as_deref().is_some_and(is_moderation),
            code,
            ..inner
        }
    }

    /// Reads what stands in an object itself.
    fn own(object: &Map<String, Value>) -> Option<Self> {
        let text = |names: &[&str]| names.iter().find_map(|name| word(object.get(*name)?));
        let param = text(&PARAMS).or_else(|| place(object.get("loc")?)).or_else(|| {
            let fields = object.get("invalid_fields")?.as_array()?;
            word(fields.first()?.get("field")?)
        });
        let code = text(&CODES);
        // A generation that has failed: its state, and why.
        let state = || {
            let state = word(object.get("status")?).filter(|state| state.parse::<u16>().is_err())?;
            let mut why = Vec::new();
            strings(object.get("details").unwrap_or(&Value::Null), &mut why);
            Some(if why.is_empty() { state } else { format!("{state}: {}", why.join("; ")) })
        };
        let message = text(&MESSAGES).or_else(state).or_else(|| code.clone())?;
        let words = Self::words(&message)?;
        let by_words = param.is_none() && words.moderated;
        let moderated = by_words || code.as_deref().is_some_and(is_moderation);
        let name = |text: String| plain(text.rsplit('.').next().unwrap_or_default(), LONGEST_NAME);
        Some(Self { code, param: param.map(name).filter(|param| !param.is_empty()), moderated, ..words })
    }

    fn words(text: &str) -> Option<Self> {
        // A page is written for browsers.
        let message = if text.trim_start().starts_with('<') { String::new() } else { plain(text, LONGEST_MESSAGE) };
        let moderated = is_moderation(&message);
        (!message.is_empty()).then(|| Self { message, moderated, ..Self::default() })
    }
}

/// Says whether words or a code speak of content that is not allowed.
#[must_use]
pub fn is_moderation(words: &str) -> bool {
    let words = words.to_lowercase();
    let code: String = words.chars().filter(|c| c.is_alphanumeric()).collect();
    MODERATION.iter().any(|said| words.contains(said) || (!words.contains(' ') && code.contains(said)))
}

/// Returns a text, or a number as one; nothing of an empty one.
fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Returns the field that a place such as `["body", "width"]` or `["body", "images", 0]` is about.
fn place(place: &Value) -> Option<String> {
    let names = place.as_array()?.iter().rev().filter_map(Value::as_str);
    names.map(str::to_owned).find(|name| !matches!(&**name, "body" | "query" | "input"))
}

/// Returns the code of an error within an error, as Azure has it.
fn inner_code(object: &Map<String, Value>) -> Option<String> {
    word(object.get("innererror")?.get("code")?)
}

fn strings(value: &Value, found: &mut Vec<String>) {
    match value {
        _ if found.len() == MOST_PROBLEMS => {}
        Value::Array(items) => items.iter().for_each(|item| strings(item, found)),
        Value::Object(object) => object.values().for_each(|value| strings(value, found)),
        other => found.extend(word(other)),
    }
}

/// Cuts a text to a length, without control characters.
fn plain(text: &str, longest: usize) -> String {
    let text = text.trim();
    let mut cut: String = text.chars().take(longest).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    cut
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn errors_of_every_dialect_are_read() {
        for (body, message, code, param, moderated) in [
            (
                json!({"error": {"message": "no", "type": "invalid_request_error", "param": "n", "code": null}}),
                "no",
                Some("invalid_request_error"),
                Some("n"),
                false,
            ),
            (
                json!({"error": {"message": "Rejected by our safety system.", "param": null, "code": "moderation_blocked"}}),
                "Rejected by our safety system.",
                Some("moderation_blocked"),
                None,
                true,
            ),
            (
                json!({"error": {"message": "m", "code": "400", "innererror": {"code": "ResponsibleAIPolicyViolation"}}}),
                "m",
                Some("400"),
                None,
                true,
            ),
            (
                json!([{"error": {"code": 400, "message": "bad", "status": "INVALID_ARGUMENT"}}]),
                "bad",
                Some("400"),
                None,
                false,
            ),
            (json!({"error": "no such thing"}), "no such thing", None, None, false),
            (
                json!({"data": [], "errors": [{"code": "unsupportedWidth", "message": "w", "parameter": "width", "taskUUID": "u"}]}),
                "w",
                Some("unsupportedWidth"),
                Some("width"),
                false,
            ),
            (json!({"detail": "nope"}), "nope", None, None, false),
            (
                json!({"detail": [{"loc": ["body", "width"], "msg": "a multiple of 32", "type": "multiple_of"}]}),
                "a multiple of 32",
                Some("multiple_of"),
                Some("width"),
                false,
            ),
            (
                json!({"detail": [{"loc": ["body", "w"], "msg": "a"}, {"loc": ["body", "h", 0], "msg": "b"}]}),
                "w: a; h: b",
                None,
                Some("w"),
                false,
            ),
            (
                json!({"detail": [{"loc": ["body", "prompt"], "msg": "flagged", "type": "content_policy_violation"}]}),
                "flagged",
                Some("content_policy_violation"),
                Some("prompt"),
                true,
            ),
            (
                json!({"detail": "Runner gone", "error_type": "runner_disconnected"}),
                "Runner gone",
                Some("runner_disconnected"),
                None,
                false,
            ),
            (
                json!({"title": "Invalid", "detail": "- input.width: too large", "status": 422, "invalid_fields": [{"field": "input.width"}]}),
                "- input.width: too large",
                None,
                Some("width"),
                false,
            ),
            (
                json!({"id": "b", "status": "Request Moderated", "details": {"Moderation Reasons": ["Derivative Works"]}}),
                "Request Moderated: Derivative Works",
                None,
                None,
                true,
            ),
            (
                json!({"status": "failed", "error": "NSFW content detected", "output": null}),
                "NSFW content detected",
                None,
                None,
                true,
            ),
            (
                json!({"error": {"code": "InputTextSensitiveContentDetected", "message": "x", "param": ""}}),
                "x",
                Some("InputTextSensitiveContentDetected"),
                None,
                true,
            ),
            (
                json!({"type": "error", "error": {"type": "invalid_request_error", "message": "too long"}}),
                "too long",
                Some("invalid_request_error"),
                None,
                false,
            ),
            (
                json!({"error": {"message": "Unknown parameter: 'safety'", "param": "safety", "code": "unknown_parameter"}}),
                "Unknown parameter: 'safety'",
                Some("unknown_parameter"),
                Some("safety"),
                false,
            ),
        ] {
            let said = Said::read(body.to_string().as_bytes()).unwrap_or_else(|| panic!("{body}"));
            let read = (&*said.message, said.code.as_deref(), said.param.as_deref(), said.moderated);
            assert_eq!(read, (message, code, param, moderated), "{body}");
        }
        assert_eq!(Said::read(b" no credits\x07 left ").map(|said| said.message), Some("no credits  left".into()));
    }

    #[test]
    fn what_says_nothing_is_not_passed_on() {
        let page = b"<html><body>400</body></html>".as_slice();
        for body in [page, b"", b"{", b"{}", b"null", b"[]", b"7", b"{\"error\":null}", b"{\"error\":{}}", &[0xff]] {
            assert_eq!(Said::read(body), None, "{}", String::from_utf8_lossy(body));
        }
        let long = Said::of(&json!({"error": {"message": "x".repeat(9_000)}})).expect("words");
        assert_eq!(long.message.chars().count(), LONGEST_MESSAGE + 1);
        let deep = (0..60).fold(json!("x"), |inner, _| json!({"error": inner}));
        assert_eq!(Said::of(&deep), None, "an error is not that deep");
    }
}
