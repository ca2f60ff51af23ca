//! A new configuration while the gateway runs: on SIGHUP, or when its file or the tenants' file changes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::signal::unix::Signal;

use crate::config::{Config, ServerConfig, Settings};
use crate::{Fairflow, StartError};

/// Time between two looks at the file. Looking works where notices do not: on mounted volumes and swapped links.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The findings of a look at the file.
type Stamp = Option<(SystemTime, u64)>;

fn stamp(path: &Path) -> Stamp {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

/// A file, as it was at the last look and when it was last taken.
struct Seen {
    last: Stamp,
    taken: Stamp,
}

impl Seen {
    fn new(path: Option<&Path>) -> Self {
        let last = path.and_then(stamp);
        Self { last, taken: last }
    }

    /// Says whether it has changed since it was taken. A file counts when it has rested between two looks: whoever
    /// writes it may be in the middle.
    fn changed(&mut self, path: Option<&Path>) -> bool {
        let now = path.and_then(stamp);
        let rested = now == std::mem::replace(&mut self.last, now);
        rested && now != self.taken && now.is_some()
    }

    fn take(&mut self) {
        self.taken = self.last;
    }
}

/// Takes over what is in `path` whenever it changes or SIGHUP comes, and the tenants' file whenever that changes; what is
/// wrong is logged, and the old stays. `running` is the configuration that the gateway began with.
pub(in crate::gateway) async fn watch(fairflow: Fairflow, path: PathBuf, mut running: Config, mut hangup: Signal) {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    let mut tenants = running.tenants_path(&path);
    let (mut main, mut apart) = (Seen::new(Some(&path)), Seen::new(tenants.as_deref()));
    loop {
        let asked = tokio::select! {
            _ = hangup.recv() => true,
            _ = ticks.tick() => false,
        };
        let (main_changed, mut apart_changed) = (main.changed(Some(&path)), apart.changed(tenants.as_deref()));
        let mut next = None;
        if asked || main_changed {
            main.take();
            match Config::from_path(&path).and_then(|next| running.follow(next, &path)) {
                Ok(whole) => next = Some(whole),
                Err(error) => refuse(&error.into()),
            }
            // Where the whole cannot be read, the tenants can be taken all the same.
            apart_changed |= asked;
        }
        if let (None, true, Some(file)) = (&next, apart_changed, tenants.as_deref()) {
            match running.clone().with_tenants(file).and_then(|next| running.follow(next, &path)) {
                Ok(changed) => next = Some(changed),
                Err(error) => refuse(&error.into()),
            }
        }
        if apart_changed || next.is_some() {
            apart.take();
        }
        let Some(next) = next else { continue };
        match take(&fairflow, next.clone()).await {
            Ok(changes) => {
                if changes.is_empty() {
                    tracing::info!("the configuration was read again: no change");
                } else {
                    tracing::info!("the configuration has changed: {}", changes.join("; "));
                }
                running = next;
                let file = running.tenants_path(&path);
                if file != tenants {
                    (apart, tenants) = (Seen::new(file.as_deref()), file);
                }
            }
            Err(error) => refuse(&error),
        }
    }
}

fn refuse(error: &StartError) {
    tracing::error!("the new configuration is refused and the old one stays:\n{error}");
}

/// Takes over a configuration, and says in words what changed.
async fn take(fairflow: &Fairflow, mut config: Config) -> Result<Vec<String>, StartError> {
    let before = fairflow.settings();
    let mut said = Vec::new();
    // Where the tenants are may change; the rest of [server] may not, and flags of the command line count as running.
    let server = ServerConfig { tenants_file: config.server.tenants_file.clone(), ..before.server.clone() };
    if config.server != server {
        said.push("[server] takes a restart".to_owned());
        config.server = server;
    }
    fairflow.reload(config).await?;
    let after = fairflow.settings();
    if before.telemetry != after.telemetry {
        said.push("[telemetry] takes a restart".to_owned());
    }
    said.splice(0..0, differences(&before, &after));
    Ok(said)
}

/// Names up to this many of what changed.
const MOST_SAID: usize = 10;

fn list(names: &[&&Arc<str>]) -> String {
    let said = names.iter().take(MOST_SAID).map(|name| name.to_string()).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(MOST_SAID) {
        0 => said,
        more => format!("{said} and {more} more"),
    }
}

/// Says in words what differs between two settings.
fn differences(before: &Settings, after: &Settings) -> Vec<String> {
    let mut said = Vec::new();
    let mut compare = |what: &str, old: BTreeSet<&Arc<str>>, new: BTreeSet<&Arc<str>>, same: &dyn Fn(&str) -> bool| {
        let changed: Vec<_> = old.intersection(&new).filter(|name| !same(name)).collect();
        let (gone, added) = (old.difference(&new).collect::<Vec<_>>(), new.difference(&old).collect::<Vec<_>>());
        for (verb, names) in [("added", added), ("removed", gone), ("changed", changed)] {
            if !names.is_empty() {
                said.push(format!("{what} {verb}: {}", list(&names)));
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
