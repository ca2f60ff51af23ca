//! Tasks that the arrivals of a trace ask for: a kind of task, a model, and a size.

use std::path::{Path, PathBuf};
use std::{fs, io};

use base64::Engine;

use super::trace::{Arrival, Size, Trace};
use crate::task::{Embedding, ImageInference, ImageUpscale, TextInference, Work};

/// Steps and tokens that a provider may be asked for, whatever the trace and the scale say.
const MOST_STEPS: f64 = 1_000.0;
const MOST_TOKENS: f64 = 1_000_000.0;
/// Most bytes of one picture that is sent.
const LARGEST_INPUT: u64 = 32 << 20;

/// The kinds of task that an arrival can become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(in crate::cli) enum Kind {
    /// Chat completions
    Text,
    /// Images from a prompt
    Image,
    /// Pictures made larger; needs --input
    Upscale,
    /// Vectors from texts
    Embedding,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Image => "image",
            Self::Upscale => "upscale",
            Self::Embedding => "embedding",
        }
    }
}

/// How arrivals become tasks; see the fields of the command line.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub(in crate::cli) struct Options {
    /// What every arrival asks for [default: what the trace is of]
    #[arg(long = "as", value_enum, env = "FAIRFLOW_AS")]
    kind: Option<Kind>,
    /// Model to ask for [default: sim-text, sim-image, …]
    #[arg(long, env = "FAIRFLOW_MODEL")]
    model: Option<String>,
    /// Multiplies the trace's sizes (tokens, steps, words), like 0.1
    #[arg(long, default_value_t = 1.0, value_parser = scale, env = "FAIRFLOW_SCALE")]
    scale: f64,
    /// Picture, or folder of pictures, to upscale; the larger ones stand for the larger requests
    #[arg(long, env = "FAIRFLOW_INPUT")]
    input: Option<PathBuf>,
}

fn scale(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "must be a number".to_owned())?;
    if (1e-6..=1e6).contains(&value) { Ok(value) } else { Err("must be from 0.000001 to 1000000".into()) }
}

/// Turns arrivals into tasks.
#[derive(Debug)]
pub(super) struct Ask {
    kind: Kind,
    /// The model that is asked for.
    pub(super) model: String,
    scale: f64,
    /// Pictures as base64, the smallest first.
    pictures: Vec<String>,
    /// The work of every arrival, sorted: says how large one is among the others.
    works: Vec<f64>,
}

impl Ask {
    /// Prepares to turn the arrivals of `trace` into tasks.
    ///
    /// # Errors
    ///
    /// A sentence, when the pictures are missing or cannot be read.
    pub(super) fn new(options: &Options, trace: &Trace) -> Result<Self, String> {
        let natural = match trace.arrivals.first().map(|arrival| arrival.size) {
            Some(Size::Text { .. }) => Kind::Text,
            _ => Kind::Image,
        };
        let kind = options.kind.unwrap_or(natural);
        let pictures = match (&options.input, kind) {
            (Some(path), Kind::Upscale) => pictures(path)?,
            (None, Kind::Upscale) => return Err("--as upscale needs --input, a picture or a folder of them".into()),
            (Some(_), _) => return Err(format!("--input is for --as upscale, and this is {}", kind.name())),
            (None, _) => Vec::new(),
        };
        let mut works: Vec<f64> = trace.arrivals.iter().map(|arrival| arrival.size.work()).collect();
        works.sort_by(f64::total_cmp);
        let model = options.model.clone().unwrap_or_else(|| format!("sim-{}", kind.name()));
        Ok(Self { kind, model, scale: options.scale, pictures, works })
    }

    /// Says by what rule sizes were made.
    pub(super) fn note(&self) -> String {
        let scaled =
            if (self.scale - 1.0).abs() < f64::EPSILON { String::new() } else { format!(", times {}", self.scale) };
        match self.kind {
            Kind::Text => format!("Each asks {} for text: tokens in and out as in the trace{scaled}.", self.model),
            Kind::Image => format!("Each asks {} for images: number and steps as in the trace{scaled}.", self.model),
            Kind::Embedding => format!("Each asks {} for a vector: words as the trace's prompt{scaled}.", self.model),
            Kind::Upscale => format!(
                "Each asks {} for a larger picture: of {} by file size, the one of the same rank as the request's size.",
                self.model,
                self.pictures.len()
            ),
        }
    }

    /// Returns what an arrival asks for.
    pub(super) fn work(&self, arrival: &Arrival) -> Work {
        let scaled = |size: f64, most: f64| (size * self.scale).round().clamp(1.0, most) as usize;
        let (input, output) = match arrival.size {
            Size::Text { input_tokens, output_tokens } => (f64::from(input_tokens), f64::from(output_tokens)),
            Size::Image { prompt_chars, .. } => (f64::from(prompt_chars) / 4.0, arrival.size.work()),
        };
        // Four bytes a word, so that the predicted cost is the trace's.
        let words = || "word".repeat(scaled(input, MOST_TOKENS));
        match self.kind {
            Kind::Text => {
                let tokens = scaled(output, MOST_TOKENS) as u64;
                Work::Text(TextInference::new(&*self.model, words()).max_tokens(tokens))
            }
            Kind::Image => {
                let (images, steps) = match arrival.size {
                    Size::Image { images, steps, .. } => (images, f64::from(steps)),
                    Size::Text { .. } => (1, output),
                };
                let task = ImageInference::new(&*self.model, "replay").size(512, 512).count(images.into());
                Work::Image(task.steps(scaled(steps, MOST_STEPS) as u64))
            }
            Kind::Embedding => {
                let text = vec!["word"; scaled(input, MOST_TOKENS)].join(" ");
                Work::Embedding(Embedding::new(&*self.model, [text]))
            }
            Kind::Upscale => {
                let rank = self.works.partition_point(|work| *work < arrival.size.work());
                let index = rank * self.pictures.len() / self.works.len().max(1);
                let picture = self.pictures.get(index).or(self.pictures.last()).cloned().unwrap_or_default();
                Work::Upscale(ImageUpscale::new(&*self.model, picture, 4))
            }
        }
    }
}

/// Reads the pictures at `path`, the smallest first, as base64.
fn pictures(path: &Path) -> Result<Vec<String>, String> {
    let failed = |path: &Path, error: io::Error| format!("--input {}: {error}", path.display());
    let mut files = Vec::new();
    if path.is_dir() {
        for entry in fs::read_dir(path).map_err(|error| failed(path, error))? {
            files.push(entry.map_err(|error| failed(path, error))?.path());
        }
    } else {
        files.push(path.to_owned());
    }
    let picture = |file: &PathBuf| {
        let extension = file.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        ["png", "jpg", "jpeg", "webp"].contains(&extension.to_ascii_lowercase().as_str())
    };
    files.retain(picture);
    if files.is_empty() {
        return Err(format!("--input {}: no picture there (png, jpg, webp)", path.display()));
    }
    let mut sized = Vec::new();
    for file in files {
        let size = fs::metadata(&file).map_err(|error| failed(&file, error))?.len();
        if size > LARGEST_INPUT {
            return Err(format!("--input {}: larger than {} MiB", file.display(), LARGEST_INPUT >> 20));
        }
        sized.push((size, file));
    }
    sized.sort();
    let read = |(_, file): &(u64, PathBuf)| {
        let bytes = fs::read(file).map_err(|error| failed(file, error))?;
        Ok(base64::engine::general_purpose::STANDARD.encode(bytes))
    };
    sized.iter().map(read).collect()
}
