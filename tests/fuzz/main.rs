//! The corpora of the fuzzers, over the parsers as they are: what once broke one stays mended.
#![cfg(all(feature = "runware", feature = "websocket"))]

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
