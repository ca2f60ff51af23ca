//! The keys of the configuration and the page that explains them.

use std::fs;
use std::path::Path;

use syn::visit::{self, Visit};
use syn::{Attribute, ItemStruct, Meta, Visibility};

use super::sources;

/// The public fields of the structs that the file is read into.
#[derive(Default)]
struct Keys(Vec<String>);

/// Says whether an attribute `name(…)` has a word in it.
fn says(attributes: &[Attribute], name: &str, word: &str) -> bool {
    let lists = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident(name) => Some(list.tokens.to_string()),
        _ => None,
    });
    lists.into_iter().any(|list| list.split(|c: char| !c.is_alphanumeric() && c != '_').any(|found| found == word))
}

impl<'ast> Visit<'ast> for Keys {
    fn visit_item_struct(&mut self, item: &'ast ItemStruct) {
        if says(&item.attrs, "derive", "Deserialize") {
            let written = item
                .fields
                .iter()
                .filter(|field| matches!(field.vis, Visibility::Public(_)) && !says(&field.attrs, "serde", "skip"));
            self.0.extend(written.filter_map(|field| Some(field.ident.as_ref()?.to_string())));
        }
        visit::visit_item_struct(self, item);
    }
}

#[test]
fn every_key_of_the_configuration_is_explained() {
    let tuning = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/TUNING.md")).expect("it is there");
    let mut count = 0;
    for source in sources::all().iter().filter(|source| sources::room(&source.path) == "config") {
        let mut keys = Keys::default();
        keys.visit_file(&source.parse());
        for key in &keys.0 {
            let forms = [format!("`{key}`"), format!(".{key}`"), format!("`{key}."), format!("`[{key}")];
            let path = &source.path;
            assert!(forms.iter().any(|form| tuning.contains(form)), "{path}: `{key}` is not in docs/TUNING.md");
        }
        count += keys.0.len();
    }
    assert!(count > 80, "only {count} were found");
}
