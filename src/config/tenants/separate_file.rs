//! `server.tenants_file`: tenants kept apart from the rest, by whoever makes and ends them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::file::TenantConfig;
use crate::config::file::{Config, TenantsFrom};
use crate::config::problem::{ConfigError, Problem};
use crate::config::read::read;

/// Contents of the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TenantsFile {
    /// `None` where the file does not even say that there are none.
    tenants: Option<BTreeMap<String, TenantConfig>>,
}

impl Config {
    /// Returns where the tenants' file is, for a configuration that was read from `path`.
    #[must_use]
    pub fn tenants_path(&self, path: &Path) -> Option<PathBuf> {
        let file = self.server.tenants_file.as_ref()?;
        Some(path.parent().map_or_else(|| file.clone(), |folder| folder.join(file)))
    }

    /// Takes the tenants of a file, in place of those that came from a file before.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Unreadable`], or [`ConfigError::Invalid`] with what cannot be read, or where a tenant is in the
    /// configuration itself too; each names the file.
    pub fn with_tenants(mut self, file: &Path) -> Result<Self, ConfigError> {
        let problems = self.take_tenants(file)?;
        if problems.is_empty() { Ok(self) } else { Err(ConfigError::Invalid(problems)) }
    }

    /// As [`with_tenants`](Self::with_tenants), with all that can be read, and the problems with the rest.
    pub(in crate::config) fn take_tenants(&mut self, file: &Path) -> Result<Vec<Problem>, ConfigError> {
        let text = std::fs::read_to_string(file)
            .map_err(|source| ConfigError::Unreadable { path: file.to_owned(), source })?;
        let (read, mut problems) = read::<TenantsFile>(&text, Some(file));
        let Some(TenantsFile { tenants }) = read else { return Ok(problems) };
        if let Some(before) = self.tenants_from.take() {
            self.tenants.retain(|name, _| !before.names.contains(name));
        }
        let is_blank = tenants.is_none();
        let tenants = tenants.unwrap_or_default();
        let names = tenants.keys().cloned().collect();
        for (name, tenant) in tenants {
            match self.tenants.entry(name) {
                Entry::Vacant(place) => {
                    place.insert(tenant);
                }
                Entry::Occupied(there) => {
                    let path = format!("{}: tenants.{:?}", file.display(), there.key());
                    let problem = "is in the configuration itself too; name each tenant once".to_owned();
                    problems.push(Problem { path, problem, place: None });
                }
            }
        }
        self.tenants_from = Some(TenantsFrom { file: file.to_owned(), names, is_blank });
        Ok(problems)
    }

    /// Refuses to take over `next` where a file that had something is empty now: a full disk and an editor that writes
    /// anew leave such files behind, and nobody means to end all that runs with one.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Empty`] names the file; `path` is that of the configuration.
    pub fn follow(&self, next: Self, path: &Path) -> Result<Self, ConfigError> {
        let had_tenants = self.tenants_from.as_ref().is_some_and(|from| !from.names.is_empty());
        let empty = if next == Self::default() && *self != next {
            Some(path)
        } else {
            next.tenants_from.as_ref().filter(|from| had_tenants && from.is_blank).map(|from| &*from.file)
        };
        match empty.map(Path::to_owned) {
            Some(path) => Err(ConfigError::Empty { path }),
            None => Ok(next),
        }
    }

    /// Names a tenant's table for people, with its file where that is another one.
    pub(in crate::config) fn tenant_at(&self, name: &str) -> String {
        match &self.tenants_from {
            Some(from) if from.names.contains(name) => format!("{}: tenants.{name:?}", from.file.display()),
            _ => format!("tenants.{name:?}"),
        }
    }
}
