//! `fairflow check`: what is wrong with a configuration and where, or what it would run.

use std::path::Path;
use std::process::ExitCode;

use toml::de::{DeTable, DeValue};

use crate::config::{AuthMode, Config, ConfigError, Place, Problem, Settings};

/// A file that was read, under the name that errors know it by.
struct Source {
    name: String,
    text: String,
}

impl Source {
    fn read(path: &Path) -> std::io::Result<Self> {
        Ok(Self { name: path.display().to_string(), text: std::fs::read_to_string(path)? })
    }
}

/// Checks a file: status 0 where it is valid, 1 where it cannot be read, 2 where it is wrong.
pub(super) fn main(file: &Path) -> ExitCode {
    match Config::from_path(file).and_then(|config| config.validate()) {
        Ok(settings) => {
            say!("{}: {}", file.display(), summary(&settings).trim_end());
            ExitCode::SUCCESS
        }
        Err(error @ ConfigError::Unreadable { .. }) => {
            eprintln!("{error}");
            ExitCode::from(1)
        }
        Err(error) => {
            let told = problems(&sources(file, &error), &error);
            eprintln!("{}", told.join("\n"));
            eprintln!("{}", count(told.len(), "problem"));
            ExitCode::from(2)
        }
    }
}

/// Reads the file again, and the tenants' file that it names, to find where problems stand.
fn sources(file: &Path, error: &ConfigError) -> Vec<Source> {
    let own = Source::read(file).ok();
    let tenants = match error {
        ConfigError::Invalid(problems) => problems.iter().find_map(|problem| problem.place.as_ref()?.file.clone()),
        _ => None,
    };
    let named = || own.as_ref().and_then(|own| Config::from_toml(&own.text).ok()?.tenants_path(file));
    let tenants = tenants.or_else(named);
    own.into_iter().chain(tenants.and_then(|path| Source::read(&path).ok())).collect()
}

/// Words each problem as `FILE:LINE:COLUMN: …`, in the order of the files.
fn problems(sources: &[Source], error: &ConfigError) -> Vec<String> {
    // What is told of another file than the first begins with its name.
    let source_of = |told: &str| {
        let others = sources.iter().enumerate().skip(1);
        let mut named =
            others.filter_map(|(n, source)| Some((n, told.strip_prefix(&source.name)?.strip_prefix(": ")?)));
        named.next().map_or_else(|| (0, told.to_owned()), |(n, rest)| (n, rest.to_owned()))
    };
    let ConfigError::Invalid(problems) = error else {
        return vec![error.to_string()];
    };
    let placed = |problem: &Problem| {
        let named = |path: &str| if path.is_empty() { String::new() } else { format!(" {path}:") };
        if let Some(place) = &problem.place {
            let is_it =
                |source: &Source| place.file.as_ref().is_some_and(|file| source.name == file.display().to_string());
            let source = sources.iter().position(is_it).unwrap_or_default();
            let (name, line, column) = (&sources.get(source)?.name, place.line, place.column);
            let told = format!("{name}:{line}:{column}:{} {}", named(&problem.path), problem.problem);
            return Some(((source, line, column), told));
        }
        let (source, path) = source_of(&problem.path);
        let Source { name, text } = sources.get(source)?;
        let Place { line, column, .. } = Place::of(text, place(text, &path));
        Some(((source, line, column), format!("{name}:{line}:{column}:{} {}", named(&path), problem.problem)))
    };
    let mut placed: Vec<_> = problems.iter().filter_map(placed).collect();
    placed.sort_by_key(|(at, _)| *at);
    placed.into_iter().map(|(_, told)| told).collect()
}

/// Returns where in the file the key of a problem stands, or the table it is missing from.
fn place(text: &str, path: &str) -> usize {
    let Ok(parsed) = DeTable::parse(text) else { return 0 };
    let (mut at, mut value) = (0, &DeValue::Table(parsed.get_ref().clone()));
    for step in steps(path) {
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

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Says what a configuration would run.
fn summary(settings: &Settings) -> String {
    let (models, tenants) = (settings.models.len(), settings.tenants.len());
    let server = &settings.server;
    let auth = match server.auth {
        AuthMode::Open => "anyone on loopback".to_owned(),
        AuthMode::Keys => format!("{} keys", settings.keys.len()),
    };
    let mut told = format!("valid ({}, {})\n", count(models, "model"), count(tenants, "tenant"));
    if models == 0 && settings.unknown_models.is_none() {
        told += "  no model: every request will be refused; add [models.NAME], or [defaults] unknown_models\n";
    }
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

    fn told(text: &str, tenants: Option<&str>, error: &ConfigError) -> Vec<String> {
        let named = |name: &str, text: &str| Source { name: name.to_owned(), text: text.to_owned() };
        let sources: Vec<_> =
            [Some(named("f", text)), tenants.map(|text| named("t", text))].into_iter().flatten().collect();
        problems(&sources, error)
    }

    #[test]
    fn each_problem_stands_where_it_is() {
        let text = "[providers.lab]\nkind = \"opnai\"\n\n[models.\"a.b\"]\nroutes = [\n  { provider = \"lab\" },\n  \
                    { provider = \"lob\" },\n]\nwindow = { min = 9, max = 3 }\n[tiers.t]\n  weight = 0\n";
        let error = Config::from_toml(text).and_then(|config| config.validate()).expect_err("wrong");
        let found = told(text, None, &error);
        let places: Vec<_> = found.iter().map(|line| line.split(' ').next().unwrap_or_default()).collect();
        assert_eq!(places, ["f:1:12:", "f:2:1:", "f:7:5:", "f:9:12:", "f:11:3:"], "{found:#?}");
        assert!(found[2].contains("models.\"a.b\".routes[1].provider: \"lob\""), "{found:#?}");

        let text = "[server]\nlissten = \"x\"";
        let error = Config::from_toml(text).expect_err("an unknown key");
        let found = told(text, None, &error);
        assert!(found[0].starts_with("f:2:1: server.lissten: unknown field"), "{found:?}");
        // What is missing is missed where it should be.
        let text = "\n[models.m]\n";
        let error = Config::from_toml(text).and_then(|config| config.validate()).expect_err("no route");
        assert!(told(text, None, &error)[0].starts_with("f:2:9: models.\"m\".routes"));
    }

    #[test]
    fn problems_of_the_tenants_file_stand_there() {
        let tenants = "[tenants.a]\n\n[tenants.b]\ntier = \"gold\"\n";
        let wrong =
            |path: &str, problem: &str| Problem { path: path.to_owned(), problem: problem.to_owned(), place: None };
        let both = [wrong("t: tenants.\"b\".tier", "\"gold\" is no tier"), wrong("models.\"m\".routes", "none")];
        let found = told("[models.m]", Some(tenants), &ConfigError::Invalid(both.into()));
        assert_eq!(found, ["f:1:9: models.\"m\".routes: none", "t:4:1: tenants.\"b\".tier: \"gold\" is no tier"]);
        let place = Some(Place { file: Some("t".into()), line: 2, column: 3 });
        let unread = Problem { place, ..wrong("tenants.a.x", "unknown") };
        assert_eq!(told("", Some(tenants), &ConfigError::Invalid(vec![unread])), ["t:2:3: tenants.a.x: unknown"]);
    }
}
