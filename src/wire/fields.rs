//! Names that the dialects give the parameters of a picture, video or sound beyond those that every one of them has, so
//! that a request in one is sent in another. Text has its own table (`dialects`).

use serde_json::{Map, Value, json};

/// The dialects of services, told apart by the names and values that they take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "names")]
pub enum Dialect {
    OpenAi,
    Runware,
    Bfl,
    Fal,
    Replicate,
    Ark,
}

/// Names of one parameter, in the order of [`Dialect`]; empty where it is not taken, and then left out.
const NAMES: [[&str; 6]; 7] = [
    ["output_format", "outputFormat", "output_format", "output_format", "output_format", ""],
    ["output_compression", "outputQuality", "", "", "output_quality", ""],
    ["response_format", "outputType", "", "", "", "response_format"],
    ["", "checkNSFW", "", "enable_safety_checker", "", ""],
    ["", "negativePrompt", "", "negative_prompt", "negative_prompt", ""],
    ["", "CFGScale", "guidance", "guidance_scale", "guidance_scale", "guidance_scale"],
    // Runware and OpenAI take width and height alone.
    ["", "", "aspect_ratio", "aspect_ratio", "aspect_ratio", ""],
];

/// Parameters that only Runware takes.
const RUNWARE: [&str; 17] = [
    "includeCost",
    "includeUsage",
    "deliveryMethod",
    "webhookURL",
    "uploadEndpoint",
    "ttl",
    "clipSkip",
    "promptWeighting",
    "controlNet",
    "ipAdapters",
    "acceleration",
    "acceleratorOptions",
    "advancedFeatures",
    "safety",
    "providerSettings",
    "refiner",
    "puLID",
];

/// Parameters that only OpenAI takes, with their values; any where none are named. Elsewhere a parameter of that name has
/// values of its own.
const OPENAI: [(&str, &[&str]); 7] = [
    ("user", &[]),
    ("moderation", &[]),
    ("partial_images", &[]),
    ("input_fidelity", &[]),
    ("quality", &["auto", "standard", "hd", "low", "medium", "high"]),
    ("style", &["vivid", "natural"]),
    ("background", &["auto", "transparent", "opaque"]),
];

/// All parameters that OpenAI's image models take.
const TAKEN_BY_OPENAI: [&str; 10] = [
    "background",
    "input_fidelity",
    "moderation",
    "output_compression",
    "output_format",
    "partial_images",
    "quality",
    "response_format",
    "style",
    "user",
];

/// In which form the results are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Addresses.
    Url,
    /// Base64.
    Base64,
    /// Data URIs.
    DataUri,
}

impl Form {
    /// Reads the form that a request of either dialect asks for; `None` where it does not say, or in no form that is
    /// known.
    #[must_use]
    pub fn asked(parameters: &Map<String, Value>) -> Option<Self> {
        Self::named(parameters.get("response_format").or_else(|| parameters.get("outputType"))?)
    }

    /// Reads the name of a form in either dialect; `None` where it is no form that is known.
    pub(super) fn named(asked: &Value) -> Option<Self> {
        // Older packages of Runware send a list.
        let asked = asked.as_array().and_then(|list| list.first()).unwrap_or(asked);
        match asked.as_str()?.to_lowercase().as_str() {
            "url" => Some(Self::Url),
            "b64_json" | "base64data" | "base64" => Some(Self::Base64),
            "datauri" => Some(Self::DataUri),
            _ => None,
        }
    }

    /// Writes it for a service; nothing where the name says it all.
    fn written(self, to: Dialect) -> Value {
        match (self, to) {
            (Self::Url, Dialect::Runware) => "URL".into(),
            (_, Dialect::Runware) => "base64Data".into(),
            (Self::Url, _) => "url".into(),
            _ => "b64_json".into(),
        }
    }
}

/// Kinds of files by how they begin in base64.
const BEGINNINGS: [(&str, &str); 7] = [
    ("iVBORw0KGgo", "image/png"),
    ("/9j/", "image/jpeg"),
    ("R0lGOD", "image/gif"),
    ("SUQz", "audio/mpeg"),
    ("//", "audio/mpeg"),
    ("T2dnUw", "audio/ogg"),
    ("ZkxhQw", "audio/flac"),
];

/// Writes a file of a kind (`image`, `audio`) that is there in base64 as an address.
#[must_use]
pub fn data_uri(kind: &str, base64: &str) -> String {
    let found = BEGINNINGS.iter().find(|(begin, _)| base64.starts_with(begin)).map(|(_, media)| *media);
    let media = match (kind, found) {
        (_, Some(media)) => media,
        // Both are RIFF: pictures of the web, and sound of the desktop.
        ("image", None) if base64.starts_with("UklGR") => "image/webp",
        ("image", None) => "image/png",
        _ => "audio/wav",
    };
    format!("data:{media};base64,{base64}")
}

/// Returns a text that is a file in base64 as an address: its beginning says of which kind, and it is long enough not to
/// be a word.
#[must_use]
pub fn file_uri(text: &str) -> Option<String> {
    const SHORTEST: usize = 64;
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
    let (_, media) = BEGINNINGS.iter().find(|(begin, _)| begin.len() > 3 && text.starts_with(begin))?;
    (text.len() >= SHORTEST && text.bytes().all(is_base64)).then(|| format!("data:{media};base64,{text}"))
}

/// Writes parameters as a service takes them: under its names and in its values, without those that only another dialect
/// has, and without nulls. What no dialect is known for is passed on as it is: it is the service's own.
#[must_use]
pub fn translated(parameters: &Map<String, Value>, to: Dialect, upstream: &str) -> Map<String, Value> {
    let is_openai = is_openai_model(upstream);
    let mut written = Map::new();
    for (name, value) in parameters.iter().filter(|(_, value)| !value.is_null()) {
        if let Some(row) = NAMES.iter().find(|row| row.contains(&name.as_str())) {
            let own = row[to as usize];
            if !own.is_empty() {
                written.extend(in_values(row[1], value, to).map(|value| (own.to_owned(), value)));
            }
            continue;
        }
        let of_runware = to != Dialect::Runware && RUNWARE.contains(&name.as_str());
        let of_openai = to != Dialect::OpenAi
            && OPENAI.iter().any(|(only, values)| {
                only == name && (values.is_empty() || value.as_str().is_some_and(|value| values.contains(&value)))
            });
        let is_taken = match to {
            Dialect::Runware if of_openai && is_openai && matches!(&**name, "quality" | "background") => {
                let settings = written.entry("providerSettings").or_insert_with(|| json!({"openai": {}}));
                settings["openai"][name] = value.clone();
                false
            }
            Dialect::Runware => !of_openai,
            _ => !of_runware && (!of_openai || is_openai && name != "user"),
        };
        if is_taken {
            written.insert(name.clone(), value.clone());
        }
    }
    // These always answer in base64, and refuse to be told.
    if upstream.contains("gpt-image") {
        written.remove("response_format");
    }
    written
}

/// As [`translated`], for OpenAI's own models, which refuse what they do not know: of a request that came in another
/// dialect.
#[must_use]
pub fn for_openai(parameters: &Map<String, Value>, upstream: &str) -> Map<String, Value> {
    let mut written = translated(parameters, Dialect::OpenAi, upstream);
    written.retain(|name, _| TAKEN_BY_OPENAI.contains(&name.as_str()));
    written
}

/// Says whether a model is one of OpenAI's that somebody else serves.
fn is_openai_model(upstream: &str) -> bool {
    ["openai", "gpt-image", "dall-e"].iter().any(|name| upstream.contains(name))
}

/// Writes a value of the parameter that Runware calls `name`; `None` where it is better left out.
fn in_values(name: &str, value: &Value, to: Dialect) -> Option<Value> {
    match name {
        "outputFormat" => Some(value.as_str().map_or_else(|| value.clone(), |format| format_for(format, to).into())),
        "outputType" => {
            let asked = Form::asked(&[("outputType".to_owned(), value.clone())].into_iter().collect());
            Some(asked.map_or_else(|| value.clone(), |form| form.written(to)))
        }
        // A check that nobody asked for stays as the service has it.
        "checkNSFW" if to != Dialect::Runware => (*value == Value::Bool(true)).then(|| value.clone()),
        _ => Some(value.clone()),
    }
}

/// Writes the name of a picture's format.
fn format_for(format: &str, to: Dialect) -> String {
    let format = format.to_lowercase();
    let is_jpeg = format == "jpg" || format == "jpeg";
    match to {
        Dialect::Runware if is_jpeg => "JPG".into(),
        Dialect::Runware => format.to_uppercase(),
        Dialect::Replicate if is_jpeg => "jpg".into(),
        _ if is_jpeg => "jpeg".into(),
        _ => format,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().cloned().expect("an object")
    }

    #[test]
    fn a_request_of_runwares_is_written_for_everyone() {
        let asked =
            map(json!({"outputType": "base64Data", "outputFormat": "JPG", "outputQuality": 95, "checkNSFW": true,
            "negativePrompt": "dull", "CFGScale": 7, "seed": 5, "includeCost": true, "clipSkip": 1, "ttl": null}));
        for (to, written) in [
            (
                Dialect::Runware,
                json!({"outputType": "base64Data", "outputFormat": "JPG", "outputQuality": 95,
                "checkNSFW": true, "negativePrompt": "dull", "CFGScale": 7, "seed": 5, "includeCost": true, "clipSkip": 1}),
            ),
            (Dialect::Bfl, json!({"output_format": "jpeg", "guidance": 7, "seed": 5})),
            (
                Dialect::Fal,
                json!({"output_format": "jpeg", "enable_safety_checker": true, "negative_prompt": "dull",
                    "guidance_scale": 7, "seed": 5}),
            ),
            (
                Dialect::Replicate,
                json!({"output_format": "jpg", "output_quality": 95, "negative_prompt": "dull", "guidance_scale": 7,
                    "seed": 5}),
            ),
            (Dialect::Ark, json!({"response_format": "b64_json", "guidance_scale": 7, "seed": 5})),
        ] {
            assert_eq!(Value::Object(translated(&asked, to, "m")), written, "{to:?}");
        }
        let strict = json!({"response_format": "b64_json", "output_format": "jpeg", "output_compression": 95});
        assert_eq!(Value::Object(for_openai(&asked, "m")), strict);
        assert_eq!(for_openai(&asked, "gpt-image-1").len(), 2, "it refuses response_format");
    }

    #[test]
    fn a_request_of_openais_is_written_for_everyone() {
        let asked =
            map(json!({"response_format": "b64_json", "output_format": "webp", "quality": "hd", "style": "vivid",
            "user": "u", "background": "auto", "moderation": "low", "steps": 20, "n": null}));
        for (to, upstream, written) in [
            (Dialect::Runware, "a:1@1", json!({"outputType": "base64Data", "outputFormat": "WEBP", "steps": 20})),
            (
                Dialect::Runware,
                "openai:1@1",
                json!({"outputType": "base64Data", "outputFormat": "WEBP", "steps": 20,
                    "providerSettings": {"openai": {"quality": "hd", "background": "auto"}}}),
            ),
            (Dialect::Fal, "fal-ai/flux", json!({"output_format": "webp", "steps": 20})),
            (
                Dialect::Fal,
                "fal-ai/gpt-image-1",
                json!({"output_format": "webp", "steps": 20, "quality": "hd", "style": "vivid", "background": "auto",
                    "moderation": "low"}),
            ),
        ] {
            assert_eq!(Value::Object(translated(&asked, to, upstream)), written, "{to:?} {upstream}");
        }
        // A service's own values of the same names are the service's.
        let own = map(json!({"style": "realistic_image", "quality": "720p"}));
        assert_eq!(translated(&own, Dialect::Fal, "m"), own);
    }

    #[test]
    fn forms_are_read_in_either_dialect() {
        for (asked, form) in [
            (json!({"response_format": "b64_json"}), Some(Form::Base64)),
            (json!({"outputType": ["dataURI"]}), Some(Form::DataUri)),
            (json!({"outputType": "URL"}), Some(Form::Url)),
            (json!({"outputType": 7}), None),
            (json!({}), None),
        ] {
            assert_eq!(Form::asked(&map(asked.clone())), form, "{asked}");
        }
    }
}
