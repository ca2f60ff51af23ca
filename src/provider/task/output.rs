//! Files among a service's results, whatever the fields are called that hold them and however deep they lie.

use std::time::Duration;

use reqwest::Url;
use serde_json::Value;

use super::handle::State;
use crate::task::{Audio, AudioResult, Image, ImageResult, Product, RawResult, Usage, Video, VideoResult, Work};
use crate::wire::Malformed;
use crate::wire::fields::file_uri;

/// Most files of one result.
const MOST_FILES: usize = 256;

/// The kind of a file's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Image,
    Video,
    Audio,
}

/// Files by the ends of their names.
const ENDINGS: [(Kind, &[&str]); 3] = [
    (Kind::Image, &["png", "jpg", "jpeg", "webp", "gif", "avif", "bmp", "tiff", "svg"]),
    (Kind::Video, &["mp4", "webm", "mov", "mkv", "m4v", "avi"]),
    (Kind::Audio, &["mp3", "wav", "flac", "ogg", "opus", "m4a", "aac"]),
];

impl Kind {
    /// Returns what work of a kind makes.
    fn made_by(work: &Work) -> Self {
        match work {
            Work::Video(_) => Self::Video,
            Work::Audio(_) => Self::Audio,
            _ => Self::Image,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Video => "video",
            Self::Audio => "audio",
        }
    }

    /// Reads the kind from a media type.
    fn of_type(text: &str) -> Option<Self> {
        [Self::Image, Self::Video, Self::Audio].into_iter().find(|kind| text.starts_with(kind.name()))
    }

    /// Guesses the kind of what lies at an address.
    fn at(url: &str) -> Option<Self> {
        if let Some(data) = url.strip_prefix("data:") {
            return Self::of_type(data);
        }
        let path = Url::parse(url).ok()?.path().to_lowercase();
        let (_, ending) = path.rsplit_once('.')?;
        ENDINGS.iter().find(|(_, endings)| endings.contains(&ending)).map(|(kind, _)| *kind)
    }
}

/// A file: its address, the kind of its content as it seems, and the name of the field that has it.
#[derive(Debug, Clone)]
struct File {
    url: String,
    kind: Option<Kind>,
    name: String,
}

/// Collects addresses and data URIs, but not those of what was asked for.
fn collect(value: &Value, name: &str, kind: Option<Kind>, found: &mut Vec<File>) {
    match value {
        Value::String(_) if found.len() >= MOST_FILES => {}
        Value::String(url) if ["http://", "https://", "data:"].iter().any(|scheme| url.starts_with(scheme)) => {
            found.push(File { kind: kind.or_else(|| Kind::at(url)), url: url.clone(), name: name.to_owned() });
        }
        // A file itself.
        Value::String(data) => {
            let url = file_uri(data);
            found.extend(url.map(|url| File { kind: Kind::at(&url), url, name: name.to_owned() }));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, name, None, found)),
        Value::Object(object) => {
            let told = ["content_type", "mime_type"].iter().find_map(|name| object.get(*name)?.as_str());
            let told = told.and_then(Kind::of_type);
            for (field, value) in object {
                match &**field {
                    "input" | "inputs" | "logs" | "metrics" | "urls" => {}
                    // What holds a file says by its own name what that is.
                    "url" | "uri" | "href" => collect(value, name, told, found),
                    _ => collect(value, field, None, found),
                }
            }
        }
        _ => {}
    }
}

/// Returns the files that are the result of work of a kind: of several, what is called as that, and neither a preview nor
/// a mask.
fn files(answer: &Value, wanted: Kind) -> Vec<String> {
    let mut found = Vec::new();
    collect(answer, "", None, &mut found);
    for kind in [Some(wanted), None] {
        if found.iter().any(|file| file.kind == kind) {
            found.retain(|file| file.kind == kind);
            break;
        }
    }
    let kind = wanted.name();
    let names = [format!("{kind}s"), kind.to_owned(), format!("{kind}_url"), format!("{kind}_file")];
    let names = names.iter().map(String::as_str).chain(["output", "outputs", "result", "sample"]);
    if let Some(name) = names.into_iter().find(|name| found.iter().any(|file| file.name == *name)) {
        found.retain(|file| file.name == name);
    }
    found.into_iter().map(|file| file.url).collect()
}

/// Returns whether each image was found unsafe to show, where that is told: of all at once, or of each.
fn unsafe_flags(answer: &Value, images: usize) -> Vec<Option<bool>> {
    let told =
        ["has_nsfw_concepts", "nsfw_content_detected", "has_nsfw_concept"].iter().find_map(|name| answer.get(*name));
    let flag = |index: usize| match told? {
        Value::Array(flags) => flags.get(index)?.as_bool(),
        flag => flag.as_bool(),
    };
    (0..images).map(flag).collect()
}

/// Reads a result as the product of `work`.
///
/// # Errors
///
/// [`Malformed`] where there is no file.
pub(crate) fn done(
    work: &Work,
    answer: &Value,
    usage: Usage,
    url_lifetime: Option<Duration>,
) -> Result<State, Malformed> {
    if let Work::Raw(_) = work {
        let item = match answer {
            Value::Object(object) => object.clone(),
            other => [("output".to_owned(), other.clone())].into_iter().collect(),
        };
        return Ok(State::Done(Product::Raw(RawResult { items: vec![item], usage, ..RawResult::default() })));
    }
    let found = files(answer, Kind::made_by(work));
    if found.is_empty() {
        return Err(Malformed::new("output", "holds no file"));
    }
    let seed = answer.get("seed").and_then(Value::as_u64);
    let flags = unsafe_flags(answer, found.len());
    let found = found.into_iter().map(Some);
    Ok(State::Done(match work {
        Work::Video(_) => {
            let videos = found.map(|url| Video { url, seed, url_lifetime, ..Video::default() }).collect();
            Product::Video(VideoResult { videos, usage })
        }
        Work::Audio(_) => {
            let audios = found.map(|url| Audio { url, url_lifetime, ..Audio::default() }).collect();
            Product::Audio(AudioResult { audios, usage })
        }
        _ => {
            let images = found.zip(flags);
            let images =
                images.map(|(url, nsfw)| Image { url, seed, nsfw, url_lifetime, ..Image::default() }).collect();
            Product::Image(ImageResult { images, usage })
        }
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_file_that_was_asked_for_is_found_wherever_it_lies() {
        let url = |name: &str| format!("https://x/{name}");
        let (a, b, mp3, mp4, bare) = (url("a.png"), url("b.png"), url("s.mp3?sig=1"), url("v.mp4"), url("f"));
        let (image, video, audio) = (Kind::Image, Kind::Video, Kind::Audio);
        let data = "data:audio/wav;base64,QQ==";
        let png = format!("iVBORw0KGgo{}", "A".repeat(60));
        for (answer, wanted, files_found) in [
            (json!(a), image, vec![&*a]),
            (json!([a, null, b]), image, vec![&*a, &*b]),
            (json!({"audio": mp3, "spectrogram": a}), audio, vec![&*mp3]),
            (json!({"wave": data, "plot": a}), audio, vec![data]),
            (json!([{"image": a, "mask": url("m.png")}, {"image": b, "mask": url("n.png")}]), image, vec![&*a, &*b]),
            (json!({"image": png}), image, vec![&*format!("data:image/png;base64,{png}")]),
            (json!({"deep": {"er": [{"file": {"url": a}}]}}), image, vec![&*a]),
            (
                json!({"video": {"url": bare, "content_type": "video/mp4"}, "thumbnail": {"url": bare}}),
                video,
                vec![&*bare],
            ),
            (json!({"image": {"url": a}, "video": {"url": mp4}}), video, vec![&*mp4]),
            (json!({"video_url": bare, "last_frame_url": url("g")}), video, vec![&*bare]),
            (json!({"output": [a], "input": {"image": b}, "logs": "https://x/c.png"}), image, vec![&*a]),
            (json!({"animation": url("x.gif")}), video, vec!["https://x/x.gif"]),
            (json!({"text": "no file", "n": 3}), image, vec![]),
        ] {
            assert_eq!(files(&answer, wanted), files_found, "{answer}");
        }
    }
}
