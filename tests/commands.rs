//! What the commands say of input that is wrong: which, why, and what to do; with status 2, before any work.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// Runs `fairflow` with an empty standard input; returns its status and what it complained of.
fn fairflow(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fairflow"));
    let output = command.args(arguments).stdin(Stdio::null()).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn wrong_input_is_named_with_its_remedy() {
    for (arguments, named) in [
        (&["replay", "no-such-trace.csv"][..], &["no-such-trace.csv"][..]),
        (&["replay", "Cargo.toml"], &["Cargo.toml", "Azure LLM inference"]),
        (&["replay", "Cargo.toml", "--speed", "0"], &["--speed 0", "0.001 to 1000000"]),
        (&["simulate", "no-such-scenario"], &["no-such-scenario", "--list"]),
        (&["simulate", "cap-24", "--seeds", "0"], &["--seeds 0", "from 1"]),
        (&["simulate", "cap-24", "--out", "Cargo.toml"], &["--out Cargo.toml", "another folder"]),
        (&["serve", "--config", "no-such.toml"], &["no-such.toml"]),
        (&["serve", "--listen", "0.0.0.0:0"], &["server.auth", "auth = \"keys\""]),
        (&["hash-key"], &["no key", "printf"]),
        (&["simulat"], &["simulate"]),
    ] {
        let (status, said) = fairflow(arguments);
        assert_eq!(status, Some(2), "{arguments:?} said {said}");
        assert!(named.iter().all(|part| said.contains(part)), "{arguments:?} said {said}");
    }
}

#[test]
fn a_reader_that_has_gone_ends_nothing() {
    let (closed, output) = std::io::pipe().unwrap();
    drop(closed);
    let mut listing = Command::new(env!("CARGO_BIN_EXE_fairflow"));
    let status = listing.args(["simulate", "--list"]).stdout(output.try_clone().unwrap()).status().unwrap();
    assert_eq!(status.code(), Some(0));

    let mut serve = Command::new(env!("CARGO_BIN_EXE_fairflow"));
    serve.args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]).env("RUST_LOG", "info");
    let mut serve = serve.stdout(output).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(serve.stderr.take().unwrap()).lines();
    let ports = log.by_ref().map_while(Result::ok).filter(|line| line.contains("listening on")).take(2).count();
    assert_eq!(ports, 2, "it serves");
    // Its addresses were printed before the servers began; it has survived that, and drains.
    let killed = Command::new("kill").arg(serve.id().to_string()).status().unwrap();
    let rest: Vec<_> = log.map_while(Result::ok).collect();
    assert_eq!((killed.success(), serve.wait().unwrap().code()), (true, Some(0)), "{rest:#?}");
}
