//! Words that messages share: the nearest known name, and addresses without their secrets.

/// Returns the known word nearest to `word`, if any is near enough to be meant.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(score, _)| *score > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// Returns an address as a message may repeat it: what stands before the host or behind a `?` may be a secret.
pub(crate) fn shown(url: &str) -> String {
    let (url, query) = url.split_once('?').map_or((url, ""), |(url, _)| (url, "?…"));
    match url.rsplit_once('@') {
        Some((_, host)) => format!("\"…@{host}{query}\""),
        None => format!("{:?}", format!("{url}{query}")),
    }
}
