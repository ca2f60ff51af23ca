//! Messages of callers to the supervisor.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::core::fair_queue::Request;
use crate::engine::shared::model::Model;
use crate::engine::ticket::lease::Waiter;

/// All that callers send to the supervisor.
#[derive(Debug)]
pub(crate) enum SupervisorMessage {
    /// A tenant asks for a model that is not configured; answered once the model is registered, or cannot be.
    Ensure(Ensure, oneshot::Sender<()>),
    Forget(Forget),
    Begin(Begin),
}

/// Handle → supervisor: a model that is not configured is wanted by a tenant; answers once it is registered.
#[derive(Debug)]
pub(crate) struct Ensure {
    pub(crate) name: Arc<str>,
    pub(crate) tenant: Arc<str>,
}

/// Handle → supervisor: the provider refuses what a model was asked for that is not configured and has never served.
#[derive(Debug)]
pub(crate) struct Forget(pub(crate) Arc<Model>);

/// Caller → supervisor: the first request of a model that has no actors yet.
#[derive(Debug)]
pub(crate) struct Begin {
    pub(crate) model: Arc<Model>,
    pub(crate) request: Request<Waiter>,
}
