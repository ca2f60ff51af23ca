//! Functions that the HTTP providers share: what an answer cost, and answers that cannot be read.

use super::{Failure, Outcome};
use crate::core::cost::Cost;
use crate::task::{Product, Task, Work};
use crate::wire::Malformed;
use crate::wire::fields::Form;

/// A 2xx that cannot be read: the provider failed at it, and another attempt may not.
pub(super) fn unreadable(error: &Malformed) -> Failure {
    Failure::new(Outcome::Failed, format!("the provider's answer cannot be read: {error}"))
}

/// Returns in which form the files of some work are wanted.
pub(super) fn form_asked(work: &Work) -> Option<Form> {
    match work {
        Work::Image(task) => Form::asked(&task.extra),
        Work::Upscale(task) => Form::asked(&task.extra),
        Work::Audio(task) => Form::asked(&task.extra),
        _ => None,
    }
}

/// The cost by what was delivered: tokens where they are told, else the predicted cost less what is missing.
pub(super) fn actual_cost(work: &Work, product: &Product) -> Option<Cost> {
    let (asked, delivered) = match (work, product) {
        (Work::Image(task), Product::Image(result)) => (task.count, result.images.len()),
        (Work::Video(task), Product::Video(result)) => (task.count, result.videos.len()),
        (Work::Audio(task), Product::Audio(result)) => (task.count, result.audios.len()),
        (Work::Text(_), Product::Text(result)) => return result.usage.text_cost(),
        (Work::Embedding(_), Product::Embedding(result)) => return result.usage.input_tokens.map(Cost::new),
        _ => return None,
    };
    let each = u64::from(work.cost().units()) / asked.max(1);
    Some(Cost::new(each.saturating_mul(delivered as u64)))
}
