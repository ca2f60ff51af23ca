//! The dashboard: a page on the admin port, and what it reads.
//!
//! A task looks once a second at the models that do something and remembers ten minutes ([`history`]) and the latest
//! decisions ([`decision`]); the page asks for them once a second while it is seen. Tenants are sampled only where somebody looks
//! ([`shares`]). The page itself is plain files in `assets`, within the binary, and asks nobody else for anything.

mod assets;
mod board;
mod decision;
mod history;
mod looks;
mod pages;
mod recorder;
mod shares;

pub(in crate::gateway) use self::assets::{asset, page};
pub(in crate::gateway) use self::board::Dashboard;
pub(in crate::gateway) use self::looks::record;
pub(in crate::gateway) use self::pages::{model, overview, tenants};
