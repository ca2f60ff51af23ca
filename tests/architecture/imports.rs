//! What each file takes from which: `use` trees and inline paths, followed through re-exports to the file that has the
//! thing. So a folder's `mod.rs` that only re-exports stands between nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{ImplItem, Item, ItemMod, ItemUse, Macro, UseTree, Visibility};

use super::sources::{self, Source, attributes, is_for_tests, name};

type Path = Vec<String>;

/// One thing that a file takes from another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Import {
    pub from: String,
    pub line: usize,
    /// As it is written.
    pub path: String,
    /// Its name where it is defined.
    pub name: String,
    pub to: String,
}

/// A path of another crate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    pub from: String,
    pub line: usize,
    pub path: String,
    /// Stands in a `use`, so that its first word is certainly a crate.
    pub is_use: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// `use`, which the compiler wants to be used.
    Use,
    /// `pub use` and its kin.
    Reexport,
    Inline,
}

/// A path as it stands in a module.
struct Found {
    module: Path,
    path: Path,
    /// The name that a `use` gives it.
    alias: String,
    line: usize,
    kind: Kind,
}

#[derive(Default)]
struct Module {
    file: String,
    items: BTreeSet<String>,
    /// What is imported under a name; what comes from other crates too.
    names: BTreeMap<String, Path>,
    globs: Vec<Path>,
    /// First words of the paths that stand in it.
    used: BTreeSet<String>,
}

/// What the files of `src` take from each other and from other crates.
pub static ALL: LazyLock<(Vec<Import>, Vec<Foreign>)> = LazyLock::new(|| imports(&sources::all()));

/// Returns all that the files take from each other and from other crates, without what only tests do.
pub fn imports(sources: &[Source]) -> (Vec<Import>, Vec<Foreign>) {
    let mut reader = Reader::default();
    let sources = sources.iter().filter(|source| source.path != "main.rs");
    let parsed: Vec<(&Source, syn::File)> = sources.map(|source| (source, source.parse())).collect();
    let for_tests: BTreeSet<Path> = parsed.iter().flat_map(|(source, tree)| test_modules(source, tree)).collect();
    for (source, tree) in &parsed {
        let module = source.module();
        if (1..=module.len()).any(|length| for_tests.contains(&module[..length])) {
            continue;
        }
        reader.enter(&source.path, module.clone());
        reader.visit_file(tree);
    }
    reader.finish()
}

/// Returns the modules in files of their own that are for tests only.
fn test_modules(source: &Source, tree: &syn::File) -> Vec<Path> {
    let declared = tree.items.iter().filter_map(|item| match item {
        Item::Mod(item) if item.content.is_none() && is_for_tests(&item.attrs) => Some(item.ident.to_string()),
        _ => None,
    });
    declared.map(|name| [source.module(), vec![name]].concat()).collect()
}

#[derive(Default)]
struct Reader {
    modules: BTreeMap<Path, Module>,
    found: Vec<Found>,
    at: Path,
}

impl Reader {
    fn enter(&mut self, file: &str, module: Path) {
        self.modules.entry(module.clone()).or_default().file = file.to_owned();
        self.at = module;
    }

    fn here(&mut self) -> &mut Module {
        self.modules.entry(self.at.clone()).or_default()
    }

    fn add(&mut self, path: Path, alias: String, line: usize, kind: Kind) {
        let module = self.at.clone();
        self.found.push(Found { module, path, alias, line, kind });
    }

    fn tree(&mut self, tree: &UseTree, mut path: Path, kind: Kind) {
        match tree {
            UseTree::Path(tree) => {
                path.push(tree.ident.to_string());
                self.tree(&tree.tree, path, kind);
            }
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.tree(tree, path.clone(), kind)),
            UseTree::Name(tree) => self.leaf(path, &tree.ident, &tree.ident, kind),
            UseTree::Rename(tree) => self.leaf(path, &tree.ident, &tree.rename, kind),
            UseTree::Glob(glob) => {
                let line = glob.star_token.spans[0].start().line;
                self.here().globs.push(path.clone());
                self.add(path, String::from("*"), line, kind);
            }
        }
    }

    fn leaf(&mut self, mut path: Path, ident: &Ident, alias: &Ident, kind: Kind) {
        if ident != "self" {
            path.push(ident.to_string());
        }
        let alias = if alias == "self" { path.last().cloned().unwrap_or_default() } else { alias.to_string() };
        self.here().names.insert(alias.clone(), path.clone());
        self.add(path, alias, ident.span().start().line, kind);
    }

    fn inline(&mut self, path: Path, line: usize) {
        self.here().used.extend(path.first().cloned());
        if path.len() > 1 {
            self.add(path, String::new(), line, Kind::Inline);
        }
    }

    /// Reads what looks like paths in a macro's tokens.
    fn tokens(&mut self, tokens: TokenStream) {
        let (mut path, mut line, mut colons) = (Path::new(), 0, 0);
        for token in tokens {
            match token {
                TokenTree::Ident(ident) if colons == 2 && !path.is_empty() => path.push(ident.to_string()),
                TokenTree::Ident(ident) => {
                    self.inline(std::mem::take(&mut path), line);
                    (path, line) = (vec![ident.to_string()], ident.span().start().line);
                }
                TokenTree::Punct(sign) if sign.as_char() == ':' => {
                    colons += 1;
                    continue;
                }
                TokenTree::Group(group) => {
                    self.inline(std::mem::take(&mut path), line);
                    self.tokens(group.stream());
                }
                _ => self.inline(std::mem::take(&mut path), line),
            }
            colons = 0;
        }
        self.inline(path, line);
    }

    /// Returns a path from the crate's root on, or `None` where it leads to another crate.
    fn absolute(&self, module: &[String], path: &[String]) -> Option<Path> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => Some(rest.to_vec()),
            "self" => Some([module, rest].concat()),
            "super" => {
                let (_, above) = module.split_last()?;
                let path: Path = ["self".to_owned()].into_iter().chain(rest.iter().cloned()).collect();
                // More of them may follow.
                if rest.first().is_some_and(|next| next == "super") {
                    self.absolute(above, rest)
                } else {
                    self.absolute(above, &path)
                }
            }
            _ => {
                let here = self.modules.get(module)?;
                let child = [module, &path[..1]].concat();
                if self.modules.contains_key(&child) || here.items.contains(first) {
                    return Some([module, path].concat());
                }
                let imported = here.names.get(first).filter(|imported| imported.first() != Some(first))?;
                Some([self.absolute(module, imported)?, rest.to_vec()].concat())
            }
        }
    }

    /// Returns the file that has the thing, and its name there; `None` for a module as such, and for what is not found.
    fn resolve(&self, path: &[String], steps: usize) -> Option<(&str, String)> {
        let mut at = Path::new();
        for (index, segment) in path.iter().enumerate() {
            let child = [&at[..], std::slice::from_ref(segment)].concat();
            if self.modules.contains_key(&child) {
                at = child;
                continue;
            }
            let module = self.modules.get(&at)?;
            if module.items.contains(segment) {
                return Some((&module.file, segment.clone()));
            }
            if steps > 8 {
                return None;
            }
            let rest = &path[index + 1..];
            if let Some(imported) = module.names.get(segment) {
                return self.resolve(&[self.absolute(&at, imported)?, rest.to_vec()].concat(), steps + 1);
            }
            let through =
                |glob: &Path| self.resolve(&[self.absolute(&at, glob)?, path[index..].to_vec()].concat(), steps + 1);
            return module.globs.iter().find_map(through);
        }
        None
    }

    fn finish(self) -> (Vec<Import>, Vec<Foreign>) {
        let (mut imports, mut foreign) = (BTreeSet::new(), Vec::new());
        for Found { module, path, alias, line, kind } in &self.found {
            let Some(here) = self.modules.get(module).filter(|here| here.file != "lib.rs") else { continue };
            let written = path.join("::");
            let Some(absolute) = self.absolute(module, path) else {
                let is_use = *kind != Kind::Inline;
                foreign.push(Foreign { from: here.file.clone(), line: *line, path: written, is_use });
                continue;
            };
            let is_only_passed_on = *kind == Kind::Reexport && !here.used.contains(alias);
            let Some((to, name)) = self.resolve(&absolute, 0).filter(|_| !is_only_passed_on) else { continue };
            if to != here.file {
                let to = to.to_owned();
                imports.insert(Import { from: here.file.clone(), line: *line, path: written, name, to });
            }
        }
        (imports.into_iter().collect(), foreign)
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_for_tests(attributes(item)) {
            self.here().items.extend(name(item));
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        if !matches!(item, ImplItem::Fn(item) if is_for_tests(&item.attrs)) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if let Some((_, items)) = &item.content {
            let (file, above) = (self.here().file.clone(), self.at.clone());
            self.enter(&file, [&above[..], &[item.ident.to_string()]].concat());
            items.iter().for_each(|item| self.visit_item(item));
            self.at = above;
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let kind = if matches!(item.vis, Visibility::Inherited) { Kind::Use } else { Kind::Reexport };
        // A path that begins with `::` leads to another crate, whatever is called the same here.
        self.tree(&item.tree, item.leading_colon.iter().map(|_| String::new()).collect(), kind);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let line = path.segments.first().map_or(0, |first| first.ident.span().start().line);
        let root = path.leading_colon.iter().map(|_| String::new());
        self.inline(root.chain(path.segments.iter().map(|segment| segment.ident.to_string())).collect(), line);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, called: &'ast Macro) {
        self.visit_path(&called.path);
        self.tokens(called.tokens.clone());
    }
}
