//! The pages about the inside name files that exist.

use std::fs;
use std::path::{Path, PathBuf};

use super::sources::files;

#[test]
fn pages_name_files_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources: Vec<PathBuf> = ["src", "tests"].iter().flat_map(|folder| files(&root.join(folder), "rs")).collect();
    let mut pages: Vec<PathBuf> =
        ["docs/internals", "docs/adr"].iter().flat_map(|at| files(&root.join(at), "md")).collect();
    pages.push(root.join("docs/ARCHITECTURE.md"));
    let (mut named, mut wrong) = (0, Vec::new());
    for page in pages {
        let text = fs::read_to_string(&page).expect("a text");
        for name in text.split('`').skip(1).step_by(2).filter(|name| name.ends_with(".rs") && !name.contains("NAME")) {
            named += 1;
            if !sources.iter().any(|source| source.ends_with(name)) {
                wrong.push(format!("{}: there is no `{name}`", page.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(named > 10, "only {named} were found");
}
