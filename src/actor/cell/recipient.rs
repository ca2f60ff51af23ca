//! The address of an actor for one type of message.

use std::fmt;
use std::sync::Arc;

/// An address that takes messages of type `M` and does not name its actor's type, so that two actors can send to each other
/// and neither file imports the other.
pub(crate) struct Recipient<M>(Arc<dyn Fn(M) + Send + Sync>);

impl<M> Recipient<M> {
    pub(super) fn new(deliver: impl Fn(M) + Send + Sync + 'static) -> Self {
        Self(Arc::new(deliver))
    }

    /// Sends a message. It may be handled before this returns.
    pub(crate) fn do_send(&self, message: M) {
        (self.0)(message);
    }
}

impl<M> Clone for Recipient<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<M> fmt::Debug for Recipient<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recipient").finish_non_exhaustive()
    }
}
