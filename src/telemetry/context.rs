//! W3C trace context: the headers `traceparent` and `tracestate`.

use std::sync::Arc;

use crate::witness::TraceContext;

/// Longest `tracestate` that is passed on, as W3C has it.
const LONGEST_STATE: usize = 512;

/// A place in a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Context {
    pub(super) trace: u128,
    pub(super) span: u64,
    pub(super) sampled: bool,
    pub(super) state: Option<Arc<str>>,
}

impl Context {
    /// Reads the headers of a request; `None` where there is no valid `traceparent`.
    pub(crate) fn parse(parent: &str, state: Option<&str>) -> Option<Self> {
        let hex = |text: &str, length: usize| {
            let lower = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            (text.len() == length && text.bytes().all(lower)).then(|| u128::from_str_radix(text, 16).ok()).flatten()
        };
        let mut parts = parent.trim().splitn(5, '-');
        let version = hex(parts.next()?, 2).filter(|version| *version != 0xff)?;
        let trace = hex(parts.next()?, 32).filter(|trace| *trace != 0)?;
        let span = hex(parts.next()?, 16).filter(|span| *span != 0)?;
        let flags = hex(parts.next()?, 2)?;
        // Later versions may have more to say; this one has not.
        if version == 0 && parts.next().is_some() {
            return None;
        }
        let state = state.map(str::trim).filter(|state| !state.is_empty() && state.len() <= LONGEST_STATE);
        Some(Self { trace, span: u64::try_from(span).ok()?, sampled: flags & 1 == 1, state: state.map(Arc::from) })
    }

    /// Writes the headers.
    pub(super) fn headers(&self) -> TraceContext {
        let parent = format!("00-{:032x}-{:016x}-{:02x}", self.trace, self.span, u8::from(self.sampled));
        TraceContext { parent, state: self.state.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn what_is_read_is_written_again() {
        let context = Context::parse(GOOD, Some("vendor=1")).expect("valid");
        assert_eq!((context.span, context.sampled), (0x00f0_67aa_0ba9_02b7, true));
        assert_eq!(context.headers(), TraceContext { parent: GOOD.into(), state: Some("vendor=1".into()) });
        assert!(!Context::parse(&GOOD.replace("-01", "-02"), None).expect("valid").sampled);
        assert!(Context::parse(&GOOD.replace("00-4b", "01-4b").replace("-01", "-01-more"), None).is_some());
        assert_eq!(Context::parse(GOOD, Some(&"x".repeat(513))).expect("valid").state, None);
    }

    #[test]
    fn what_is_not_valid_is_none() {
        for bad in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-ä4bf92f3577b34da6a3ce929d0e0e47-00f067aa0ba902b7-01",
        ] {
            assert_eq!(Context::parse(bad, None), None, "{bad:?}");
        }
    }
}
