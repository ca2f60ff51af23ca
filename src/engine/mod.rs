//! The engine, which callers and actors share: what it shows (`view`), tickets (`ticket`), shared state (`shared`), and
//! the caller's side of a request (`caller`). It names no actor: messages go through doors.

pub(crate) mod caller;
pub(crate) mod shared;
pub(crate) mod ticket;
pub mod view;
