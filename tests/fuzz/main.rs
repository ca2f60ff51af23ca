//! Whatever the network brings, over the parsers as they are: the corpora of the fuzzers, so that what once broke one
//! stays mended, and made-up input.
#![cfg(all(feature = "runware", feature = "websocket"))]
#![allow(clippy::unwrap_used, reason = "a test")]

mod parsers;
mod targets;

use std::path::Path;

#[test]
fn the_corpora_pass() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    for (name, target) in targets::TARGETS {
        let files: Vec<_> =
            std::fs::read_dir(corpora.join(name)).expect("a corpus").map(|file| file.expect("one").path()).collect();
        assert!(!files.is_empty(), "{name} has no corpus");
        for file in files {
            let data = std::fs::read(&file).expect("a file");
            for end in [data.len(), data.len() / 2] {
                target(&data[..end]);
            }
        }
    }
}
