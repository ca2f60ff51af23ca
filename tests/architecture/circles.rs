//! No circle of imports: not inside a room, and so not over rooms either, which ranks rule out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::imports::{ALL, Import};
use super::sources::{self, Source};

type Graph<'a> = BTreeMap<&'a str, BTreeMap<&'a str, &'a Import>>;

fn graph(imports: &[Import]) -> Graph<'_> {
    let mut graph = Graph::new();
    for import in imports.iter().filter(|import| sources::room(&import.from) == sources::room(&import.to)) {
        graph.entry(&import.from).or_default().entry(&import.to).or_insert(import);
    }
    graph
}

/// Returns the shortest way along imports from a file back to itself.
fn circle<'a>(graph: &Graph<'a>, start: &str) -> Option<Vec<&'a Import>> {
    let mut ways: VecDeque<(&str, Vec<&Import>)> = VecDeque::from([(start, Vec::new())]);
    let mut seen = BTreeSet::new();
    while let Some((at, way)) = ways.pop_front() {
        for (to, import) in graph.get(at).into_iter().flatten() {
            let way = [way.clone(), vec![*import]].concat();
            if *to == start {
                return Some(way);
            }
            if seen.insert(*to) {
                ways.push_back((to, way));
            }
        }
    }
    None
}

/// Returns each file that is in a circle, with the shortest one.
fn circles(imports: &[Import]) -> BTreeMap<&str, Vec<&Import>> {
    let graph = graph(imports);
    graph.keys().filter_map(|file| Some((*file, circle(&graph, file)?))).collect()
}

fn told(circle: &[&Import]) -> String {
    let room = sources::room(&circle[0].from);
    let steps: Vec<String> = circle
        .iter()
        .map(|Import { from, line, name, to, .. }| format!("    {from}:{line} takes `{name}` of {to}"))
        .collect();
    let things: BTreeSet<String> = circle.iter().map(|import| format!("`{}`", import.name)).collect();
    let things = things.into_iter().collect::<Vec<_>>().join(" or ");
    format!(
        "a circle in {room}:\n{}\n  One of these imports has to go: {things} could live in a file of its own that both \
         sides import, or be handed over as an argument.",
        steps.join("\n")
    )
}

#[test]
fn no_room_has_a_circle() {
    let circles = circles(&ALL.0);
    let mut wrong = Vec::new();
    let mut shown = BTreeSet::new();
    for circle in circles.values() {
        let files = circle.iter().map(|import| &import.from);
        if files.filter(|file| shown.insert(*file)).count() > 0 {
            wrong.push(told(circle));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Returns what made-up files take from each other.
fn imports(files: &[(&str, &str)]) -> Vec<Import> {
    let sources: Vec<Source> = files.iter().map(|(path, text)| Source::new(path, text)).collect();
    super::imports::imports(&sources).0
}

#[test]
fn circles_are_seen_and_told() {
    let imports = imports(&[
        ("sim/mod.rs", "mod a; mod b; mod c; pub use a::A; pub use b::B;"),
        ("sim/a.rs", "use super::B;\npub struct A(B);"),
        ("sim/b.rs", "pub struct B;\nfn f() { super::c::go(); }"),
        ("sim/c.rs", "use crate::sim::{A as Other};\npub fn go() {}"),
        ("sim/d.rs", "use super::a::A;"),
    ]);
    let circles = circles(&imports);
    assert_eq!(circles.keys().copied().collect::<Vec<_>>(), ["sim/a.rs", "sim/b.rs", "sim/c.rs"]);
    let told = told(&circles["sim/a.rs"]);
    for part in
        ["sim/a.rs:1 takes `B` of sim/b.rs", "sim/b.rs:2 takes `go` of sim/c.rs", "sim/c.rs:1 takes `A` of sim/a.rs"]
    {
        assert!(told.contains(part), "{told}");
    }
}

#[test]
fn a_folder_that_only_passes_on_is_in_no_circle() {
    let image = ("task/image.rs", "pub struct Image;");
    let text = "use super::Image; pub struct Text(Image); #[cfg(test)] mod tests { use crate::task::*; }";
    let passes_on = "mod image; mod text; pub use image::Image; pub use text::Text;";
    assert_eq!(circles(&imports(&[("task/mod.rs", passes_on), image, ("task/text.rs", text)])).len(), 0);
    let uses = "mod image; mod text; pub use text::Text; use image::Image; pub struct All(Text, Image);";
    let back = "use super::All; pub struct Text;";
    assert_eq!(circles(&imports(&[("task/mod.rs", uses), image, ("task/text.rs", back)])).len(), 2);
}
