//! Tokens and what they cost.

use crate::core::cost::Cost;

/// Output tokens expected of a request that sets no limit.
const EXPECTED_OUTPUT: u64 = 256;
/// An output token costs a decoding step where an input token shares one pass: the published weight of 2.
const OUTPUT_WEIGHT: u64 = 2;
/// Bytes per token of ordinary text.
pub(crate) const BYTES_PER_TOKEN: u64 = 4;
/// Output tokens for which money is set aside where a request sets no limit. More than are expected: what is set aside
/// in vain comes back, and as soon as answers are known they correct it.
const RESERVED_OUTPUT: u64 = 1_024;

/// Tokens that a generation is about to take, as far as its request tells: what its price is estimated by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tokens {
    /// To be read.
    pub input: u64,
    /// At most to be written; `None` where nothing limits them.
    pub most_output: Option<u64>,
}

impl Tokens {
    /// Estimates the tokens of so many bytes of ordinary text.
    pub(crate) fn of_bytes(input: u64, most_output: Option<u64>) -> Self {
        Self { input: input / BYTES_PER_TOKEN, most_output }
    }

    /// Returns the tokens of so many answers.
    pub(crate) fn times(self, answers: u64) -> Self {
        let most_output = match answers {
            0 | 1 => self.most_output,
            _ => Some(self.reserved_output().saturating_mul(answers)),
        };
        Self { most_output, ..self }
    }

    /// Returns the tokens written for which money is set aside.
    pub(crate) fn reserved_output(self) -> u64 {
        self.most_output.unwrap_or(RESERVED_OUTPUT)
    }
}

/// Predicts the cost of text in tokens: input + 2 × expected output.
pub(crate) fn text_cost(input_bytes: u64, max_output: Option<u64>) -> Cost {
    let output = max_output.unwrap_or(EXPECTED_OUTPUT);
    Cost::new((input_bytes / BYTES_PER_TOKEN).saturating_add(output_units(output)))
}

/// Returns what so many output tokens cost.
pub(crate) fn output_units(tokens: u64) -> u64 {
    tokens.saturating_mul(OUTPUT_WEIGHT)
}

/// Returns the output tokens that cost so much.
pub(crate) fn output_tokens(units: u64) -> u64 {
    units / OUTPUT_WEIGHT
}
