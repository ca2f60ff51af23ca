//! The supervisor's books: who runs, in which life, and of what the next life is made.

use std::sync::Arc;

use crate::actor::account::AccountActor;
use crate::actor::cell::Addr;
use crate::actor::dispatcher::{Blueprint, Dispatcher};
use crate::actor::messages::{Leave, NewQueue, Stop, Wire, Wired};
use crate::actor::queue::QueueActor;
use crate::clock::Mark;
use crate::config::ProviderSettings;
use crate::contract::provider::Provider;
use crate::engine::shared::messages::{Begin, SupervisorMessage};
use crate::engine::shared::model::Model;
use crate::engine::ticket::messages::QueueMessage;

/// A provider account.
pub(super) struct AccountEntry {
    pub(super) address: Addr<AccountActor>,
    pub(super) generation: u32,
    pub(super) provider: Arc<dyn Provider>,
    pub(super) settings: ProviderSettings,
    /// When any of its models last succeeded.
    pub(super) success: Mark,
    pub(super) restarts: u32,
    /// Whether it has ever suspended its routes: models that are not asked for show it, too.
    pub(super) was_suspended: bool,
}

impl AccountEntry {
    /// Says whether jobs need the account's leave.
    pub(super) fn is_limited(&self) -> bool {
        self.settings.account().is_limited()
    }
}

pub(super) struct QueueEntry {
    pub(super) address: Addr<QueueActor>,
    pub(super) life: u32,
}

impl QueueEntry {
    /// Returns the address for dispatchers.
    pub(super) fn for_dispatchers(&self) -> NewQueue {
        NewQueue { queue: self.address.recipient(), life: self.life }
    }
}

pub(super) struct DispatcherEntry {
    pub(super) address: Addr<Dispatcher>,
    /// Unique among all dispatchers that ever were.
    pub(super) generation: u32,
    pub(super) blueprint: Blueprint,
    pub(super) account: Addr<AccountActor>,
}

impl DispatcherEntry {
    pub(super) fn member(&self) -> u64 {
        self.generation.into()
    }

    /// Ends it; attempts under way go on.
    pub(super) fn stop(&self) {
        self.account.do_send(Leave { member: self.member() });
        self.address.do_send(Stop);
    }
}

/// A model that is offered.
pub(super) struct ModelEntry {
    pub(super) model: Arc<Model>,
    /// Its actors; none until its first request.
    pub(super) actors: Option<ModelActors>,
    /// Tenant that first asked for the model; `None` for a configured model.
    pub(super) on_demand: Option<Arc<str>>,
    pub(super) restarts: u32,
}

impl ModelEntry {
    /// Returns the life of its queue, if it has one.
    pub(super) fn queue_life(&self) -> Option<u32> {
        self.actors.as_ref().map(|actors| actors.queue.life)
    }

    /// Returns its dispatchers, in the order of its routes; none while it rests.
    pub(super) fn dispatchers(&self) -> &[DispatcherEntry] {
        self.actors.as_ref().map_or(&[], |actors| &actors.dispatchers)
    }

    /// Has the first request begin the actors. Until then the model is as its snapshot shows it, and nobody has anything
    /// there.
    pub(super) fn rest(&self, supervisor: actix::Recipient<SupervisorMessage>) {
        let model = Arc::downgrade(&self.model);
        self.model.queue.open(move |message| match message {
            QueueMessage::Submit(request) => {
                if let Some(model) = model.upgrade() {
                    supervisor.do_send(SupervisorMessage::Begin(Begin { model, request }));
                }
            }
            QueueMessage::Ask(question) => question.answer_empty(),
            QueueMessage::Cancel(_) | QueueMessage::Relimit(_) | QueueMessage::Shed | QueueMessage::Show => {}
        });
    }
}

/// The actors of a model.
pub(super) struct ModelActors {
    pub(super) queue: QueueEntry,
    /// In the order of the model's routes.
    pub(super) dispatchers: Vec<DispatcherEntry>,
}

impl ModelActors {
    /// Leads to the queue's present life what callers send.
    pub(super) fn open_door(&self, model: &Model) {
        let queue = self.queue.address.clone();
        model.queue.open(move |message| queue.do_send(message));
    }

    pub(super) fn wire(&self) {
        let wired = |entry: &DispatcherEntry| Wired {
            dispatcher: entry.address.recipient(),
            generation: entry.generation,
            route: entry.blueprint.route.clone(),
        };
        self.queue.address.do_send(Wire { routes: self.dispatchers.iter().map(wired).collect() });
    }

    /// Ends them.
    pub(super) fn stop(self) {
        self.queue.address.do_send(Stop);
        self.dispatchers.iter().for_each(DispatcherEntry::stop);
    }
}
