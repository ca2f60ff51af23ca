//! `fairflow simulate`: plays scenarios in virtual time, table and report.

mod command;
mod fairness;
mod play;
mod plots;
mod report;
mod table;
mod trace;

pub(super) use self::command::{Options, main};
