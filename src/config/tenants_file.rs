//! `server.tenants_file`: tenants kept apart from the rest, by whoever makes and ends them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::error::{ConfigError, Problem, explain};
use super::schema::{Config, TenantConfig};

/// What the file holds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TenantsFile {
    #[serde(default)]
    tenants: BTreeMap<String, TenantConfig>,
}

/// Which tenants came from which file.
#[derive(Debug, Clone, PartialEq)]
pub struct TenantsFrom {
    file: PathBuf,
    names: BTreeSet<String>,
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
    /// [`ConfigError::Unreadable`], [`ConfigError::Syntax`], or [`ConfigError::Invalid`] where a tenant is in the
    /// configuration itself too; each names the file.
    pub fn with_tenants(mut self, file: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(file)
            .map_err(|source| ConfigError::Unreadable { path: file.to_owned(), source })?;
        let read: TenantsFile = toml::from_str(&text)
            .map_err(|error| ConfigError::Syntax(format!("{}: {}", file.display(), explain(&text, &error))))?;
        if let Some(before) = self.tenants_from.take() {
            self.tenants.retain(|name, _| !before.names.contains(name));
        }
        let twice = read.tenants.keys().filter(|name| self.tenants.contains_key(*name));
        let problem = "is in the configuration itself too; name each tenant once";
        let problems: Vec<Problem> = twice
            .map(|name| Problem { path: format!("{}: tenants.{name:?}", file.display()), problem: problem.into() })
            .collect();
        if !problems.is_empty() {
            return Err(ConfigError::Invalid(problems));
        }
        let names = read.tenants.keys().cloned().collect();
        self.tenants.extend(read.tenants);
        self.tenants_from = Some(TenantsFrom { file: file.to_owned(), names });
        Ok(self)
    }

    /// Names a tenant's table for people, with its file where that is another one.
    pub(super) fn tenant_at(&self, name: &str) -> String {
        match &self.tenants_from {
            Some(from) if from.names.contains(name) => format!("{}: tenants.{name:?}", from.file.display()),
            _ => format!("tenants.{name:?}"),
        }
    }
}
