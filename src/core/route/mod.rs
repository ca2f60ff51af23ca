//! One route of a model: the gates through which its requests go.

mod gates;
mod memory;

pub use self::gates::{Gates, Reason, Settled, Ticket};
pub use self::memory::Memory;
