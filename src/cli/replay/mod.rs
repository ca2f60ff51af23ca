//! `fairflow replay`: sends a trace of real arrivals and reports what became of each.
//!
//! [`trace`] reads arrivals, [`record`] holds what happened to them, [`summary`] and [`fairness`] draw the figures from
//! that, [`report`] shows them.

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
pub mod trace;

pub(super) use self::command::{Options, main};
