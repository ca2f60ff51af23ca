//! The dashboard's memory.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use super::recorder::Recorder;
use super::shares::Shares;
use crate::clock::unix_time;

/// The board that the page reads: what was recorded, and the tenants' shares.
#[derive(Debug, Default)]
pub(in crate::gateway) struct Dashboard {
    recorder: Mutex<Recorder>,
    pub(super) shares: Shares,
    public: OnceLock<SocketAddr>,
}

impl Dashboard {
    pub(super) fn recorder(&self) -> MutexGuard<'_, Recorder> {
        self.recorder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns Unix time in seconds.
    pub(super) fn now(&self) -> u32 {
        u32::try_from(unix_time()).unwrap_or(u32::MAX)
    }

    /// Notes where requests are taken, for the example on the page.
    pub(in crate::gateway) fn serves_at(&self, public: SocketAddr) {
        self.public.get_or_init(|| public);
    }

    /// Returns where requests are taken.
    pub(super) fn public(&self) -> Option<String> {
        self.public.get().map(SocketAddr::to_string)
    }
}
