//! The contract of providers: a call under a lease, an answer or a failure, streams.

pub(crate) mod attempt;
pub(crate) mod failure;
pub(crate) mod provider;
pub(crate) mod streams;
pub(crate) mod words;
