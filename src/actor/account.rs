//! The actor of one provider account: it carries messages to the [`Account`] and back.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix::{Actor, Handler};

use super::cell::{Context, Recipient, Ring, letters};
use super::messages::{FromAccount, Inform, Join, Leave, Lift, Suspended};
use crate::clock::{Clock, Mark};
use crate::config::ProviderSettings;
use crate::core::account::{Account, Input, Member, Output};

/// The account actor of one provider.
pub(crate) struct AccountActor {
    clock: Clock,
    name: Arc<str>,
    account: Account,
    routes: BTreeMap<Member, Recipient<FromAccount>>,
    /// When any of its models last succeeded.
    success: Mark,
    /// Where it is told that routes are suspended; nowhere once it was.
    supervisor: Option<actix::Recipient<Suspended>>,
}

impl AccountActor {
    pub(crate) fn new(
        clock: Clock,
        settings: &ProviderSettings,
        success: Mark,
        supervisor: actix::Recipient<Suspended>,
    ) -> Self {
        Self {
            clock,
            supervisor: Some(supervisor),
            name: settings.name.clone(),
            account: Account::new(settings.account(), clock.now()),
            routes: BTreeMap::new(),
            success,
        }
    }

    /// Hands an input to the account, passes on what it puts out, and sets the alarm. Every handler ends here.
    fn drive(&mut self, input: Input, ctx: &mut Context<Self>) {
        let now = self.clock.now();
        self.account.succeeded(self.success.get());
        self.account.handle(input, now);
        while let Some(output) = self.account.poll_output() {
            self.pass_on(output);
        }
        ctx.wake(now, self.account.poll_timeout().map(|(at, _)| at));
    }

    fn pass_on(&mut self, output: Output) {
        if matches!(output, Output::Hold { suspension: Some(_), .. })
            && let Some(supervisor) = self.supervisor.take()
        {
            supervisor.do_send(Suspended(self.name.clone()));
        }
        let (to, message) = match output {
            Output::Allowed { to, jobs } => (to, FromAccount::Allowed { jobs }),
            Output::Reopen { to } => (to, FromAccount::Reopen),
            Output::Hold { to, until, suspension } => (to, FromAccount::Hold { until, suspension }),
            Output::Lift { to } => (to, FromAccount::Lift),
            Output::Confirmed => {
                tracing::warn!(parent: None, provider = %self.name, "the provider refuses several in the same words: the account is held");
                return;
            }
        };
        if let Some(route) = self.routes.get(&to) {
            route.do_send(message);
        }
    }
}

letters! { pub(crate) AccountActor: AccountLetter { Inform, Ring, Join, Leave, Lift } }

impl Actor for AccountActor {
    type Context = Context<Self>;
}

impl Handler<Join> for AccountActor {
    type Result = ();

    fn handle(&mut self, Join { member, dispatcher }: Join, ctx: &mut Self::Context) {
        self.routes.insert(member, dispatcher);
        self.drive(Input::Join(member), ctx);
    }
}

impl Handler<Ring> for AccountActor {
    type Result = ();

    fn handle(&mut self, _: Ring, ctx: &mut Self::Context) {
        self.drive(Input::Timeout, ctx);
    }
}

impl Handler<Leave> for AccountActor {
    type Result = ();

    fn handle(&mut self, Leave { member }: Leave, ctx: &mut Self::Context) {
        self.routes.remove(&member);
        self.drive(Input::Leave(member), ctx);
    }
}

impl Handler<Inform> for AccountActor {
    type Result = ();

    fn handle(&mut self, Inform(input): Inform, ctx: &mut Self::Context) {
        self.drive(input, ctx);
    }
}

impl Handler<Lift> for AccountActor {
    type Result = ();

    fn handle(&mut self, _: Lift, ctx: &mut Self::Context) {
        self.drive(Input::Lift, ctx);
    }
}
