//! From text to its keys: what cannot be read is set aside and the rest is read all the same, so that one bad value hides
//! no other problem.

use std::ops::Range;
use std::path::Path;

use serde::de::DeserializeOwned;
use toml::de::{DeArray, DeTable, DeValue, Deserializer};

use super::problem::{Place, Problem, floor_char_boundary};
use crate::wording::nearest;

/// Most problems that are told of one text.
const MOST: usize = 100;
/// Tables whose keys are names that people choose.
const NAMED: [&str; 5] = ["providers", "models", "tiers", "groups", "tenants"];

/// Reads what can be read, and tells what cannot; nothing is read of a text that is no TOML. `file` names the text where
/// it is not the configuration itself.
pub(crate) fn read<T: DeserializeOwned>(text: &str, file: Option<&Path>) -> (Option<T>, Vec<Problem>) {
    if let Ok(read) = toml::from_str(text) {
        return (Some(read), Vec::new());
    }
    let (whole, faults) = DeTable::parse_recoverable(text);
    let (mut rest, mut problems) = (whole.clone(), Vec::new());
    let mut set_aside = |rest: &mut DeTable<'_>, error: &toml::de::Error| {
        let span = error.span().unwrap_or_default();
        // In the whole, where no element before it is missing.
        let path = find(whole.get_ref(), &span).map(|steps| written(&steps)).unwrap_or_default();
        let place = Place { file: file.map(Path::to_owned), ..Place::of(text, span.start) };
        problems.push(Problem { path, problem: explain(text, error), place: Some(place) });
        let removed = find(rest, &span).is_some_and(|steps| remove(rest, &steps));
        removed && problems.len() < MOST
    };
    for fault in faults {
        let is_value = find(whole.get_ref(), &fault.span().unwrap_or_default()).is_some();
        if !set_aside(rest.get_mut(), &fault) || !is_value {
            // What comes after a fault of form can be read in many ways.
            return (None, problems);
        }
    }
    loop {
        match T::deserialize(Deserializer::from(rest.clone())) {
            Ok(read) => return (Some(read), problems),
            Err(error) if set_aside(rest.get_mut(), &error) => {}
            Err(_) => return (None, problems),
        }
    }
}

/// A step from a table or an array to a value in it.
enum Step {
    Key(String),
    Index(usize),
}

/// Returns the way to the key or value that has this very span.
fn find(table: &DeTable<'_>, span: &Range<usize>) -> Option<Vec<Step>> {
    table.iter().find_map(|(key, value)| {
        let steps = if key.span() == *span { Some(Vec::new()) } else { within(value.get_ref(), &value.span(), span) };
        steps.map(|steps| [vec![Step::Key(key.get_ref().to_string())], steps].into_iter().flatten().collect())
    })
}

fn within(value: &DeValue<'_>, own: &Range<usize>, span: &Range<usize>) -> Option<Vec<Step>> {
    if own == span {
        return Some(Vec::new());
    }
    match value {
        DeValue::Table(table) => find(table, span),
        DeValue::Array(items) => items.iter().enumerate().find_map(|(index, item)| {
            let steps = within(item.get_ref(), &item.span(), span)?;
            Some([vec![Step::Index(index)], steps].into_iter().flatten().collect())
        }),
        _ => None,
    }
}

/// Takes out what is at the end of the way.
fn remove(table: &mut DeTable<'_>, steps: &[Step]) -> bool {
    match steps {
        [Step::Key(key)] => table.remove(key.as_str()).is_some(),
        [Step::Key(key), rest @ ..] => {
            table.get_mut(key.as_str()).is_some_and(|value| remove_in(value.get_mut(), rest))
        }
        _ => false,
    }
}

fn remove_in(value: &mut DeValue<'_>, steps: &[Step]) -> bool {
    match (value, steps) {
        (DeValue::Table(table), _) => remove(table, steps),
        (DeValue::Array(items), [Step::Index(index)]) => {
            let all = std::mem::replace(items, DeArray::new()).into_iter().enumerate();
            *items = all.filter(|(at, _)| at != index).map(|(_, item)| item).collect();
            true
        }
        (DeValue::Array(items), [Step::Index(index), rest @ ..]) => {
            items.get_mut(*index).is_some_and(|item| remove_in(item.get_mut(), rest))
        }
        _ => false,
    }
}

/// Leaves out what is only found because something else was set aside.
pub(super) fn unrelated(found: Vec<Problem>, set_aside: &[Problem]) -> impl Iterator<Item = Problem> {
    // An array that lacks an element numbers the others otherwise.
    let root =
        |path: &str| path.strip_suffix(']').and_then(|path| path.rsplit_once('[')).map(|(array, _)| array.to_owned());
    let roots: Vec<String> = set_aside.iter().map(|one| root(&one.path).unwrap_or_else(|| one.path.clone())).collect();
    found.into_iter().filter(move |problem| !roots.iter().any(|root| problem.path.starts_with(root.as_str())))
}

/// Writes a way as problems name it.
fn written(steps: &[Step]) -> String {
    let mut path = String::new();
    let mut named = false;
    for step in steps {
        match step {
            Step::Index(index) => path += &format!("[{index}]"),
            Step::Key(key) if path.is_empty() => path.clone_from(key),
            Step::Key(key) if named => path += &format!(".{key:?}"),
            Step::Key(key) => path += &format!(".{key}"),
        }
        named = NAMED.contains(&path.as_str());
    }
    path
}

/// Words a TOML error, with the nearest known key.
///
/// It never repeats a value near a key: a secret pasted in the wrong form must not end up in a log.
fn explain(text: &str, error: &toml::de::Error) -> String {
    let at = error.span().map_or(0, |span| floor_char_boundary(text, span.start));
    let line = text[..at].rfind('\n').map_or(0, |end| end + 1);
    let line = text[line..].lines().next().unwrap_or_default();
    let key = line.split_once('=').map_or(line, |(key, _)| key).trim();
    // The message may repeat what was written, and only where a key may stand are these words expected.
    let expects_key = ["`env`", "`value`"].iter().all(|word| error.message().contains(word));
    if key.contains("api_key") || key.contains("admin_key") || line.contains("value") || expects_key {
        let wanted = if key.contains("api_keys") {
            "must be a list of hashes, each sha256: and 64 hex digits; run `fairflow hash-key`"
        } else {
            "must be { env = \"NAME\" }, { file = \"PATH\" } or { value = \"KEY\" }"
        };
        return wanted.to_owned();
    }
    let message = error.message();
    let mut quoted = message.split('`').skip(1).step_by(2);
    let unknown = quoted.next().filter(|_| message.starts_with("unknown"));
    let near = unknown.and_then(|unknown| nearest(unknown, quoted.clone()));
    let hint = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
    format!("{message}{hint}")
}
