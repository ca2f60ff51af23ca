//! Videos: ordered, asked for, fetched. Each is a job under its own id, kept like every asynchronous result.

mod create;
mod list;
mod read;
mod store;

pub(in crate::gateway) use self::create::create;
pub(in crate::gateway) use self::list::{list, remove};
pub(in crate::gateway) use self::read::{content, remix, state};
pub(in crate::gateway) use self::store::Made;
