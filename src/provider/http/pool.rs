//! Idle connections of an account, by the runtime that they were made on: a worker of the gateway is one, and the threads
//! of a multi-threaded runtime share theirs.
//!
//! A sweeper per runtime looks once a second, closes what the other side has closed and what was idle for too long, and
//! ends when nothing is idle, or with its runtime, whose connections go with it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use dashmap::DashMap;
use reqwest::Url;
use reqwest::header::HeaderMap;
use tokio::runtime;

use super::connection::Connection;

/// Time between two looks at idle connections.
const SWEEP: Duration = Duration::from_secs(1);
/// Longest that a connection stays idle, in sweeps.
const PATIENCE: u32 = 60;

/// The idle connections of an account.
#[derive(Debug)]
pub(super) struct Pool {
    idle: DashMap<runtime::Id, Vec<Connection>>,
    count: AtomicUsize,
    /// Most idle connections, over all runtimes.
    most: usize,
}

/// Returns how many sweeps a connection may stay idle after an answer: a second less than what its server says.
pub(super) fn patience(headers: &HeaderMap) -> u32 {
    let said = headers.get("keep-alive").and_then(|value| value.to_str().ok());
    let mut said = said.unwrap_or_default().split(',').filter_map(|part| part.trim().strip_prefix("timeout="));
    said.find_map(|seconds| seconds.trim().parse::<u32>().ok())
        .map_or(PATIENCE, |seconds| seconds.saturating_sub(1).clamp(1, PATIENCE))
}

impl Pool {
    pub(super) fn new(most: usize) -> Self {
        Self { idle: DashMap::new(), count: AtomicUsize::new(0), most }
    }

    /// Takes the connection to an address that was used last, and is not known to be closed.
    pub(super) fn take(&self, url: &Url) -> Option<Connection> {
        let runtime = runtime::Handle::current().id();
        loop {
            let mut connection = {
                let mut idle = self.idle.get_mut(&runtime)?;
                let at = idle.iter().rposition(|connection| connection.leads_to(url))?;
                idle.remove(at)
            };
            self.count.fetch_sub(1, Ordering::Relaxed);
            if connection.is_still_idle() {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection, unless there are enough.
    pub(super) fn put(self: Arc<Self>, connection: Connection) {
        // Its reactor may have ended meanwhile.
        let Ok(here) = runtime::Handle::try_current() else { return };
        if here.id() != connection.runtime {
            return;
        }
        if self.count.fetch_add(1, Ordering::Relaxed) >= self.most {
            self.count.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        let mut is_first = false;
        let idle = self.idle.entry(here.id()).or_insert_with(|| {
            is_first = true;
            Vec::new()
        });
        { idle }.push(connection);
        if is_first {
            let swept = Swept { pool: Arc::downgrade(&self), runtime: here.id() };
            here.spawn(swept.run());
        }
    }
}

/// A runtime's part of the pool, which goes when the sweeper does.
struct Swept {
    pool: Weak<Pool>,
    runtime: runtime::Id,
}

impl Swept {
    async fn run(mut self) {
        loop {
            tokio::time::sleep(SWEEP).await;
            let Some(pool) = self.pool.upgrade() else { return };
            let mut closed = Vec::new();
            if let Some(mut idle) = pool.idle.get_mut(&self.runtime) {
                let passed = idle.extract_if(.., |connection| {
                    connection.patience -= 1;
                    connection.patience == 0 || !connection.is_still_idle()
                });
                closed.extend(passed);
            }
            pool.count.fetch_sub(closed.len(), Ordering::Relaxed);
            if pool.idle.remove_if(&self.runtime, |_, idle| idle.is_empty()).is_some() {
                // What is put next has a sweeper of its own.
                self.pool = Weak::new();
                return;
            }
        }
    }
}

impl Drop for Swept {
    fn drop(&mut self) {
        let Some(pool) = self.pool.upgrade() else { return };
        if let Some((_, idle)) = pool.idle.remove(&self.runtime) {
            pool.count.fetch_sub(idle.len(), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn a_connection_is_given_up_before_its_server_does_so() {
        for (said, sweeps) in [("timeout=5, max=100", 4), ("max=1,timeout=600", 60), ("timeout=0", 1), ("what", 60)] {
            let headers =
                HeaderMap::from_iter([("keep-alive".parse().expect("a name"), HeaderValue::from_static(said))]);
            assert_eq!(patience(&headers), sweeps, "{said}");
        }
        assert_eq!(patience(&HeaderMap::new()), PATIENCE);
    }
}
