//! Keeps what was learned, and what tenants have spent, over a restart, in the file that `server.state` names.

use std::io::{Error, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Fairflow;
use crate::learned::Learned;

/// How often it is written: a crash costs what was learned and spent since.
const WRITE_EVERY: Duration = Duration::from_secs(30);

/// Reads what was learned; a file that is not there or cannot be read means a cold start.
pub(super) fn read(path: &Path) -> Learned {
    let read = std::fs::read(path).and_then(|bytes| Ok(serde_json::from_slice(&bytes)?));
    read.unwrap_or_else(|error: Error| {
        if error.kind() != ErrorKind::NotFound {
            tracing::warn!("server.state {}: {error}; windows start cold and budgets full", path.display());
        }
        Learned::default()
    })
}

/// Writes what was learned, whole or not at all.
pub(super) fn write(learned: &Learned, path: &Path) {
    if let Err(error) = replace(path, &serde_json::to_vec_pretty(learned).unwrap_or_default()) {
        tracing::warn!("server.state {}: {error}; what was learned is not kept", path.display());
    }
}

fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let mut file = std::fs::File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(beside, path)
}

/// Writes now and then, for ever.
pub(super) async fn keep(fairflow: Fairflow, path: PathBuf) {
    let mut ticks = tokio::time::interval(WRITE_EVERY);
    // The first tick is at once, when nothing is learned yet.
    ticks.tick().await;
    loop {
        ticks.tick().await;
        write(&fairflow.learned(), &path);
    }
}
