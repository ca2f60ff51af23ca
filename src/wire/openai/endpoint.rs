//! The endpoints of OpenAI's API.

#[cfg(any(feature = "gateway", feature = "openai", feature = "task"))]
use crate::core::cost::Cost;
#[cfg(any(feature = "gateway", feature = "openai", feature = "task"))]
use crate::task::Usage;

/// The endpoints that generate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// `POST /chat/completions`.
    Chat,
    /// `POST /embeddings`.
    Embeddings,
    /// `POST /images/generations`.
    Images,
    /// `POST /images/edits`.
    Edits,
    /// `POST /responses`.
    Responses,
}

impl Endpoint {
    /// Every endpoint, in the order of their declaration.
    pub const ALL: &'static [Self] = &[Self::Chat, Self::Embeddings, Self::Images, Self::Edits, Self::Responses];

    /// Returns the path below the base URL, which ends in `/v1` by custom.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Chat => "/chat/completions",
            Self::Embeddings => "/embeddings",
            Self::Images => "/images/generations",
            Self::Edits => "/images/edits",
            Self::Responses => "/responses",
        }
    }

    /// Says whether it answers in text, of which a stream sends about an event per token.
    #[cfg(feature = "gateway")]
    pub(crate) const fn is_text(self) -> bool {
        matches!(self, Self::Chat | Self::Responses)
    }

    /// Returns what a generation cost that used so much, in the unit of its prediction; nothing where tokens do not tell.
    #[cfg(any(feature = "gateway", feature = "openai", feature = "task"))]
    pub(crate) fn cost(self, usage: Usage) -> Option<Cost> {
        match self {
            Self::Chat | Self::Responses => usage.text_cost(),
            Self::Embeddings => usage.input_tokens.map(Cost::new),
            Self::Images | Self::Edits => None,
        }
    }
}
