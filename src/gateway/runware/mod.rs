//! Runware's protocol: arrays of tasks over REST and over a WebSocket, each task scheduled by itself.
//!
//! A task is a job under its `taskUUID`: asked again it is the same job, whoever waits for it and wherever.

mod deflate;
mod frames;
mod outbox;
mod rest;
mod session;
mod socket;
mod task;

pub(super) use self::rest::tasks;
pub(super) use self::session::Sessions;
pub(super) use self::socket::connect;
pub(super) use self::task::Done;
