//! The machines that decide: pure, sans-IO, std only.
//!
//! Time and randomness are arguments of every call. Each machine is driven by inputs that carry `now`, answers at
//! once, and says by `poll_timeout` when it next wants to be called. Nothing here knows actors, sockets or JSON, so
//! the same code runs in the actors, in tests and in simulated time.

pub mod account;
pub mod attribution;
pub mod broker;
pub mod cost;
pub mod escalation;
pub mod estimate;
pub mod fair_queue;
pub mod health;
pub mod hint;
pub mod key;
pub mod lease;
pub mod ledger;
pub mod outcome;
pub mod pacer;
pub mod past;
pub mod predict;
pub mod report;
pub mod retry;
pub mod route;
pub mod tariff;
pub mod time;
pub mod verdict;
pub mod window;
