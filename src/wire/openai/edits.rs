//! OpenAI's image edits: a form with files, or JSON with addresses.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::endpoint::Endpoint;
use super::images::{SQUARE, image, size_of};
use super::request::{OpenAiRequest, Turn};
use super::stream_options::StreamOptions;
use crate::task::{ImageInference, Work, image_cost};
use crate::wire::fields;
use crate::wire::form::{Form, Part};
use crate::wire::malformed::{Malformed, short};
use crate::wire::number::whole;

/// Most images to begin from, as the API has it.
const MOST_IMAGES: usize = 16;

/// Reads what scheduling needs from a form.
pub(super) fn parse(form: Form, body: Bytes) -> Result<OpenAiRequest, Malformed> {
    let model = one(&form, "model")?.filter(|part| !part.bytes.is_empty());
    let model = model.ok_or_else(|| Malformed::new("model", "is missing; name a configured model"))?;
    let model_at = model.at..model.at + model.bytes.len();
    let model = model.text()?;
    let text = |name: &str| one(&form, name)?.map(Part::text).transpose();
    let stream = match text("stream")?.as_deref() {
        None | Some("false" | "") => false,
        Some("true") => true,
        Some(other) => return Err(Malformed::new("stream", format!("must be true or false, not {}", short(other)))),
    };
    // Of the rest only the cost is read; what is wrong there its provider judges.
    let told = |name: &str| text(name).ok().flatten();
    let count = told("n").and_then(|text| whole(&serde_json::from_str(&text).ok()?)).filter(|count| *count > 0);
    let size = size_of(told("size").map(Value::from).as_ref()).ok().and_then(|size| size.pixels);
    let (width, height) = size.unwrap_or(SQUARE);
    let cost = image_cost(count.unwrap_or(1), None, width, height);
    let wanted = told("response_format").and_then(|form| fields::Form::named(&form.into()));
    Ok(OpenAiRequest {
        endpoint: Endpoint::Edits,
        body,
        model,
        stream,
        cost,
        tokens: None,
        wanted,
        turn: Turn::default(),
        previous: None,
        passed: Vec::new(),
        model_at,
        options: StreamOptions::default(),
        form: Some(form),
    })
}

/// Returns the one part of a name that may come but once.
fn one<'a>(form: &'a Form, name: &str) -> Result<Option<&'a Part>, Malformed> {
    let mut parts = form.parts().iter().filter(|part| part.name == name);
    match (parts.next(), parts.next()) {
        (_, Some(_)) => Err(Malformed::new(name, "comes more than once")),
        (Some(part), _) if part.file && name != "mask" => Err(Malformed::new(name, "must be a text, not a file")),
        (part, None) => Ok(part),
    }
}

fn wrong_number(images: usize) -> Malformed {
    let problem = if images == 0 {
        "is missing; send at least one image to edit".to_owned()
    } else {
        format!("must be 1 to {MOST_IMAGES} images, not {images}")
    };
    Malformed::new("image", problem)
}

/// Reads a form's fields as JSON would have them.
pub(super) fn typed_fields(form: &Form) -> Result<Map<String, Value>, Malformed> {
    let mut fields = form.fields()?;
    for (name, value) in &mut fields {
        let text = value.as_str().unwrap_or_default();
        let typed = match text {
            "true" | "false" => Some((text == "true").into()),
            _ if name == "user" || name == "prompt" => None,
            _ => serde_json::from_str::<serde_json::Number>(text).ok().map(Value::from),
        };
        if let Some(typed) = typed {
            *value = typed;
        }
    }
    Ok(fields)
}

/// Takes the images and the mask out of a body.
fn pictures(body: &mut Map<String, Value>) -> Result<(Vec<String>, Option<String>), Malformed> {
    let mut images = Vec::new();
    for name in ["image", "images"] {
        match body.remove(name) {
            None | Some(Value::Null) => {}
            Some(Value::Array(list)) => {
                for (index, image) in list.into_iter().enumerate() {
                    images.push(picture(&format!("{name}[{index}]"), image)?);
                }
            }
            Some(image) => images.push(picture(name, image)?),
        }
    }
    if images.is_empty() || images.len() > MOST_IMAGES {
        return Err(wrong_number(images.len()));
    }
    let mask = body.remove("mask").filter(|mask| !mask.is_null());
    Ok((images, mask.map(|mask| picture("mask", mask)).transpose()?))
}

fn picture(field: &str, value: Value) -> Result<String, Malformed> {
    let inner = match value {
        Value::Object(mut object) => {
            if object.contains_key("file_id") {
                let problem = "names a file that this model's provider does not have; send the image or its URL";
                return Err(Malformed::new(format!("{field}.file_id"), problem));
            }
            object.remove("image_url").unwrap_or_default()
        }
        other => other,
    };
    match inner {
        Value::String(text) if !text.is_empty() => Ok(text),
        _ => Err(Malformed::new(field, "must be an image: a file, a data URI, or {\"image_url\": URL}")),
    }
}

/// Writes an edit for an upstream model: its content type and its body. A form where all images are there, as every
/// server takes it; JSON where some are addresses.
///
/// # Errors
///
/// [`Malformed`] names an image that is neither there nor an address.
pub fn encode(task: &ImageInference, upstream: &str) -> Result<(String, Bytes), Malformed> {
    let mut fields = fields::translated(&task.extra, fields::Dialect::OpenAi, upstream);
    fields.insert("model".into(), upstream.into());
    fields.insert("prompt".into(), task.prompt.clone().into());
    fields.insert("size".into(), format!("{}x{}", task.width, task.height).into());
    fields.insert("n".into(), task.count.into());
    let is_address = |image: &String| image.starts_with("https://") || image.starts_with("http://");
    if task.inputs.iter().chain(&task.mask).any(is_address) {
        let written = |image: &String| {
            let is_url = is_address(image) || image.starts_with("data:");
            json!({"image_url": if is_url { image.clone() } else { format!("data:image/png;base64,{image}") }})
        };
        fields.insert("images".into(), task.inputs.iter().map(written).collect());
        fields.extend(task.mask.as_ref().map(|mask| ("mask".to_owned(), written(mask))));
        return Ok(("application/json".into(), Value::Object(fields).to_string().into()));
    }
    written_form(task, &fields)
}

/// Writes an edit whose images are all there as a form.
fn written_form(task: &ImageInference, fields: &Map<String, Value>) -> Result<(String, Bytes), Malformed> {
    // Random, so that no image can hold it.
    let boundary = uuid::Uuid::new_v4().simple().to_string();
    let mut body = Vec::new();
    let mut part = |name: &str, more: &str, bytes: &[u8]| {
        let head = format!("--{boundary}\r\ncontent-disposition: form-data; name=\"{name}\"{more}\r\n\r\n");
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    };
    for (name, value) in
        fields.iter().filter(|(name, _)| name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"'))
    {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        part(name, "", text.as_bytes());
    }
    let list = if task.inputs.len() > 1 { "image[]" } else { "image" };
    let images = task.inputs.iter().map(|image| (list, image)).chain(task.mask.iter().map(|mask| ("mask", mask)));
    for (index, (name, image)) in images.enumerate() {
        let (kind, bytes) = inline(name, image)?;
        let extension = kind.rsplit('/').next().unwrap_or_default();
        let more = format!("; filename=\"{index}.{extension}\"\r\ncontent-type: {kind}");
        part(name, &more, &bytes);
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    Ok((format!("multipart/form-data; boundary={boundary}"), body.into()))
}

/// Decodes an image that is there: a data URI, or plain base64.
fn inline<'a>(name: &str, image: &'a str) -> Result<(&'a str, Vec<u8>), Malformed> {
    let (kind, data) = match image.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,")) {
        Some((kind, data)) if kind.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/+.-".contains(&byte)) => {
            (kind, data)
        }
        Some(_) => return Err(Malformed::new(name, "is a data URI of no kind of image")),
        None => ("image/png", image),
    };
    let bytes = STANDARD.decode(data);
    let wrong = |_| Malformed::new(name, "must be an image (a data URI or base64) or its URL at this provider");
    Ok((kind, bytes.map_err(wrong)?))
}

/// Reads an edit as typed work.
pub(super) fn work(request: &OpenAiRequest, mut body: Map<String, Value>) -> Result<Work, Malformed> {
    let (inputs, mask) = pictures(&mut body)?;
    let task = image(request, body)?;
    Ok(Work::Image(ImageInference { inputs, mask, ..task }))
}
