//! Sizes: lines of a file, fields of a struct, arguments of a function.

use proc_macro2::Ident;
use syn::visit::{self, Visit};
use syn::{FnArg, ImplItem, Item, ItemImpl, ItemStruct, Pat, Signature, Type};

use super::sources::{self, Source, attributes, is_for_tests};

/// Most lines of a file.
const MOST_LINES: usize = 500;
/// Below this is the median.
const USUAL_LINES: usize = 200;
/// Most fields of a struct without a reason beside it: `// fields: …`.
const MOST_FIELDS: usize = 15;
/// Most arguments of a function without a reason beside it: `// arguments: …`. A tuple counts as what it holds.
const MOST_ARGUMENTS: usize = 6;

struct Shapes<'a> {
    source: &'a Source,
    wrong: Vec<String>,
}

impl Shapes<'_> {
    /// Says whether a reason stands on the line of a name, or in the comments and attributes above it.
    fn has_reason(&self, name: &Ident, word: &str) -> bool {
        let at = name.span().start().line;
        let lines: Vec<&str> = self.source.text.lines().take(at).collect();
        let above = lines.iter().rev().skip(1).take_while(|line| {
            let line = line.trim_start();
            line.starts_with("//") || line.starts_with("#[") || line.starts_with(')')
        });
        lines.last().into_iter().chain(above).any(|line| {
            line.split_once(word).is_some_and(|(before, reason)| before.trim_end().ends_with("//") && reason.len() > 3)
        })
    }

    fn check(&mut self, name: &Ident, count: usize, most: usize, word: &str) {
        if count > most && !self.has_reason(name, &format!("{word}: ")) {
            let (path, line) = (&self.source.path, name.span().start().line);
            self.wrong.push(format!(
                "{path}:{line}: `{name}` has {count} {word}, of which {most} are many; group those that belong together in a \
                 struct, or say why not in `// {word}: …` above it"
            ));
        }
    }

    fn signature(&mut self, signature: &Signature) {
        let arguments = signature.inputs.iter().map(|argument| match argument {
            FnArg::Typed(typed) => match (&*typed.pat, &*typed.ty) {
                (Pat::Tuple(_), Type::Tuple(tuple)) => tuple.elems.len(),
                _ => 1,
            },
            FnArg::Receiver(_) => 1,
        });
        self.check(&signature.ident, arguments.sum(), MOST_ARGUMENTS, "arguments");
    }
}

impl<'ast> Visit<'ast> for Shapes<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_for_tests(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_struct(&mut self, item: &'ast ItemStruct) {
        self.check(&item.ident, item.fields.len(), MOST_FIELDS, "fields");
    }

    fn visit_item_impl(&mut self, item: &'ast ItemImpl) {
        // A trait's own declaration says how many arguments its functions have.
        if item.trait_.is_none() {
            for item in &item.items {
                if let ImplItem::Fn(function) = item {
                    self.signature(&function.sig);
                }
            }
        }
    }

    fn visit_signature(&mut self, signature: &'ast Signature) {
        self.signature(signature);
    }
}

fn shapes(source: &Source) -> Vec<String> {
    let mut shapes = Shapes { source, wrong: Vec::new() };
    shapes.visit_file(&source.parse());
    shapes.wrong
}

#[test]
fn files_are_short() {
    let mut lines: Vec<(usize, String)> =
        sources::all().into_iter().map(|source| (source.text.lines().count(), source.path)).collect();
    lines.sort();
    let median = lines[lines.len() / 2].0;
    println!("{} files, median {median} lines", lines.len());
    assert!(median < USUAL_LINES, "the median file has {median} lines");
    let long: Vec<_> = lines.iter().filter(|(lines, _)| *lines > MOST_LINES).collect();
    assert!(long.is_empty(), "over {MOST_LINES} lines: {long:?}");
}

#[test]
fn structs_have_few_fields_and_functions_few_arguments() {
    let wrong: Vec<String> = sources::all().iter().flat_map(shapes).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn many_fields_and_arguments_are_seen() {
    let fields = |count: usize| (0..count).map(|n| format!("f{n}: u8,")).collect::<String>();
    let text = format!(
        "pub struct Wide {{ {} }}
         /// Why.
         // fields: one for each column of the file.
         #[derive(Debug)]
         pub struct Excused {{ {} }}
         pub struct Narrow {{ {} }}
         impl Wide {{
             fn many(&self, a: u8, b: u8, (c, d): (u8, u8), e: u8, f: u8) {{}}
             fn few(&self, a: u8, b: u8, c: (u8, u8), d: u8, e: u8) {{}}
             // arguments: as the protocol has them.
             fn excused(&self, a: u8, b: u8, c: u8, d: u8, e: u8, f: u8) {{}}
         }}
         fn free(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8) {{}}
         trait Trait {{ fn of_a_trait(&self, a: u8, b: u8, c: u8, d: u8, e: u8, f: u8); }}
         impl Trait for Wide {{ fn of_a_trait(&self, a: u8, b: u8, c: u8, d: u8, e: u8, f: u8) {{}} }}",
        fields(16),
        fields(16),
        fields(15),
    );
    let wrong = shapes(&Source::new("core/wide.rs", &text));
    let names: Vec<&str> = wrong.iter().filter_map(|wrong| wrong.split('`').nth(1)).collect();
    assert_eq!(names, ["Wide", "many", "free", "of_a_trait"], "{wrong:#?}");
}
