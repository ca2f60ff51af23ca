//! `fairflow replay`: sends a trace of real arrivals and reports what became of each.
//!
//! [`trace`] reads arrivals, [`record`] holds what happened to them, [`summary`] and [`fairness`] draw the figures from
//! that, [`report`] shows them. Between them, `ask` turns arrivals into tasks, `target` is where these go, and `drive`
//! sends each at its time.

mod ask;
mod command;
#[cfg(test)]
mod demo;
mod drive;
pub mod fairness;
mod plots;
pub mod record;
pub mod report;
pub mod summary;
mod table;
mod target;
pub mod trace;

pub(super) use self::command::{Options, main};
