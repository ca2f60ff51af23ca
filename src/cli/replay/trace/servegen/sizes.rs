//! A client's `chunk-N-dataset.json` tells how many tokens its requests take and give.
//!
//! The file maps the start of a window (six hours each) to histograms written as text, `"{136: 0.25, 372: 0.75}"`:
//! value and probability.

use std::{collections::BTreeMap, io::Read};

use rand::{Rng, RngExt};
use rand_distr::{Distribution, LogNormal};
use serde_json::Value;

use super::super::{Size, TraceError, row::shown};

/// Sentence by which a trace's note says that the archive has no data sets.
pub(super) const DEFAULT_RULE: &str = " The archive has no token counts: drawn log-normal with a median of 1,000 in \
     (σ 1) and 130 out (σ 0.8).";
const DEFAULT_INPUT: (f64, f64) = (1000.0, 1.0);
const DEFAULT_OUTPUT: (f64, f64) = (130.0, 0.8);
/// No request gets more tokens than this, in or out.
const MAX_TOKENS: f64 = 131_072.0;
/// No request has more media of one kind than this.
const MAX_MEDIA: u32 = 64;
/// A data set larger than this is refused, in bytes.
const MAX_BYTES: u64 = 64 << 20;

/// Fields whose tokens count once.
const PROMPT: [&str; 2] = ["text_tokens", "input_tokens"];
/// Kinds of media: tokens of one, and how many there are.
const MEDIA: [(&str, &str); 3] =
    [("image_tokens", "image_count"), ("audio_tokens", "audio_count"), ("video_tokens", "video_count")];

/// Tokens of the answer.
const OUTPUT: &str = "output_tokens";

/// Says whether sizes are drawn from a field.
fn is_drawn(field: &str) -> bool {
    field == OUTPUT || PROMPT.contains(&field) || MEDIA.iter().any(|(tokens, count)| [*tokens, *count].contains(&field))
}

/// The sizes of a client's requests, by window; without any, the default rule.
#[derive(Debug, Default)]
pub(super) struct Sizes {
    /// Sorted by start.
    windows: Vec<(f64, Fields)>,
}

type Fields = BTreeMap<String, Histogram>;

/// A discrete distribution.
#[derive(Debug, Default)]
struct Histogram {
    values: Vec<u32>,
    /// Sums of the probabilities up to and including each value.
    sums: Vec<f64>,
}

impl Histogram {
    /// Reads `{value: probability, …}`; `None` when it is no such thing, or empty.
    fn parse(text: &str) -> Option<Self> {
        let mut histogram = Self::default();
        let mut sum = 0.0;
        for pair in text.trim().strip_prefix('{')?.strip_suffix('}')?.split(',') {
            let (value, probability) = pair.split_once(':')?;
            let probability: f64 = probability.trim().parse().ok()?;
            if !probability.is_finite() || probability < 0.0 {
                return None;
            }
            sum += probability;
            histogram.values.push(value.trim().parse().ok()?);
            histogram.sums.push(sum);
        }
        (sum > 0.0).then_some(histogram)
    }

    fn draw(&self, rng: &mut impl Rng) -> u32 {
        let point = rng.random::<f64>() * self.sums.last().copied().unwrap_or(0.0);
        let index = self.sums.partition_point(|sum| *sum <= point);
        self.values.get(index).or(self.values.last()).copied().unwrap_or(0)
    }
}

impl Sizes {
    /// Whether the archive knows the sizes of this client's requests.
    pub(super) fn is_measured(&self) -> bool {
        !self.windows.is_empty()
    }

    /// The size of a request that arrives `at` seconds after the trace's beginning.
    pub(super) fn draw(&self, at: f64, rng: &mut impl Rng) -> Size {
        let current = self.windows.partition_point(|(start, _)| *start <= at).saturating_sub(1);
        let Some((_, fields)) = self.windows.get(current) else {
            let input_tokens = log_normal(DEFAULT_INPUT, rng);
            return Size::Text { input_tokens, output_tokens: log_normal(DEFAULT_OUTPUT, rng) };
        };
        let mut draw = |field: &str| fields.get(field).map_or(0, |histogram| histogram.draw(rng));
        let mut input = 0_u32;
        for field in PROMPT {
            input = input.saturating_add(draw(field));
        }
        for (tokens, count) in MEDIA {
            for _ in 0..draw(count).min(MAX_MEDIA) {
                input = input.saturating_add(draw(tokens));
            }
        }
        Size::Text { input_tokens: capped(f64::from(input)), output_tokens: capped(f64::from(draw(OUTPUT))) }
    }
}

fn capped(tokens: f64) -> u32 {
    tokens.clamp(1.0, MAX_TOKENS) as u32
}

fn log_normal((median, sigma): (f64, f64), rng: &mut impl Rng) -> u32 {
    LogNormal::new(median.ln(), sigma).map_or(capped(median), |law| capped(law.sample(rng)))
}

/// Reads the windows that `span` touches.
pub(super) fn read(input: impl Read, source: &str, span: (f64, f64)) -> Result<Sizes, TraceError> {
    let bad = |field: &str, value: &str, remedy| TraceError::Value {
        path: source.to_owned(),
        line: 1,
        field: field.to_owned(),
        value: shown(value),
        remedy,
    };
    let mut text = String::new();
    input
        .take(MAX_BYTES)
        .read_to_string(&mut text)
        .map_err(|error| TraceError::Read { path: source.to_owned(), source: error })?;
    let raw: BTreeMap<String, BTreeMap<String, Value>> = serde_json::from_str(&text).map_err(|error| {
        TraceError::Row { path: source.to_owned(), line: error.line() as u64, problem: error.to_string() }
    })?;

    let mut starts = Vec::with_capacity(raw.len());
    for (start, fields) in raw {
        match start.parse::<f64>() {
            Ok(at) if at.is_finite() && at >= 0.0 => starts.push((at, fields)),
            _ => return Err(bad("window start", &start, "write seconds of 0 or more")),
        }
    }
    starts.sort_by(|a, b| a.0.total_cmp(&b.0));
    let first = starts.partition_point(|(start, _)| *start <= span.0).saturating_sub(1);
    let mut sizes = Sizes::default();
    for (start, fields) in starts.into_iter().skip(first).take_while(|(start, _)| *start < span.1) {
        let mut parsed = Fields::new();
        // The sets hold more than is drawn from here, in other forms too.
        for (field, value) in fields.into_iter().filter(|(field, _)| is_drawn(field)) {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let histogram = Histogram::parse(&text)
                .ok_or_else(|| bad(&field, &text, "write a histogram like {136: 0.25, 372: 0.75}"))?;
            parsed.insert(field, histogram);
        }
        sizes.windows.push((start, parsed));
    }
    Ok(sizes)
}
