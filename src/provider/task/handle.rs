//! The handle by which a provider knows a generation under way, and the state in which it stands.

use serde::{Deserialize, Serialize};

use crate::task::Product;
use crate::wire::said::is_moderation;

/// A generation that a provider has accepted: enough to ask for it again, also after a restart. It holds no key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Handle {
    /// The provider account, by its configured name.
    pub account: String,
    /// The provider's id of the generation.
    pub id: String,
    /// Address at which the generation's state is asked for.
    pub poll_url: String,
    /// Address at which the generation is cancelled, if it can be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel_url: Option<String>,
    /// Fingerprint of what was submitted: a name stands for one request.
    pub request: String,
    /// When asking makes no sense any more, in Unix seconds.
    pub expires: u64,
}

/// How a generation stands, in the same words for every provider.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum State {
    /// The generation waits at the provider, behind that many.
    Queued(Option<u64>),
    /// The provider makes the generation.
    Running,
    /// The generation is made, and its result is to be fetched from that address.
    ReadyAt(String),
    /// The generation is made.
    Done(Product),
    /// The generation failed.
    Failed(Fault, String),
    /// Somebody else cancelled it.
    Cancelled,
    /// The provider gave it up.
    Expired,
    /// The provider does not know it: not yet, where a replica is behind, or no more.
    Missing,
}

/// Whose fault a failed generation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The request's: moderation, or an input that is not valid. Another attempt fails too.
    Request,
    /// The provider's: another attempt may succeed.
    Provider,
}

impl Fault {
    /// Reads a provider's words: what speaks of moderation or of the input is the request's fault.
    pub(crate) fn read(words: &str) -> Self {
        const INPUT: [&str; 6] = ["invalid", "validation", "unsupported", "not supported", "out of range", "must be"];
        let lower = words.to_lowercase();
        let input = is_moderation(words) || INPUT.iter().any(|word| lower.contains(word));
        if input { Self::Request } else { Self::Provider }
    }
}
