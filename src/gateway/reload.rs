//! A new configuration while the gateway runs: on SIGHUP, or when its file changes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::signal::unix::Signal;

use crate::config::{Config, Settings};
use crate::{Fairflow, StartError};

/// How often the file is looked at. Looking works where notices do not: on mounted volumes and swapped links.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What a look at the file tells.
type Stamp = Option<(SystemTime, u64)>;

fn stamp(path: &Path) -> Stamp {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

/// Takes over what is in `path` whenever it changes or SIGHUP comes; what is wrong is logged, and the old stays.
pub(super) async fn watch(fairflow: Fairflow, path: PathBuf, mut hangup: Signal) {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    let mut last = stamp(&path);
    let mut taken = last;
    loop {
        let asked = tokio::select! {
            _ = hangup.recv() => true,
            _ = ticks.tick() => false,
        };
        let now = stamp(&path);
        // A file is taken when it has rested between two looks: whoever writes it may be in the middle.
        let rested = now == std::mem::replace(&mut last, now);
        if !asked && (!rested || now == taken || now.is_none()) {
            continue;
        }
        taken = now;
        match take(&fairflow, &path).await {
            Ok(changes) if changes.is_empty() => tracing::info!("the configuration was read again: no change"),
            Ok(changes) => tracing::info!("the configuration has changed: {}", changes.join("; ")),
            Err(error) => tracing::error!("the new configuration is refused and the old one stays:\n{error}"),
        }
    }
}

/// Takes over what is in `path`, and says in words what changed.
async fn take(fairflow: &Fairflow, path: &Path) -> Result<Vec<String>, StartError> {
    let mut config = Config::from_path(path)?;
    let before = fairflow.settings();
    let mut said = Vec::new();
    if config.server != before.server {
        // Flags of the command line count as the running ones too.
        said.push("[server] takes a restart".to_owned());
        config.server = before.server.clone();
    }
    fairflow.reload(config).await?;
    let after = fairflow.settings();
    if before.telemetry != after.telemetry {
        said.push("[telemetry] takes a restart".to_owned());
    }
    said.splice(0..0, differences(&before, &after));
    Ok(said)
}

/// Says in words what differs between two settings.
fn differences(before: &Settings, after: &Settings) -> Vec<String> {
    let mut said = Vec::new();
    let mut compare = |what: &str, old: BTreeSet<&Arc<str>>, new: BTreeSet<&Arc<str>>, same: &dyn Fn(&str) -> bool| {
        let list = |names: Vec<&&Arc<str>>| names.iter().map(|name| name.to_string()).collect::<Vec<_>>().join(", ");
        let changed: Vec<_> = old.intersection(&new).filter(|name| !same(name)).collect();
        let (gone, added) = (old.difference(&new).collect::<Vec<_>>(), new.difference(&old).collect::<Vec<_>>());
        for (verb, names) in [("added", added), ("removed", gone), ("changed", changed)] {
            if !names.is_empty() {
                said.push(format!("{what} {verb}: {}", list(names)));
            }
        }
    };
    compare("providers", before.providers.keys().collect(), after.providers.keys().collect(), &|name| {
        before.providers.get(name) == after.providers.get(name)
    });
    compare("models", before.models.keys().collect(), after.models.keys().collect(), &|name| {
        before.models.get(name) == after.models.get(name)
    });
    compare("tenants", before.tenants.keys().collect(), after.tenants.keys().collect(), &|name| {
        before.tenants.get(name) == after.tenants.get(name)
    });
    if before.keys != after.keys {
        said.push(format!("keys: {} now, {} before", after.keys.len(), before.keys.len()));
    }
    if before.default_policy != after.default_policy {
        said.push("the default tier changed".to_owned());
    }
    if before.unknown_models != after.unknown_models {
        said.push("where unknown models go changed".to_owned());
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_said_in_words() {
        let settings = |rest: &str| {
            let text = format!("[providers.sim]\nkind = \"sim\"\n{rest}");
            Config::from_toml(&text).expect("TOML").validate().expect("valid")
        };
        let route = "routes = [{ provider = \"sim\" }]";
        let before = settings(&format!("[models.a]\n{route}\n[models.b]\n{route}\n[tenants.t]"));
        let after = settings(&format!("[models.b]\n{route}\ntimeout = \"5s\"\n[models.c]\n{route}\n[tenants.t]"));
        assert_eq!(differences(&before, &before), Vec::<String>::new());
        let said = differences(&before, &after);
        assert_eq!(said, ["models added: c", "models removed: a", "models changed: b"]);
    }
}
