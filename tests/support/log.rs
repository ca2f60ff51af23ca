//! A file that a process logs to.

use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use super::eventually;

/// The file, gone with the test.
pub struct Log(pub PathBuf);

impl Drop for Log {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Log {
    pub fn new() -> Self {
        static LOGS: AtomicU64 = AtomicU64::new(0);
        let name = format!("fairflow-{}-{}.log", std::process::id(), LOGS.fetch_add(1, Ordering::SeqCst));
        Self(std::env::temp_dir().join(name))
    }

    pub fn open(&self) -> File {
        File::options().create(true).append(true).open(&self.0).unwrap()
    }

    pub fn read(&self) -> String {
        std::fs::read_to_string(&self.0).unwrap()
    }

    /// Waits until the log has a text so many times.
    pub async fn says(&self, text: &str, times: usize) {
        eventually(&format!("the log says {text:?}"), async || self.read().matches(text).count() >= times).await;
    }
}
