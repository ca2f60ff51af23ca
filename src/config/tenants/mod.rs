//! `[tiers]`, `[groups]` and `[tenants]`: who may do what, checked into one policy for each tenant.

mod check;
mod file;
mod separate_file;
mod setters;
mod settings;
#[cfg(test)]
mod tests;

pub(super) use self::check::{policies, reserve};
pub use self::file::{BudgetConfig, GroupConfig, TenantConfig, TierConfig, UpgradeConfig};
pub use self::settings::{ModelNames, TenantPolicy, Upgrade};
