//! A request of a trace.

use std::time::Duration;

/// The most arrivals a replay holds in memory (about 120 bytes each).
pub(crate) const MAX_ARRIVALS: usize = 5_000_000;

/// A request of a trace.
#[derive(Debug, Clone, PartialEq)]
pub struct Arrival {
    /// When it arrives, counted from the first arrival of the window.
    pub at: Duration,
    /// Tenant that asked.
    pub tenant: String,
    /// The trace's own name of the model; empty when the trace names none.
    pub model: String,
    /// Size of the request.
    pub size: Size,
}

/// How much work a request asks for.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Size {
    /// Image generation.
    Image {
        /// Images to make, at least 1.
        images: u32,
        /// Denoising steps of each, at least 1.
        steps: u32,
        /// Length of the prompt and the negative prompt together.
        prompt_chars: u32,
        /// Service time that the trace measured, in seconds; 0 when unknown.
        seconds: f64,
    },
    /// Text generation.
    Text {
        /// Tokens of the prompt.
        input_tokens: u32,
        /// Tokens generated, at least 1.
        output_tokens: u32,
    },
}

impl Size {
    /// How much work it is, to compare requests of one trace: image-steps, or tokens with those generated twice.
    pub fn work(self) -> f64 {
        match self {
            Self::Image { images, steps, .. } => f64::from(images) * f64::from(steps),
            Self::Text { input_tokens, output_tokens } => f64::from(input_tokens) + 2.0 * f64::from(output_tokens),
        }
    }
}
