//! State that all handles and actors of one engine share: models, settings, the clock, money.

pub(crate) mod ledger;
pub(crate) mod messages;
pub(crate) mod model;
pub(crate) mod registry;
pub(crate) mod touched;
