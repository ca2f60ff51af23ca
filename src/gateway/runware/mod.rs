//! Runware's protocol: arrays of tasks over REST and over a WebSocket, each task scheduled by itself.
//!
//! A task is a job under its `taskUUID`: asked again it is the same job, however many wait for it, and wherever.

mod array;
mod begin;
mod deflate;
mod error;
mod frames;
mod outbox;
mod rest;
mod session;
mod socket;
mod store;

pub(super) use self::rest::tasks;
pub(super) use self::session::Sessions;
pub(super) use self::socket::connect;
pub(super) use self::store::Done;
