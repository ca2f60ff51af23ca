//! Who has what of a model, beside what would be fair.

use actix::{Handler, Message, MessageResult};

use super::error::Error;
use super::handle::Fairflow;
use super::queue::QueueActor;
use crate::core::fair_queue::{Claims, Standing};

/// Gateway → queue: what everybody has and asks for.
#[derive(Debug)]
struct Copy;

impl Message for Copy {
    type Result = Claims;
}

impl Handler<Copy> for QueueActor {
    type Result = MessageResult<Copy>;

    fn handle(&mut self, _: Copy, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.claims())
    }
}

impl Fairflow {
    /// Returns every tenant of a model with jobs, beside what it would have if slots were divided by weight now.
    ///
    /// The queue only copies; the sums are done here, where they hold nobody up.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownModel`] where no such model runs, or [`Error::Stopped`].
    pub(crate) async fn standings(&self, model: &str) -> Result<Vec<Standing>, Error> {
        let shared = &self.engine.shared;
        let found = shared.model(model).ok_or_else(|| shared.unknown(model))?;
        let queue = found.queue().ok_or(Error::Stopped)?;
        let copied = queue.send(Copy).await.map_err(|_| Error::Stopped)?;
        Ok(copied.divide())
    }
}
