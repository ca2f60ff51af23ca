//! The request that a task is at, and the span that a log line gets for it.
//!
//! A span per request is made, entered at every poll and filtered, also where nobody writes a line. So a request has only
//! its marks, which are put on the thread while it is polled; the span is made when a line is written.

use std::cell::RefCell;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use tracing::field::Empty;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber, error_span};
use tracing_subscriber::layer::{self, Layer};
use tracing_subscriber::registry::LookupSpan;

/// Marks by which a request's log lines are found.
#[derive(Debug, Clone)]
pub(crate) struct Marks(Arc<Known>);

#[derive(Debug)]
struct Known {
    id: Arc<str>,
    tenant: OnceLock<Arc<str>>,
    model: OnceLock<Arc<str>>,
}

thread_local! {
    static CURRENT: RefCell<Option<Marks>> = const { RefCell::new(None) };
}

impl Marks {
    /// Begins with a request's id.
    pub(crate) fn new(id: Arc<str>) -> Self {
        Self(Arc::new(Known { id, tenant: OnceLock::new(), model: OnceLock::new() }))
    }

    /// Returns the marks of the request that is polled here.
    pub(crate) fn current() -> Option<Self> {
        CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
    }

    /// Adds the request's tenant.
    pub(crate) fn tenant(&self, tenant: Arc<str>) {
        // The first that is known stays.
        self.0.tenant.set(tenant).ok();
    }

    /// Adds the model that the request is for.
    pub(crate) fn model(&self, model: Arc<str>) {
        self.0.model.set(model).ok();
    }
}

/// A future whose log lines are those of a request.
#[derive(Debug)]
pub(crate) struct Marked<F> {
    marks: Option<Marks>,
    future: F,
}

impl<F: Future + Unpin> Marked<F> {
    /// Has the future's log lines be those of a request, or of none.
    pub(crate) fn new(marks: Option<Marks>, future: F) -> Self {
        Self { marks, future }
    }
}

impl<F: Future + Unpin> Future for Marked<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let _restored = Restored(CURRENT.replace(self.marks.clone()));
        Pin::new(&mut self.future).poll(cx)
    }
}

/// Puts the marks back that were on the thread before, also after a panic.
struct Restored(Option<Marks>);

impl Drop for Restored {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

/// Writes lines as `L` does, those of a request in a span with its marks.
pub(super) struct InRequest<L>(pub(super) L);

impl<S: Subscriber + for<'a> LookupSpan<'a>, L: Layer<S>> Layer<S> for InRequest<L> {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: layer::Context<'_, S>) {
        self.0.on_new_span(attributes, id, context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: layer::Context<'_, S>) {
        self.0.on_record(id, values, context);
    }

    fn on_event(&self, event: &Event<'_>, context: layer::Context<'_, S>) {
        // A line with a span of its own, or with none on purpose, is left as it is.
        let marks = Marks::current().filter(|_| event.is_contextual() && context.lookup_current().is_none());
        let Some(Marks(known)) = marks else { return self.0.on_event(event, context) };
        let span = error_span!(parent: None, "request", request_id = %known.id, tenant = Empty, model = Empty);
        for (field, value) in [("tenant", known.tenant.get()), ("model", known.model.get())] {
            if let Some(value) = value {
                span.record(field, &**value);
            }
        }
        span.in_scope(|| self.0.on_event(event, context));
    }
}
