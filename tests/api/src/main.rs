//! Holds the library's public face against `docs/api.txt`, so that a change of it is seen in review, and against the
//! crates whose types may stand in it, so that no other crate's major version becomes ours.
//!
//! `tests/api/run` checks; `tests/api/run --renew` writes the file anew.

use std::collections::BTreeSet;
use std::error::Error;
use std::path::Path;
use std::process::{Command, ExitCode};

use public_api::tokens::Token;
use public_api::{Builder, PublicApi};

/// Crates whose types embedders meet, beside Rust's own; `src/lib.rs` tells them.
const PUBLIC: &[&str] = &["bytes", "futures_core", "secrecy", "serde_core", "serde_json", "tokio"];
/// Features with the crates that each adds to them; actix comes to those only who ask for its messages.
const FACES: &[(&str, &[&str])] = &[
    ("", &[]),
    ("tower", &["http", "tower_layer", "tower_service"]),
    ("actix-messages", &["actix"]),
    ("testing", &[]),
    ("simulator", &[]),
    ("gateway,openai,runware,task,websocket", &[]),
    ("otlp", &[]),
];

/// Reads the face that the library has with some features.
fn face(root: &Path, features: &str) -> Result<PublicApi, Box<dyn Error>> {
    let target = root.join("target/api");
    // By name, as a user starts it: rustup then holds one toolchain also for crates that come with a `rust-toolchain.toml`.
    let done = Command::new("cargo")
        .args(["rustdoc", "--quiet", "--locked", "--lib", "--no-default-features", "--features", features])
        .args(["--manifest-path".as_ref(), root.join("Cargo.toml").as_os_str()])
        .args(["--target-dir".as_ref(), target.as_os_str()])
        .args(["--", "-Zunstable-options", "--output-format", "json"])
        // The format is not stable yet; so the stable toolchain writes it all the same.
        .env("RUSTC_BOOTSTRAP", "1")
        .status()?;
    if !done.success() {
        return Err(format!("rustdoc failed with the features {features:?}").into());
    }
    let json = Builder::from_rustdoc_json(target.join("doc/fairflow.json"));
    Ok(json.omit_blanket_impls(true).omit_auto_trait_impls(true).omit_auto_derived_impls(true).build()?)
}

/// Returns the crates that are named in a face, each with an item that does.
fn crates(face: &PublicApi) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for item in face.items() {
        let tokens: Vec<&Token> = item.tokens().collect();
        for (place, token) in tokens.iter().enumerate() {
            let begins = place == 0 || tokens[place - 1].text() != "::";
            let goes_on = tokens.get(place + 1).is_some_and(|next| next.text() == "::");
            if begins && goes_on && token.text().starts_with(|first: char| first.is_ascii_lowercase()) {
                found.push((token.text().to_owned(), item.to_string()));
            }
        }
    }
    found
}

/// Returns each line of `docs/api.txt` with the heading that it stands under.
fn under_headings(text: &str) -> BTreeSet<(&str, &str)> {
    let mut heading = "";
    let mut lines = BTreeSet::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        if line.starts_with("# with ") {
            heading = line;
        } else {
            lines.insert((heading, line));
        }
    }
    lines
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let file = root.join("docs/api.txt");
    let renew = std::env::args().any(|argument| argument == "--renew");
    let mut wrong = BTreeSet::new();
    // Each line of the first face, then what other features add to those before, under a heading.
    let (mut now, mut told) = (String::new(), BTreeSet::<String>::new());
    for (features, more) in FACES {
        let face = face(&root, features)?;
        for (name, item) in crates(&face) {
            let ours = ["alloc", "core", "fairflow", "std"].contains(&name.as_str());
            if !ours && !PUBLIC.contains(&name.as_str()) && !more.contains(&name.as_str()) {
                wrong.insert(format!("with the features {features:?}, `{name}` stands in the public face: {item}"));
            }
        }
        if !features.is_empty() {
            now.push_str(&format!("\n# with {features}\n"));
        }
        let own: Vec<String> = face.items().map(|item| item.to_string()).filter(|line| !told.contains(line)).collect();
        own.iter().for_each(|line| now.push_str(&format!("{line}\n")));
        told.extend(own);
    }
    if renew {
        std::fs::write(&file, now)?;
    } else {
        let before = std::fs::read_to_string(&file)?;
        let (old, new): (BTreeSet<_>, BTreeSet<_>) = (under_headings(&before), under_headings(&now));
        wrong.extend(old.difference(&new).map(|(heading, item)| format!("- {item} {heading}")));
        wrong.extend(new.difference(&old).map(|(heading, item)| format!("+ {item} {heading}")));
    }
    wrong.iter().for_each(|line| eprintln!("{line}"));
    if wrong.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!(
        "the public face has changed: where it was meant to, `tests/api/run --renew` and CHANGELOG; else mend it"
    );
    Ok(ExitCode::FAILURE)
}
