//! The models that did something, or changed, since somebody last looked.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// A model's mark: whether it is listed.
pub(super) type Mark = Arc<AtomicBool>;

/// A list of models, each of which puts itself there once until the list is taken: a look at thousands of idle models
/// costs nothing.
#[derive(Debug, Default)]
pub(crate) struct Touched(Mutex<Vec<(Arc<str>, Weak<AtomicBool>)>>);

impl Touched {
    /// Lists a model, unless its mark says that it is listed.
    pub(super) fn add(&self, model: &Arc<str>, mark: &Mark) {
        if mark.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut models = self.models();
        if models.len() == models.capacity() {
            // Where nobody ever looks, models that are gone do not pile up.
            models.retain(|(_, mark)| mark.strong_count() > 0);
        }
        models.push((model.clone(), Arc::downgrade(mark)));
    }

    /// Returns the models that are there and were listed, and begins the list anew.
    #[cfg(feature = "gateway")]
    pub(crate) fn take(&self) -> Vec<Arc<str>> {
        let models = std::mem::take(&mut *self.models());
        let taken = models.into_iter().filter_map(|(name, mark)| {
            mark.upgrade()?.store(false, Ordering::Release);
            Some(name)
        });
        taken.collect()
    }

    fn models(&self) -> MutexGuard<'_, Vec<(Arc<str>, Weak<AtomicBool>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(all(test, feature = "gateway"))]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_listed_once_until_the_list_is_taken_and_not_after_its_end() {
        let (touched, name, mark) = (Touched::default(), Arc::from("m"), Mark::default());
        for _ in 0..2 {
            touched.add(&name, &mark);
            touched.add(&name, &mark);
            assert_eq!(touched.take(), std::slice::from_ref(&name));
            assert!(touched.take().is_empty());
        }
        for _ in 0..1_000 {
            touched.add(&name, &Mark::default());
        }
        assert!(touched.models().len() < 10 && touched.take().is_empty(), "those are gone");
    }
}
