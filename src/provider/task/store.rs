//! Generations under way, by the name their caller gave them: what a restart resumes.

use std::collections::HashMap;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::handle::Handle;
use crate::clock::unix_time;

/// Most generations remembered; beyond that the one that expires first is forgotten.
const MOST: usize = 100_000;
/// Longest name that is remembered, in bytes.
const LONGEST_NAME: usize = 512;
/// A file is written anew when it has this many lines more than twice what is remembered.
const SLACK: usize = 1_000;

/// Remembers the generations under way.
///
/// A name stands for one request of one account; whoever names requests keeps names apart over all tenants.
pub trait HandleStore: Send + Sync + fmt::Debug {
    /// Returns what was remembered under a name.
    fn get(&self, job: &str) -> Option<Handle>;

    /// Remembers a generation, instead of what was remembered before.
    ///
    /// # Errors
    ///
    /// Where it cannot be made to last; the generation goes on all the same.
    fn put(&self, job: &str, handle: &Handle) -> io::Result<()>;

    /// Forgets a generation that has ended.
    ///
    /// # Errors
    ///
    /// Where that cannot be made to last; it is found expired later.
    fn remove(&self, job: &str) -> io::Result<()>;
}

/// Remembers until the process ends.
#[derive(Debug, Default)]
pub struct MemoryHandles(Mutex<HashMap<String, Handle>>);

impl MemoryHandles {
    fn map(&self) -> MutexGuard<'_, HashMap<String, Handle>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HandleStore for MemoryHandles {
    fn get(&self, job: &str) -> Option<Handle> {
        self.map().get(job).cloned()
    }

    fn put(&self, job: &str, handle: &Handle) -> io::Result<()> {
        insert(&mut self.map(), job, handle)
    }

    fn remove(&self, job: &str) -> io::Result<()> {
        self.map().remove(job);
        Ok(())
    }
}

fn insert(map: &mut HashMap<String, Handle>, job: &str, handle: &Handle) -> io::Result<()> {
    if job.len() > LONGEST_NAME {
        let message = format!("a name of {} bytes is longer than {LONGEST_NAME}", job.len());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    if map.len() >= MOST && !map.contains_key(job) {
        let now = unix_time();
        map.retain(|_, handle| handle.expires > now);
        let soonest = map.iter().min_by_key(|(name, handle)| (handle.expires, *name)).map(|(name, _)| name.clone());
        if let Some(soonest) = soonest.filter(|_| map.len() >= MOST) {
            map.remove(&soonest);
        }
    }
    map.insert(job.to_owned(), handle.clone());
    Ok(())
}

/// A line of the file; without a handle the name is forgotten.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    job: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    handle: Option<Handle>,
}

/// Remembers in a file of JSON lines, each a change; the file is written anew when most of it is past.
///
/// Lines are not forced to the disk: they survive the process, not the machine. A line that a crash cut short is
/// skipped. One process writes a file at a time.
#[derive(Debug)]
pub struct FileHandles {
    path: PathBuf,
    state: Mutex<Written>,
}

#[derive(Debug)]
struct Written {
    map: HashMap<String, Handle>,
    file: File,
    lines: usize,
}

impl FileHandles {
    /// Opens a file, or begins it.
    ///
    /// # Errors
    ///
    /// Where it can be neither read nor written.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref().to_owned();
        let mut map = HashMap::new();
        match File::open(&path) {
            Ok(file) => read(file, &mut map)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let now = unix_time();
        map.retain(|_, handle| handle.expires > now);
        let file = write_anew(&path, &map)?;
        let lines = map.len();
        Ok(Self { path, state: Mutex::new(Written { map, file, lines }) })
    }

    fn change(&self, line: &Line) -> io::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match &line.handle {
            Some(handle) => insert(&mut state.map, &line.job, handle)?,
            None if state.map.remove(&line.job).is_none() => return Ok(()),
            None => {}
        }
        if state.lines > 2 * state.map.len() + SLACK {
            state.file = write_anew(&self.path, &state.map)?;
            state.lines = state.map.len();
            return Ok(());
        }
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        state.lines += 1;
        state.file.write_all(&text)
    }
}

impl HandleStore for FileHandles {
    fn get(&self, job: &str) -> Option<Handle> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).map.get(job).cloned()
    }

    fn put(&self, job: &str, handle: &Handle) -> io::Result<()> {
        self.change(&Line { job: job.to_owned(), handle: Some(handle.clone()) })
    }

    fn remove(&self, job: &str) -> io::Result<()> {
        self.change(&Line { job: job.to_owned(), handle: None })
    }
}

fn read(file: File, map: &mut HashMap<String, Handle>) -> io::Result<()> {
    for line in BufReader::new(file).split(b'\n') {
        match serde_json::from_slice(&line?) {
            Ok(Line { job, handle: Some(handle) }) => insert(map, &job, &handle)?,
            Ok(Line { job, handle: None }) => drop(map.remove(&job)),
            Err(_) => {}
        }
    }
    Ok(())
}

/// Writes what is remembered beside the file and moves it into place; returns it open for more.
fn write_anew(path: &Path, map: &HashMap<String, Handle>) -> io::Result<File> {
    let beside = path.with_extension("new");
    let mut text = Vec::new();
    let mut jobs: Vec<&String> = map.keys().collect();
    jobs.sort();
    for job in jobs {
        serde_json::to_writer(&mut text, &Line { job: job.clone(), handle: map.get(job).cloned() })?;
        text.push(b'\n');
    }
    std::fs::write(&beside, text)?;
    std::fs::rename(&beside, path)?;
    OpenOptions::new().append(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handle(id: &str) -> Handle {
        Handle {
            account: "bfl".into(),
            id: id.into(),
            poll_url: format!("https://api.bfl.ai/v1/get_result?id={id}"),
            cancel_url: None,
            request: "f".into(),
            expires: unix_time() + 3_600,
        }
    }

    fn place(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("fairflow-handles-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder for the test");
        folder.join("handles.jsonl")
    }

    #[test]
    fn a_file_is_read_again_without_what_ended_expired_or_was_cut_short() {
        let path = place("again");
        {
            let store = FileHandles::open(&path).expect("opens");
            for name in ["a", "b", "c"] {
                store.put(name, &handle(name)).expect("writes");
            }
            store.put("old", &Handle { expires: 1, ..handle("old") }).expect("writes");
            store.remove("b").expect("writes");
            store.remove("never").expect("nothing to do");
        }
        let mut file = OpenOptions::new().append(true).open(&path).expect("opens");
        file.write_all(b"\xff\n{\"job\":\"d\",\"handle\":{\"acc").expect("writes");
        let store = FileHandles::open(&path).expect("opens");
        assert_eq!(store.get("a"), Some(handle("a")));
        assert_eq!(store.get("c").map(|handle| handle.id), Some("c".into()));
        assert!(["b", "old", "d"].iter().all(|name| store.get(name).is_none()));
        std::fs::remove_dir_all(path.parent().expect("has one")).expect("removes");
    }

    #[test]
    fn a_file_does_not_grow_with_what_is_past() {
        let path = place("compact");
        let store = FileHandles::open(&path).expect("opens");
        for _ in 0..3_000 {
            store.put("a", &handle("a")).expect("writes");
            store.remove("a").expect("writes");
        }
        store.put("last", &handle("last")).expect("writes");
        let lines = std::fs::read_to_string(&path).expect("reads").lines().count();
        assert!(lines <= SLACK + 2, "{lines} lines");
        assert_eq!(FileHandles::open(&path).expect("opens").get("last"), Some(handle("last")));
        std::fs::remove_dir_all(path.parent().expect("has one")).expect("removes");
    }

    #[test]
    fn names_are_bounded() {
        assert!(MemoryHandles::default().put(&"x".repeat(LONGEST_NAME + 1), &handle("x")).is_err());
    }
}
