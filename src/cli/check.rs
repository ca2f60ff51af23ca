//! `fairflow check`: what is wrong with a configuration and where, or what it would run.

use std::path::Path;
use std::process::ExitCode;

use toml::de::{DeTable, DeValue};

use crate::config::{AuthMode, Config, ConfigError, Problem, Settings};

/// Checks a file: status 0 where it is valid, 1 where it cannot be read, 2 where it is wrong.
pub(super) fn main(file: &Path) -> ExitCode {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(source) => {
            eprintln!("{}", ConfigError::Unreadable { path: file.to_owned(), source });
            return ExitCode::from(1);
        }
    };
    match Config::from_toml(&text).and_then(|config| config.validate()) {
        Ok(settings) => {
            print!("{}: {}", file.display(), summary(&settings));
            ExitCode::SUCCESS
        }
        Err(error) => {
            let told = problems(&text, &error);
            eprintln!(
                "{}",
                told.iter().map(|line| format!("{}:{line}", file.display())).collect::<Vec<_>>().join("\n")
            );
            let count = told.len();
            eprintln!("{count} problem{}", if count == 1 { "" } else { "s" });
            ExitCode::from(2)
        }
    }
}

/// Words each problem as `LINE:COLUMN: …`, in the order of the file.
fn problems(text: &str, error: &ConfigError) -> Vec<String> {
    match error {
        ConfigError::Invalid(problems) => {
            let mut placed: Vec<_> = problems.iter().map(|problem| (place(text, problem), problem)).collect();
            placed.sort_by_key(|(at, _)| *at);
            placed.into_iter().map(|(at, problem)| format!("{} {problem}", position(text, at))).collect()
        }
        other => {
            let told = other.to_string();
            let read = || {
                let (line, rest) = told.strip_prefix("line ")?.split_once(", column ")?;
                let (column, rest) = rest.split_once(": ")?;
                Some(format!("{line}:{column}: {rest}"))
            };
            vec![read().unwrap_or_else(|| format!(" {told}"))]
        }
    }
}

fn position(text: &str, at: usize) -> String {
    let before = &text[..at];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("{line}:{column}:")
}

/// Returns where in the file the key of a problem stands, or the table it is missing from.
fn place(text: &str, problem: &Problem) -> usize {
    let Ok(parsed) = DeTable::parse(text) else { return 0 };
    let (mut at, mut value) = (0, &DeValue::Table(parsed.get_ref().clone()));
    for step in steps(&problem.path) {
        let found = match value {
            DeValue::Table(table) => table.iter().find(|(key, _)| **key.get_ref() == step),
            DeValue::Array(items) => match step.parse::<usize>().ok().and_then(|index| items.get(index)) {
                Some(item) => {
                    (at, value) = (item.span().start, item.get_ref());
                    continue;
                }
                None => None,
            },
            _ => None,
        };
        let Some((key, next)) = found else { break };
        (at, value) = (key.span().start, next.get_ref());
    }
    at.min(text.len())
}

/// Cuts `models."a.b".routes[0].provider` into its steps.
fn steps(path: &str) -> Vec<String> {
    let (mut steps, mut step, mut quoted) = (Vec::new(), String::new(), false);
    let mut chars = path.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => quoted = !quoted,
            '\\' if quoted => step.extend(chars.next()),
            '.' | '[' | ']' if !quoted => steps.push(std::mem::take(&mut step)),
            c => step.push(c),
        }
    }
    steps.push(step);
    steps.retain(|step| !step.is_empty());
    steps
}

/// Says what a configuration would run.
fn summary(settings: &Settings) -> String {
    let (models, tenants) = (settings.models.len(), settings.tenants.len());
    let server = &settings.server;
    let auth = match server.auth {
        AuthMode::Open => "anyone on loopback".to_owned(),
        AuthMode::Keys => format!("{} keys", settings.keys.len()),
    };
    let mut told = format!("valid ({models} models, {tenants} tenants)\n");
    told += &format!("  public   {} for {auth}\n  admin    {}\n", server.listen, server.admin_listen);
    for (name, provider) in &settings.providers {
        let limit = provider.max_in_flight.map_or(String::new(), |limit| format!(", at most {limit} in flight"));
        told += &format!("  provider {name}: {}{limit}\n", provider.kind.name());
    }
    for (name, model) in &settings.models {
        let routes: Vec<_> = model.routes.iter().map(|route| format!("{}/{}", route.provider, route.model)).collect();
        let window = match (model.window.min, model.window.max) {
            (min, max) if min == max => format!("window pinned at {min}"),
            (min, max) => format!("window {min} to {max}"),
        };
        told += &format!(
            "  model    {name}: {}; {window}, {} may wait up to {:?}, {} attempts of up to {:?}\n",
            routes.join(", "),
            model.queue.capacity,
            model.max_wait,
            model.max_attempts,
            model.timeout,
        );
    }
    if let Some(unknown) = &settings.unknown_models {
        told += &format!("  model    any other: {}\n", unknown.provider);
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_problem_stands_where_it_is() {
        let text = "[providers.lab]\nkind = \"opnai\"\n\n[models.\"a.b\"]\nroutes = [\n  { provider = \"lab\" },\n  \
                    { provider = \"lob\" },\n]\nwindow = { min = 9, max = 3 }\n[tiers.t]\n  weight = 0\n";
        let error = Config::from_toml(text).and_then(|config| config.validate()).expect_err("wrong");
        let told = problems(text, &error);
        let places: Vec<_> = told.iter().map(|line| line.split(' ').next().unwrap_or_default()).collect();
        assert_eq!(places, ["1:12:", "2:1:", "7:5:", "9:12:", "11:3:"], "{told:#?}");
        assert!(told[2].contains("models.\"a.b\".routes[1].provider: \"lob\""), "{told:#?}");

        let text = "[server]\nlissten = \"x\"";
        let error = Config::from_toml(text).expect_err("an unknown key");
        let told = problems(text, &error);
        assert!(told[0].starts_with("2:1: lissten: unknown field"), "{told:?}");
        // What is missing is missed where it should be.
        let text = "\n[models.m]\n";
        let error = Config::from_toml(text).and_then(|config| config.validate()).expect_err("no route");
        assert!(problems(text, &error)[0].starts_with("2:9: models.\"m\".routes"), "{:?}", problems(text, &error));
    }
}
