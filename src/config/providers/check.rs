//! Checks `[providers]`: each kind's keys, and its service's address where none is given.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use secrecy::SecretString;

use super::file::ProviderConfig;
use super::settings::{Authorities, Endpoint, Preset, ProviderKind, ProviderSettings, RunwareSettings, TaskSettings};
use super::{headers, poll, sim, verdicts};
use crate::config::check::Check;
use crate::wording::{nearest, shown};

const KINDS: [&str; 8] = ["openai", "runware", "bfl", "fal", "replicate", "ark", "sim", "custom"];
const RUNWARE: &str = "https://api.runware.ai/v1";
const DEFAULT_MAX_RESPONSE: usize = 64 << 20;

pub(in crate::config) fn provider(check: &mut Check, name: &str, raw: &ProviderConfig) -> ProviderSettings {
    let path = format!("providers.{name:?}");
    check_keys(check, &path, raw);
    let kind = match raw.kind.as_str() {
        "sim" => {
            let sim = raw.sim.clone().unwrap_or_default();
            sim::check(check, &format!("{path}.sim"), &sim);
            ProviderKind::Sim(sim)
        }
        "custom" => ProviderKind::Custom,
        "runware" => ProviderKind::Runware(RunwareSettings {
            endpoint: endpoint(check, &path, raw, Some(RUNWARE)),
            transport: raw.transport.unwrap_or_default(),
            poll: poll::read(check, &format!("{path}.poll"), raw.poll.as_ref()),
        }),
        kind => match preset(kind) {
            Some(preset) => ProviderKind::Task(TaskSettings {
                preset,
                endpoint: endpoint(check, &path, raw, Some(preset.base_url())),
                poll: poll::read(check, &format!("{path}.poll"), raw.poll.as_ref()),
                handles: raw.handles.clone(),
            }),
            None => {
                if kind.is_empty() {
                    check.problem(format!("{path}.kind"), format!("is missing; give one of {}", KINDS.join(", ")));
                } else if kind != "openai" {
                    let known = KINDS.join(", ");
                    let hint = nearest(kind, KINDS.into_iter())
                        .map_or(String::new(), |near| format!("; did you mean {near:?}?"));
                    check.problem(format!("{path}.kind"), format!("{kind:?} is not known here (known: {known}){hint}"));
                }
                ProviderKind::OpenAi(endpoint(check, &path, raw, None))
            }
        },
    };
    let (rates, budgets) = raw.rate.unwrap_or_default().checked(check, &path);
    ProviderSettings {
        name: name.into(),
        kind,
        max_in_flight: raw.max_in_flight.map(|n| check.count(&format!("{path}.max_in_flight"), Some(n), 1)),
        rates,
        budgets,
        verdicts: verdicts::rules(check, &path, &raw.verdicts),
    }
}

/// Tells each account what no answer may show: its own keys, and those of the others.
pub(in crate::config) fn guarded(
    mut accounts: BTreeMap<Arc<str>, ProviderSettings>,
) -> BTreeMap<Arc<str>, ProviderSettings> {
    let keys_of = |endpoint: &Endpoint| {
        let headers = endpoint.headers.iter().filter(|header| header.secret).map(|header| header.value.clone());
        endpoint.api_key.iter().cloned().chain(headers).collect::<Vec<_>>()
    };
    let keys = accounts.values().filter_map(|account| account.kind.endpoint()).flat_map(keys_of);
    let keys: Arc<[SecretString]> = keys.collect();
    for endpoint in accounts.values_mut().filter_map(|account| account.kind.endpoint_mut()) {
        endpoint.guarded = keys.clone();
    }
    accounts
}

fn preset(kind: &str) -> Option<Preset> {
    Some(match kind {
        "bfl" => Preset::Bfl,
        "fal" => Preset::Fal,
        "replicate" => Preset::Replicate,
        "ark" => Preset::Ark,
        _ => return None,
    })
}

/// Refuses keys that the kind would ignore.
fn check_keys(check: &mut Check, path: &str, raw: &ProviderConfig) {
    let polled = ["bfl", "fal", "replicate", "ark"];
    let polled_or_runware = ["bfl", "fal", "replicate", "ark", "runware"];
    let reached = ["openai", "runware", "bfl", "fal", "replicate", "ark"];
    let keys: [(&str, bool, &[&str]); 12] = [
        ("base_url", raw.base_url.is_some(), &reached),
        ("api_key", raw.api_key.is_some(), &reached),
        ("ca_file", raw.ca_file.is_some(), &reached),
        ("headers", !raw.headers.is_empty(), &reached),
        ("user_agent", raw.user_agent.is_some(), &reached),
        ("verdicts", !raw.verdicts.is_empty(), &reached),
        ("sim", raw.sim.is_some(), &["sim"]),
        ("key_header", raw.key_header.is_some(), &["openai"]),
        ("api_version", raw.api_version.is_some(), &["openai"]),
        ("transport", raw.transport.is_some(), &["runware"]),
        ("poll", raw.poll.is_some(), &polled_or_runware),
        ("handles", raw.handles.is_some(), &polled),
    ];
    for (key, given, kinds) in keys {
        if given && KINDS.contains(&raw.kind.as_str()) && !kinds.contains(&raw.kind.as_str()) {
            let kinds = kinds.join("\", \"");
            check.problem(format!("{path}.{key}"), format!("belongs to kind = \"{kinds}\", not {:?}", raw.kind));
        }
    }
}

fn endpoint(check: &mut Check, path: &str, raw: &ProviderConfig, default: Option<&str>) -> Endpoint {
    let bare_key = match raw.key_header.as_deref() {
        None | Some("authorization") => false,
        Some("api-key") => true,
        Some(other) => {
            let problem = format!("{other:?} is not known; \"authorization\" or \"api-key\"");
            check.problem(format!("{path}.key_header"), problem);
            false
        }
    };
    let plain = |version: &str| version.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    if let Some(version) = raw.api_version.as_deref().filter(|version| version.is_empty() || !plain(version)) {
        check
            .problem(format!("{path}.api_version"), format!("{version:?} is no version; write it like \"2024-10-21\""));
    }
    let set_by_key = raw.api_key.as_ref().map(|_| raw.key_header.as_deref().unwrap_or("authorization"));
    let base_url = base_url(check, path, raw.base_url.as_deref().or(default));
    Endpoint {
        authorities: raw.ca_file.as_deref().and_then(|file| authorities(check, path, file, &base_url)),
        base_url,
        api_key: check.key(&format!("{path}.api_key"), raw.api_key.as_ref()),
        bare_key,
        api_version: raw.api_version.clone(),
        headers: headers::read(check, path, &raw.headers, set_by_key),
        user_agent: headers::user_agent(check, path, raw.user_agent.as_deref()),
        guarded: Arc::default(),
        max_response: raw.max_response.map_or(DEFAULT_MAX_RESPONSE, |size| size.0),
    }
}

/// Reads the certificates of a provider's own authority.
fn authorities(check: &mut Check, path: &str, file: &Path, base_url: &str) -> Option<Authorities> {
    let path = format!("{path}.ca_file");
    if !base_url.starts_with("https://") {
        check.problem(&path, format!("is for https, and base_url is {base_url:?}; leave it out, or give an https URL"));
    }
    let pem = match std::fs::read(file) {
        Ok(pem) => pem,
        Err(error) => {
            check.problem(path, format!("{} cannot be read: {error}", file.display()));
            return None;
        }
    };
    if !String::from_utf8_lossy(&pem).contains("-----BEGIN CERTIFICATE-----") {
        let problem = format!(
            "{} holds no certificate; give a file of PEM, which begins with -----BEGIN CERTIFICATE-----",
            file.display()
        );
        check.problem(path, problem);
        return None;
    }
    Some(Authorities { file: file.to_owned(), pem: pem.into() })
}

fn base_url(check: &mut Check, path: &str, url: Option<&str>) -> String {
    let path = format!("{path}.base_url");
    let Some(url) = url else {
        check.problem(path, "is missing; give the provider's URL, like \"https://api.example.com/v1\"");
        return String::new();
    };
    if !is_url(&url.replace("{model}", "model")) {
        check.problem(path, format!("{} is no URL; it begins with http:// or https:// and names a host", shown(url)));
    }
    url.trim_end_matches('/').to_owned()
}

#[cfg(feature = "client")]
fn is_url(url: &str) -> bool {
    let known = |uri: &http::Uri| matches!(uri.scheme_str(), Some("http" | "https"));
    url.parse().is_ok_and(|uri| known(&uri) && uri.host().is_some_and(|host| !host.is_empty()))
}

/// Without an HTTP client no such provider can be built, and the rest of the URL is never looked at.
#[cfg(not(feature = "client"))]
fn is_url(url: &str) -> bool {
    url.starts_with("http://") || url.starts_with("https://")
}
