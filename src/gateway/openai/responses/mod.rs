//! Responses: kept, asked for by id, forgotten, continued from, and made in the background.

mod background;
mod handlers;
mod keeper;
mod store;

pub(in crate::gateway) use self::background::hold;
pub(in crate::gateway) use self::handlers::{cancel, input_items, remove, retrieve};
pub(in crate::gateway) use self::keeper::Keeper;
pub(in crate::gateway) use self::store::{Kept, continued, name_previous, response_id};
