//! The rooms of `src` and their ranks: a room imports itself and rooms of a lower rank.

use super::imports::{ALL, Foreign, Import, imports};
use super::sources::{self, Source};

/// Each room with its rank. A folder inside a room that stands here is a room of its own.
const RANKS: [(&str, u32); 21] = [
    ("core", 0),
    ("wording", 0),
    ("clock", 1),
    ("task", 1),
    ("config", 1),
    ("wire", 2),
    ("sim", 2),
    ("contract", 3),
    ("engine/view", 4),
    ("engine/ticket", 5),
    ("engine/shared", 6),
    ("engine/caller", 7),
    ("actor", 8),
    ("handle", 9),
    ("provider", 10),
    ("tower", 10),
    ("testing", 10),
    ("jobs", 11),
    ("telemetry", 11),
    ("gateway", 12),
    ("cli", 13),
];
/// What `core` may not use of std: clocks, randomness and the outside.
const OUTSIDE: [&str; 8] = [
    "std::env",
    "std::fs",
    "std::io",
    "std::net",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
];

/// Returns the room of a file and its rank.
fn ranked(path: &str) -> Option<(&'static str, u32)> {
    let holds = |room: &str| {
        path.strip_prefix(room).is_some_and(|rest| rest.is_empty() || rest == ".rs" || rest.starts_with('/'))
    };
    RANKS.into_iter().filter(|(room, _)| holds(room)).max_by_key(|(room, _)| room.len())
}

/// Says which import climbs, and where the thing could live instead.
fn climbs(import: &Import) -> Option<String> {
    let ((from, own), (to, other)) = (ranked(&import.from)?, ranked(&import.to)?);
    if from == to || other < own {
        return None;
    }
    let Import { from: file, line, path, name, .. } = import;
    let below: Vec<&str> = RANKS.into_iter().filter(|(_, rank)| *rank < own).map(|(room, _)| room).collect();
    let mut places: Vec<String> = Vec::new();
    if own < other {
        places.push(format!("in {from} itself"));
    }
    if !below.is_empty() {
        places.push(format!("in a room below both ({})", below.join(", ")));
    }
    let places =
        if places.is_empty() { String::new() } else { format!("`{name}` could live {}; or ", places.join(", or ")) };
    Some(format!(
        "{file}:{line}: {from} imports `{path}` of {to}, which is not below it. {places}{to} hands over what {from} needs, \
         as an argument or behind a trait of {from}."
    ))
}

/// Says what a file of `core` uses beside std and core.
fn leaves_core(foreign: &Foreign) -> Option<String> {
    let Foreign { from, line, path, is_use } = foreign;
    let first = path.trim_start_matches("::").split("::").next().unwrap_or(path);
    let is_std = first == "std" && !OUTSIDE.iter().any(|outside| path.starts_with(outside));
    // In code, a first word that is no crate is a type, or what a macro binds.
    let is_crate = *is_use || first == "std" || dependencies().any(|name| name == first);
    (sources::room(from) == "core" && is_crate && !is_std).then(|| {
        format!("{from}:{line}: core uses `{path}`; it may use only itself and std without clocks, randomness and IO")
    })
}

/// Returns the names of the crates that the manifest depends on, as code spells them.
fn dependencies() -> impl Iterator<Item = String> {
    let manifest = include_str!("../../Cargo.toml").lines();
    let section =
        manifest.skip_while(|line| *line != "[dependencies]").skip(1).take_while(|line| !line.starts_with('['));
    section.filter_map(|line| Some(line.split_once(" = ")?.0.trim().replace('-', "_")))
}

fn violations(sources: &[Source], (imports, foreign): &(Vec<Import>, Vec<Foreign>)) -> Vec<String> {
    let files = sources
        .iter()
        .map(|source| &*source.path)
        .filter(|path| !["lib.rs", "main.rs", "engine/mod.rs"].contains(path));
    let homeless = files.filter(|path| ranked(path).is_none());
    let homeless = homeless.map(|path| format!("{path}: the room `{}` has no rank; give it one", sources::room(path)));
    homeless.chain(imports.iter().filter_map(climbs)).chain(foreign.iter().filter_map(leaves_core)).collect()
}

#[test]
fn imports_run_downward() {
    let wrong = violations(&sources::all(), &ALL);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Returns the lines of `path` that are wrong, beside files that have what it imports.
fn wrong_lines(path: &str, text: &str) -> Vec<usize> {
    let files = [
        ("lib.rs", "pub use actor::handle::Fairflow; pub use core::Class;"),
        ("core/mod.rs", "pub mod time; pub struct Class;"),
        ("core/time.rs", "pub struct Time;"),
        ("config/mod.rs", "pub struct Config;"),
        ("task/mod.rs", "mod image; pub use image::Task;"),
        ("task/image.rs", "pub struct Task;"),
        ("actor/mod.rs", "pub mod handle; pub mod run;"),
        ("actor/run.rs", "pub struct Spec; pub fn run() {}"),
        ("actor/handle.rs", "pub struct Fairflow;"),
        ("provider/mod.rs", "pub struct Sim;"),
        ("gateway/mod.rs", "pub fn serve() {}"),
        ("cli/mod.rs", "pub fn cli() {}"),
    ];
    let mut sources: Vec<Source> =
        files.into_iter().filter(|(file, _)| *file != path).map(|(path, text)| Source::new(path, text)).collect();
    sources.push(Source::new(path, text));
    let wrong = violations(&sources, &imports(&sources));
    wrong.iter().filter_map(|wrong| wrong.strip_prefix(path)?.split(':').nth(1)?.parse().ok()).collect()
}

#[test]
fn upward_imports_are_seen() {
    let bad = "
        use std::{fmt, sync::Arc};
        use crate::{core::time::Time, actor::{run, run::Spec as S}};
        fn f() { crate::gateway::serve(); run::run(); }
        use super::super::task::Task;
        pub(crate) use tokio::time::sleep;
        fn g() { serde_json::to_string(\"use crate::cli;\"); }
        use crate::Fairflow;
        mod inner { use super::super::time::Time; use super::super::super::config::Config; }
        fn h() { assert!(crate::cli::cli() == 1); std::time::Instant::now(); }
        use std::fs;
    ";
    assert_eq!(wrong_lines("core/pacer.rs", bad), [3, 4, 4, 5, 8, 9, 10, 6, 7, 10, 11]);
    assert_eq!(wrong_lines("task/mod.rs", "use crate::config::Config;"), [1], "siblings");
    assert_eq!(wrong_lines("actor/watch.rs", "use super::super::provider::Sim;"), [1], "by super");
    assert_eq!(wrong_lines("provider/sim.rs", "use crate::{gateway::serve, cli::cli};"), [1, 1], "in a group");
    let attic = [Source::new("attic/mod.rs", "")];
    let homeless = violations(&attic, &imports(&attic));
    assert_eq!(homeless, ["attic/mod.rs: the room `attic` has no rank; give it one"]);
}

#[test]
fn downward_imports_pass() {
    let good = r##"
        //! See [`Fairflow`](crate::Fairflow).
        mod state { pub enum Phase { Open } }
        use state::Phase;
        use self::Phase::*;
        use super::time::Time;
        use crate::core::time::{self};
        /* use crate::actor; /* nested */ use tokio::main; */
        const TEXT: &str = "crate::actor"; const RAW: &str = r#"use "crate::cli""#; const QUOTE: [char; 2] = ['"', '\''];
        fn f<'a>(x: &'a str) -> impl Sized + use<'a> { std::mem::size_of_val(x) }
        #[cfg(test)] mod tests { use super::*; use proptest::prelude::*; use crate::actor::run::Spec; }
    "##;
    assert_eq!(wrong_lines("core/window/mod.rs", good), []);
    assert_eq!(
        wrong_lines("gateway/mod.rs", "use crate::{Class, Fairflow, actor::run, task}; use actix_web::web;"),
        []
    );
    assert_eq!(wrong_lines("cli/serve.rs", "use crate::gateway::serve; use crate::provider::Sim;"), []);
}

#[test]
fn a_message_says_where_the_thing_could_live() {
    let files = [("core/mod.rs", "use crate::config::Config;"), ("config/mod.rs", "pub struct Config;")];
    let sources = files.map(|(path, text)| Source::new(path, text));
    let wrong = violations(&sources, &imports(&sources));
    assert_eq!(
        wrong,
        ["core/mod.rs:1: core imports `crate::config::Config` of config, which is not below it. `Config` could \
        live in core itself; or config hands over what core needs, as an argument or behind a trait of core."]
    );
}
