//! What callers send, as it comes through the route's door.

use actix::{Context, Handler};

use super::Dispatcher;
use crate::engine::ticket::lease::RouteMessage;

impl Handler<RouteMessage> for Dispatcher {
    type Result = ();

    fn handle(&mut self, message: RouteMessage, ctx: &mut Context<Self>) {
        match message {
            RouteMessage::Raise(raise) => self.handle(raise, ctx),
            RouteMessage::Settle(settle) => self.handle(settle, ctx),
        }
    }
}
