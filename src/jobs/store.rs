//! Jobs by tenant and name: made once, waited for by any number, kept for a while when they are done.
//!
//! All of it lives in memory and is bounded in number, bytes and time, over all and for each tenant; the oldest result
//! goes first, and a result that is larger than its tenant's bytes is told and not kept. A job is given up when nobody
//! waits for it any more, unless it was claimed as detached.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use reqwest::Url;
use tokio::sync::watch;

use crate::config::JobsConfig;
use crate::core::time::Time;

/// The tenant of a job, and its name.
pub(crate) type Key = (Arc<str>, Arc<str>);

/// The end of a job, once it is told; as long as a watch is held, an attached job goes on.
pub(crate) type Watch<T> = watch::Receiver<Option<Arc<T>>>;

/// Most places to which the end of one job is posted.
const MOST_PLACES: usize = 8;

/// The part that posts the end of a job to a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Posting {
    /// The job itself, when it ends.
    ByTheJob,
    /// The asker: the job is done.
    ByTheAsker,
    /// No part: there are too many places.
    Refused,
}

/// The end of a job.
#[derive(Debug)]
pub(crate) struct Finished<T> {
    pub(crate) value: T,
    /// The bytes that keeping it takes.
    pub(crate) bytes: usize,
    /// A failure is told and, once the same is asked again, tried again.
    pub(crate) failed: bool,
    pub(crate) at: Time,
}

impl<T> Finished<T> {
    /// The bytes of an end that is told to all that wait, and kept by no store.
    pub(crate) const UNKEPT: usize = usize::MAX;
}

/// The findings of a claim.
pub(crate) enum Claim<T> {
    /// The job is the claimer's to do.
    New(Ticket<T>, Watch<T>),
    /// The job is done, or under way.
    Known(Watch<T>),
    /// The name stands for another job.
    Conflict,
    /// The tenant, or all together, have too many under way.
    Full,
}

#[derive(Debug)]
struct Entry<T> {
    /// The number of this use of the name: an older one must not end a newer.
    number: u64,
    kind: Arc<str>,
    digest: [u8; 32],
    told: Arc<watch::Sender<Option<Arc<T>>>>,
    /// Keeps a detached job going.
    hold: Option<Watch<T>>,
    /// The places to which its end is to be posted.
    places: Vec<Url>,
    /// Its place in the order of results, once it is done.
    done: Option<u64>,
    failed: bool,
    bytes: usize,
}

/// Results by age, and what they take.
#[derive(Debug, Default)]
struct Shelf {
    /// By order of finishing.
    results: BTreeMap<u64, (Time, Key)>,
    known: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Table<T> {
    entries: HashMap<Key, Entry<T>>,
    all: Shelf,
    tenants: HashMap<Arc<str>, Shelf>,
    limits: JobsConfig,
    next: u64,
}

impl<T> Table<T> {
    fn forget(&mut self, key: &Key) {
        let Some(entry) = self.entries.remove(key) else { return };
        let shelf = self.tenants.entry(key.0.clone()).or_default();
        for shelf in [&mut self.all, shelf] {
            shelf.known -= 1;
            shelf.bytes -= entry.bytes;
            if let Some(place) = entry.done {
                shelf.results.remove(&place);
            }
        }
        if self.tenants.get(&key.0).is_some_and(|shelf| shelf.known == 0) {
            self.tenants.remove(&key.0);
        }
    }

    /// Forgets results until there is room for `more` further jobs of a tenant.
    fn trim(&mut self, tenant: &Arc<str>, more: usize, now: Time) {
        let limits = self.limits;
        loop {
            let over =
                |shelf: &Shelf, most: u32, bytes: usize| shelf.known + more > most as usize || shelf.bytes > bytes;
            let aged = |(since, _): &(Time, Key)| now.since(*since) >= limits.keep.0;
            let own = self.tenants.get(tenant);
            let own = own.filter(|shelf| over(shelf, limits.tenant_most, limits.tenant_bytes.0));
            let victim = own.and_then(|shelf| shelf.results.values().next()).or_else(|| {
                let full = over(&self.all, limits.most, limits.bytes.0);
                self.all.results.values().next().filter(|oldest| full || aged(oldest))
            });
            let Some((_, key)) = victim.cloned() else { return };
            self.forget(&key);
        }
    }

    fn has_room(&self, tenant: &Arc<str>) -> bool {
        let own = self.tenants.get(tenant).map_or(0, |shelf| shelf.known);
        own < self.limits.tenant_most as usize && self.all.known < self.limits.most as usize
    }
}

/// The jobs of one gateway.
#[derive(Debug)]
pub(crate) struct Jobs<T>(Arc<Mutex<Table<T>>>);

impl<T> Clone for Jobs<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for Jobs<T> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Table {
            entries: HashMap::new(),
            all: Shelf::default(),
            tenants: HashMap::new(),
            limits: JobsConfig::default(),
            next: 0,
        })))
    }
}

/// A job that is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// Its kind, as [`list`](Jobs::list) tells it.
    pub(crate) kind: &'a str,
    /// Tells it from other jobs that may be asked for under the same name.
    pub(crate) digest: [u8; 32],
    /// Goes on when nobody waits for it.
    pub(crate) detached: bool,
}

impl<T> Jobs<T> {
    fn table(&self) -> MutexGuard<'_, Table<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Claims a name for a job.
    pub(crate) fn claim(&self, key: &Key, job: Asked<'_>, limits: JobsConfig, now: Time) -> Claim<T> {
        let Asked { kind, digest, detached } = job;
        let mut table = self.table();
        table.limits = limits;
        table.trim(&key.0, 0, now);
        if let Some(entry) = table.entries.get_mut(key) {
            if entry.digest != digest && !entry.failed {
                return Claim::Conflict;
            }
            if !entry.failed {
                if detached && entry.done.is_none() && entry.hold.is_none() {
                    entry.hold = Some(entry.told.subscribe());
                }
                return Claim::Known(entry.told.subscribe());
            }
            table.forget(key);
        }
        table.trim(&key.0, 1, now);
        if !table.has_room(&key.0) {
            return Claim::Full;
        }
        let (sender, receiver) = watch::channel(None);
        let told = Arc::new(sender);
        let number = table.next;
        table.next += 1;
        let hold = detached.then(|| receiver.clone());
        let entry = Entry {
            number,
            kind: kind.into(),
            digest,
            told: told.clone(),
            hold,
            places: Vec::new(),
            done: None,
            failed: false,
            bytes: 0,
        };
        table.entries.insert(key.clone(), entry);
        table.all.known += 1;
        table.tenants.entry(key.0.clone()).or_default().known += 1;
        Claim::New(Ticket { jobs: self.clone(), key: key.clone(), number, told }, receiver)
    }

    /// Asks for the end of a job to be posted to a place: once, however often that is asked for while it is under way.
    pub(crate) fn post_to(&self, key: &Key, place: &Url) -> Posting {
        let mut table = self.table();
        match table.entries.get_mut(key).filter(|entry| entry.done.is_none()) {
            None => Posting::ByTheAsker,
            Some(entry) if entry.places.contains(place) => Posting::ByTheJob,
            Some(entry) if entry.places.len() >= MOST_PLACES => Posting::Refused,
            Some(entry) => {
                entry.places.push(place.clone());
                Posting::ByTheJob
            }
        }
    }

    /// Keeps what is done already, under a name that is new; another under the same name stays.
    pub(crate) fn keep(&self, key: &Key, finished: Finished<T>, limits: JobsConfig) {
        if let Claim::New(ticket, _) =
            self.claim(key, Asked { kind: "", digest: [0; 32], detached: true }, limits, finished.at)
        {
            ticket.tell(finished, |_, _| {});
        }
    }

    /// Returns a tenant's jobs in the order in which they were begun: name, kind, and where the end is told.
    pub(crate) fn list(&self, tenant: &Arc<str>, now: Time) -> Vec<(Arc<str>, Arc<str>, Watch<T>)> {
        let mut table = self.table();
        table.trim(tenant, 0, now);
        let own = table.entries.iter().filter(|((owner, _), _)| owner == tenant);
        let mut own: Vec<_> = own.map(|((_, name), entry)| (entry.number, name, entry)).collect();
        own.sort_by_key(|(number, ..)| *number);
        own.into_iter().map(|(_, name, entry)| (name.clone(), entry.kind.clone(), entry.told.subscribe())).collect()
    }

    /// Forgets a job, and gives it up if it is under way and nobody waits for it; says whether there was one.
    pub(crate) fn remove(&self, key: &Key, now: Time) -> bool {
        let mut table = self.table();
        table.trim(&key.0, 0, now);
        let known = table.entries.contains_key(key);
        table.forget(key);
        known
    }

    /// Finds a job by its name, and what kind it is of.
    pub(crate) fn find(&self, key: &Key, now: Time) -> Option<(Arc<str>, Watch<T>)> {
        let mut table = self.table();
        table.trim(&key.0, 0, now);
        table.entries.get(key).map(|entry| (entry.kind.clone(), entry.told.subscribe()))
    }
}

/// The duty to do a job; dropped undone, the name is free again and who waits learns it.
#[derive(Debug)]
pub(crate) struct Ticket<T> {
    jobs: Jobs<T>,
    key: Key,
    number: u64,
    told: Arc<watch::Sender<Option<Arc<T>>>>,
}

impl<T> Ticket<T> {
    /// Does the job, unless nobody waits for it any more.
    pub(crate) async fn run(self, work: impl Future<Output = Finished<T>>) {
        self.run_and_post(work, |_, _| {}).await;
    }

    /// Does the job as [`run`](Self::run) does; `post` gets the end and its places before any watch is told.
    pub(crate) async fn run_and_post(self, work: impl Future<Output = Finished<T>>, post: impl FnOnce(&T, Vec<Url>)) {
        tokio::select! {
            finished = work => self.tell(finished, post),
            () = self.told.closed() => {}
        }
    }

    fn tell(&self, finished: Finished<T>, post: impl FnOnce(&T, Vec<Url>)) {
        let Finished { value, bytes, failed, at } = finished;
        // From here on who asks posts.
        let places = self.file(bytes, failed, at);
        post(&value, places);
        self.told.send_replace(Some(Arc::new(value)));
    }

    /// Puts the job among the results and returns where its end is wanted.
    fn file(&self, bytes: usize, failed: bool, at: Time) -> Vec<Url> {
        let mut table = self.jobs.table();
        let place = table.next;
        let table = &mut *table;
        let entry = table.entries.get_mut(&self.key).filter(|entry| entry.number == self.number);
        let Some(entry) = entry else { return Vec::new() };
        table.next += 1;
        entry.hold = None;
        let places = std::mem::take(&mut entry.places);
        if bytes > table.limits.tenant_bytes.0 {
            table.forget(&self.key);
            return places;
        }
        (entry.done, entry.failed, entry.bytes) = (Some(place), failed, bytes);
        let shelf = table.tenants.entry(self.key.0.clone()).or_default();
        for shelf in [&mut table.all, shelf] {
            shelf.bytes += bytes;
            shelf.results.insert(place, (at, self.key.clone()));
        }
        table.trim(&self.key.0, 0, at);
        places
    }
}

impl<T> Drop for Ticket<T> {
    fn drop(&mut self) {
        if self.told.borrow().is_none() {
            let mut table = self.jobs.table();
            if table.entries.get(&self.key).is_some_and(|entry| entry.number == self.number) {
                table.forget(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests;
