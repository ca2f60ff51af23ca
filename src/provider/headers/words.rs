//! Waits in a provider's own sentences: "Please try again in 6m0s", "Please wait 4 seconds before retrying".
//!
//! A sentence is read word by word: one of the words that speak of coming back, those that may stand between, and then a
//! duration or a date. What a sentence quotes may be the caller's, and is left out.

use std::time::{Duration, SystemTime};

use super::span::{bounded, instant, leading};

/// Words that speak of coming back.
const LEADS: [&str; 15] = [
    "again",
    "retry",
    "retrying",
    "reset",
    "resets",
    "wait",
    "waiting",
    "available",
    "replenished",
    "refreshes",
    "renews",
    "restored",
    "access",
    "until",
    "back",
];
/// Words that may stand between one of those and the wait.
const BETWEEN: [&str; 21] = [
    "in",
    "after",
    "for",
    "at",
    "on",
    "least",
    "about",
    "approximately",
    "around",
    "another",
    "again",
    "until",
    "within",
    "the",
    "next",
    "your",
    "this",
    "request",
    "requests",
    "up",
    "to",
];
/// Most of those in a row.
const MOST_BETWEEN: usize = 5;

/// Finds the longest wait that a message in lower case states.
pub(super) fn wait_in(message: &str, now: SystemTime) -> Option<Duration> {
    let message = unquoted(message);
    let starts = message.char_indices().filter(|(at, c)| {
        c.is_ascii_alphabetic() && !message[..*at].ends_with(|before: char| before.is_alphanumeric() || before == '_')
    });
    starts.filter_map(|(at, _)| stated(&message[at..], now)).max()
}

/// Reads the wait that follows, where the text begins with a word that speaks of coming back.
fn stated(text: &str, now: SystemTime) -> Option<Duration> {
    let (lead, mut rest) = word(text);
    if !LEADS.contains(&lead) {
        return None;
    }
    for _ in 0..=MOST_BETWEEN {
        rest = rest.trim_start_matches([' ', ':', '~', '≈', '\n', '\t']);
        if let Some(wait) = date(rest, now) {
            return Some(wait);
        }
        if let Some((seconds, _)) = leading(rest) {
            return bounded(seconds);
        }
        let (between, tail) = word(rest);
        if !BETWEEN.contains(&between) {
            return None;
        }
        rest = tail;
    }
    None
}

/// Splits the word at the beginning off.
fn word(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(text.len()))
}

/// Reads a date at the beginning: RFC 3339, or "2026-12-01 at 00:00 utc"; without a time its first moment, in UTC.
fn date(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.to_ascii_uppercase();
    let mut words = text.split([' ', '\n']).map(|word| word.trim_end_matches(['.', ',', ';', ')', '(', '!']));
    let first = words.next().filter(|first| first.len() >= 10 && first.as_bytes()[4] == b'-')?;
    if first.len() > 10 {
        return instant(first, now);
    }
    let time = words.find(|word| !matches!(*word, "AT" | "ON")).filter(|word| word.contains(':')).unwrap_or("00:00:00");
    let seconds = if time.matches(':').count() == 1 { ":00" } else { "" };
    instant(&format!("{first}T{time}{seconds}Z"), now)
}

/// Leaves out all from the first quotation mark to the last: what is quoted may hold such marks itself. An apostrophe
/// within a word is none.
fn unquoted(message: &str) -> String {
    let is_mark = |(at, c): &(usize, char)| match c {
        '"' | '`' | '“' | '”' | '«' | '»' => true,
        '\'' | '‘' | '’' => {
            let (before, after) = (message[..*at].chars().next_back(), message[at + c.len_utf8()..].chars().next());
            let in_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
            !(in_word(before) && in_word(after))
        }
        _ => false,
    };
    let mut marks = message.char_indices().filter(is_mark);
    let Some((first, _)) = marks.next() else { return message.to_owned() };
    // A single one quotes all that follows.
    let after = marks.next_back().map_or("", |(at, mark)| &message[at + mark.len_utf8()..]);
    format!("{}\n{after}", &message[..first])
}
