//! The house rules of `src`: imports run downward, `core` knows only std and itself, and files stay short.

use std::fs;
use std::path::{Path, PathBuf};

/// Each room with its rank. A room imports itself and rooms of a lower rank.
const RANKS: [(&str, u32); 16] = [
    ("core", 0),
    ("clock", 1),
    ("task", 1),
    ("config", 1),
    ("wire", 2),
    ("sim", 2),
    ("contract", 3),
    ("engine", 4),
    ("actor", 5),
    ("handle", 6),
    ("provider", 7),
    ("tower", 7),
    ("jobs", 8),
    ("telemetry", 8),
    ("gateway", 9),
    ("cli", 10),
];
/// Most lines of a file.
const MOST_LINES: usize = 500;

fn rank(room: &str) -> Option<u32> {
    RANKS.iter().find(|(name, _)| *name == room).map(|(_, rank)| *rank)
}

/// Returns the room that a name at the crate's root belongs to: a module, or what `lib.rs` re-exports.
fn room_of(name: &str) -> &str {
    match name {
        "Class" => "core",
        "Config" => "config",
        "ProviderFactory" | "Streams" => "contract",
        "capacity" | "events" | "learned" | "operator" | "stats" | "witness" | "Error" | "Plan" | "Reason"
        | "Receipt" => "engine",
        name if rank(name).is_some() => name,
        _ => "handle",
    }
}

/// A piece of code and its line: a word, `::`, or one sign.
struct Token {
    text: String,
    line: usize,
}

/// Cuts code into tokens, without comments, strings and character literals.
fn tokens(code: &str) -> Vec<Token> {
    let chars: Vec<char> = code.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let (mut found, mut line, mut i) = (Vec::new(), 1, 0);
    while i < chars.len() {
        let start = i;
        let mut text = String::new();
        match at(i) {
            '/' if at(i + 1) == '/' => i += chars[i..].iter().take_while(|c| **c != '\n').count(),
            '/' if at(i + 1) == '*' => {
                let mut depth = 0;
                while i < chars.len() {
                    match (at(i), at(i + 1)) {
                        ('/', '*') => (depth, i) = (depth + 1, i + 2),
                        ('*', '/') => (depth, i) = (depth - 1, i + 2),
                        _ => i += 1,
                    }
                    if depth == 0 {
                        break;
                    }
                }
            }
            '"' => {
                i += 1;
                while i < chars.len() && at(i) != '"' {
                    i += if at(i) == '\\' { 2 } else { 1 };
                }
                i += 1;
            }
            '\'' if at(i + 1) == '\\' => {
                i += 3;
                i += chars[i.min(chars.len())..].iter().take_while(|c| **c != '\'').count() + 1;
            }
            '\'' if at(i + 2) == '\'' => i += 3,
            ':' if at(i + 1) == ':' => {
                text.push_str("::");
                i += 2;
            }
            c if is_word(c) => {
                text = chars[i..].iter().copied().take_while(|c| is_word(*c)).collect();
                i += text.chars().count();
                let hashes = chars[i..].iter().take_while(|c| **c == '#').count();
                if text.ends_with('r') && text.len() <= 2 && at(i + hashes) == '"' {
                    // A raw string ends at a quote with as many hashes as it began with.
                    i += hashes + 1;
                    let closes = |i: usize| at(i) == '"' && (1..=hashes).all(|n| at(i + n) == '#');
                    while i < chars.len() && !closes(i) {
                        i += 1;
                    }
                    i += hashes + 1;
                    text.clear();
                }
            }
            c => {
                if !c.is_whitespace() {
                    text.push(c);
                }
                i += 1;
            }
        }
        i = i.min(chars.len());
        if !text.is_empty() {
            found.push(Token { text, line });
        }
        line += chars[start..i].iter().filter(|c| **c == '\n').count();
    }
    found
}

/// Reads one `use` tree from `i` on and adds each path in it.
fn use_tree(tokens: &[Token], i: &mut usize, mut path: Vec<String>, paths: &mut Vec<Vec<String>>) {
    loop {
        match tokens.get(*i).map(|token| token.text.as_str()) {
            None | Some(";" | "," | "}") => return paths.push(path),
            Some("::") => *i += 1,
            Some("as") => *i += 2,
            Some("{") => {
                *i += 1;
                while tokens.get(*i).is_some_and(|token| token.text != "}" && token.text != ";") {
                    use_tree(tokens, i, path.clone(), paths);
                    *i += usize::from(tokens.get(*i).is_some_and(|token| token.text == ","));
                }
                *i += 1;
                return;
            }
            Some(word) => {
                path.push(word.to_owned());
                *i += 1;
            }
        }
    }
}

/// Returns the names of the crates that the manifest depends on, as code spells them.
fn dependencies() -> Vec<String> {
    let manifest = include_str!("../Cargo.toml");
    let section = manifest.lines().skip_while(|line| *line != "[dependencies]").skip(1);
    let lines = section.take_while(|line| !line.starts_with('['));
    lines.filter_map(|line| Some(line.split_once(" = ")?.0.trim().replace('-', "_"))).collect()
}

/// Returns what is wrong with the imports of one file, `path` being relative to `src`.
fn violations(path: &str, text: &str) -> Vec<String> {
    let mut home: Vec<&str> = path.trim_end_matches(".rs").split('/').collect();
    if home.last() == Some(&"mod") {
        home.pop();
    }
    let room = home[0];
    if path == "lib.rs" || path == "main.rs" || (path.ends_with("/tests.rs") && room != "core") {
        return Vec::new();
    }
    let Some(own) = rank(room) else { return vec![format!("{path}: the room `{room}` has no rank; give it one")] };
    let (tokens, dependencies) = (tokens(text), dependencies());
    let word = |i: usize| tokens.get(i).map_or("", |token| token.text.as_str());
    let declared = |name: &str| (1..tokens.len()).any(|i| word(i - 1) == "mod" && word(i) == name);
    let mut wrong = Vec::new();
    // Modules written inside the file, each with the depth of its brace.
    let mut inner: Vec<(&str, usize)> = Vec::new();
    let (mut depth, mut i) = (0_usize, 0);
    while i < tokens.len() {
        let line = tokens[i].line;
        let mut paths = Vec::new();
        let is_use = word(i) == "use" && word(i + 1) != "<";
        let is_path = word(i + 1) == "::" && (i == 0 || word(i - 1) != "::");
        if is_use {
            i += 1;
            use_tree(&tokens, &mut i, Vec::new(), &mut paths);
        } else if is_path {
            let mut segments = vec![word(i).to_owned()];
            while word(i + 1) == "::" {
                segments.push(word(i + 2).to_owned());
                i += 2;
            }
            paths.push(segments);
            // The last segment may be a brace or an angle bracket: it is looked at again.
        } else {
            match word(i) {
                "{" => {
                    depth += 1;
                    if i >= 2 && word(i - 2) == "mod" {
                        inner.push((word(i - 1), depth));
                    }
                }
                "}" => {
                    inner.pop_if(|(_, opened)| *opened == depth);
                    depth = depth.saturating_sub(1);
                }
                _ => {}
            }
            i += 1;
        }
        for segments in paths {
            let first = segments.first().map_or("", String::as_str);
            let mut place: Vec<&str> = home.iter().copied().chain(inner.iter().map(|(name, _)| *name)).collect();
            match first {
                "crate" => place.clear(),
                "self" | "super" => {}
                _ => {
                    let known =
                        matches!(first, "std" | "proptest") || declared(first) || first.starts_with(char::is_uppercase);
                    let foreign = dependencies.iter().any(|name| name == first) && !declared(first);
                    if room == "core" && ((is_use && !known) || foreign) {
                        wrong.push(format!(
                            "{path}:{line}: core uses `{}`; it may use only std and itself",
                            segments.join("::")
                        ));
                    }
                    continue;
                }
            }
            for segment in &segments {
                match segment.as_str() {
                    "super" => drop(place.pop()),
                    "crate" | "self" => {}
                    name => place.push(name),
                }
            }
            let Some(name) = place.first() else { continue };
            let target = room_of(name);
            if target != room && rank(target).is_some_and(|rank| rank >= own) {
                wrong.push(format!("{path}:{line}: {room} imports `{}`, which is not below it", segments.join("::")));
            }
        }
    }
    wrong
}

/// Returns every Rust file below `directory`.
fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory that can be read") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// Returns each file of `src`: its path there, and its text.
fn sources() -> Vec<(String, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let read = |file: PathBuf| {
        let path = file.strip_prefix(&src).expect("a path in src").to_string_lossy().replace('\\', "/");
        (path, fs::read_to_string(&file).expect("a text"))
    };
    rust_files(&src).into_iter().map(read).collect()
}

#[test]
fn imports_run_downward() {
    let sources = sources();
    assert!(sources.iter().any(|(path, _)| path == "core/mod.rs"), "the scan must see the sources");
    let wrong: Vec<String> = sources.iter().flat_map(|(path, text)| violations(path, text)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_are_short() {
    let mut lines: Vec<(usize, String)> =
        sources().into_iter().map(|(path, text)| (text.lines().count(), path)).collect();
    lines.sort();
    println!("{} files, median {} lines", lines.len(), lines[lines.len() / 2].0);
    let long: Vec<_> = lines.iter().filter(|(lines, _)| *lines > MOST_LINES).collect();
    assert!(long.is_empty(), "over {MOST_LINES} lines: {long:?}");
}

#[test]
fn every_key_of_the_configuration_is_explained() {
    let tuning = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/TUNING.md")).expect("it is there");
    let mut keys = 0;
    for (path, text) in sources().into_iter().filter(|(path, _)| path.starts_with("config/")) {
        // What the file is read into: a struct that derives `Deserialize`, with its public fields.
        for item in
            text.split("#[derive(").skip(1).filter(|item| item.split(')').next().unwrap_or("").contains("Deserialize"))
        {
            let body = item.split("\n}").next().unwrap_or("");
            let fields = body.lines().zip(body.lines().skip(1)).filter(|(above, _)| !above.contains("serde(skip)"));
            for key in fields.filter_map(|(_, line)| line.strip_prefix("    pub ")?.split_once(':')).map(|(key, _)| key)
            {
                let forms = [format!("`{key}`"), format!(".{key}`"), format!("`{key}."), format!("`[{key}")];
                assert!(forms.iter().any(|form| tuning.contains(form)), "{path}: `{key}` is not in docs/TUNING.md");
                keys += 1;
            }
        }
    }
    assert!(keys > 80, "only {keys} were found");
}

#[test]
fn upward_imports_are_seen() {
    let bad = "
        use std::{fmt, sync::Arc};
        use crate::{core::time::Time, actor::{run, lease as l}};
        fn f() { crate::gateway::serve(); }
        use super::super::task::Task;
        pub(crate) use tokio::time::sleep;
        fn g() { serde_json::to_string(\"use crate::cli;\"); }
        use crate::Fairflow;
        mod inner { use super::super::time; use super::super::super::config; }
    ";
    let wrong = violations("core/pacer.rs", bad);
    let lines: Vec<&str> = wrong.iter().filter_map(|one| one.split(':').nth(1)).collect();
    assert_eq!(lines, ["3", "3", "4", "5", "6", "7", "8", "9"], "{wrong:#?}");

    assert_eq!(violations("task/mod.rs", "use crate::config::Config;").len(), 1, "siblings");
    assert_eq!(violations("actor/run.rs", "use super::super::provider::Sim;").len(), 1, "by super");
    assert_eq!(violations("provider/sim.rs", "use crate::{gateway, cli};").len(), 2, "in a group");
    assert_eq!(violations("attic/mod.rs", "").len(), 1, "a room without a rank");
}

#[test]
fn downward_imports_pass() {
    let good = r##"
        //! See [`Fairflow`](crate::Fairflow).
        mod state;
        use state::State;
        use self::Phase::*;
        use super::time::Time;
        use crate::core::cost::{self, Cost};
        /* use crate::actor; /* nested */ use tokio::main; */
        const TEXT: &str = "crate::actor"; const RAW: &str = r#"use "crate::cli""#; const QUOTE: [char; 2] = ['"', '\''];
        fn f<'a>(x: &'a str) -> impl Sized + use<'a> { std::mem::size_of_val(x) }
        #[cfg(test)] mod tests { use super::*; use proptest::prelude::*; }
    "##;
    assert_eq!(violations("core/window/mod.rs", good), Vec::<String>::new());
    let above = "use crate::{Class, Config, Error, actor::run, config, core, provider, task}; use actix_web::web;";
    assert_eq!(violations("gateway/mod.rs", above), Vec::<String>::new());
    assert_eq!(violations("cli/serve.rs", "use crate::gateway; use crate::provider;"), Vec::<String>::new());
}
