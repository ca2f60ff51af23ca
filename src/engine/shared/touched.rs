//! The models that did something, or changed, since somebody last looked.

use std::sync::{Mutex, MutexGuard, PoisonError, Weak};

use crate::engine::shared::model::Model;

/// A list of models, each of which puts itself there once until the list is taken: a look at thousands of idle models
/// costs nothing.
#[derive(Debug, Default)]
pub(crate) struct Touched(Mutex<Vec<Weak<Model>>>);

impl Touched {
    /// Lists a model.
    pub(super) fn add(&self, model: Weak<Model>) {
        let mut models = self.models();
        if models.len() == models.capacity() {
            // Where nobody ever looks, models that are gone do not pile up.
            models.retain(|model| model.strong_count() > 0);
        }
        models.push(model);
    }

    /// Returns the list, and begins it anew.
    #[cfg(feature = "gateway")]
    pub(crate) fn take(&self) -> Vec<Weak<Model>> {
        std::mem::take(&mut *self.models())
    }

    fn models(&self) -> MutexGuard<'_, Vec<Weak<Model>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
