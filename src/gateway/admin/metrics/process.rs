//! Metrics of the process, under the names that Prometheus' client libraries give them. Where the system does not tell a
//! figure, as beside Linux, its metric is left out.

use std::{fmt, fs};

use super::Page;

/// Ticks per second in which Linux counts the times of a process: `USER_HZ`, which its interface fixes.
const TICKS: f64 = 100.0;

/// A metric of the process: name, kind, help and figure.
type Figure = (&'static str, &'static str, &'static str, Option<f64>);

impl Page {
    /// Writes what the process uses.
    pub(super) fn process(&mut self) -> fmt::Result {
        for (name, kind, help, value) in figures() {
            if let Some(value) = value {
                self.family(name, kind, help)?;
                self.sample(name, &[], value)?;
            }
        }
        Ok(())
    }
}

fn figures() -> [Figure; 6] {
    let read = |file: &str| fs::read_to_string(format!("/proc/{file}")).ok();
    let times = read("self/stat").and_then(|stat| Times::read(&stat));
    let booted = read("stat").and_then(|stat| number(&stat, "btime"));
    let started = times.as_ref().zip(booted).map(|(times, booted)| booted + times.started);
    let status = read("self/status");
    let of_status = |name: &str| number(status.as_deref()?, name);
    let resident = of_status("VmRSS:").map(|kib| kib * 1024.0);
    let allowed = read("self/limits").and_then(|limits| number(&limits, "Max open files"));
    [
        (
            "process_cpu_seconds_total",
            "counter",
            "Processor time that was used, in seconds.",
            times.map(|times| times.used),
        ),
        ("process_resident_memory_bytes", "gauge", "Memory in use, in bytes.", resident),
        ("process_open_fds", "gauge", "Open files and connections.", open_files()),
        ("process_max_fds", "gauge", "Files and connections that may be open.", allowed),
        ("process_start_time_seconds", "gauge", "When the process began, in Unix time.", started),
        ("process_threads", "gauge", "Threads.", of_status("Threads:")),
    ]
}

/// Counts the open files; the listing has one of its own.
#[allow(clippy::cast_precision_loss, reason = "a count of files")]
fn open_files() -> Option<f64> {
    Some(fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1) as f64)
}

/// Returns the first number on the line that begins with `name`.
fn number(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

/// The times of a process, in seconds.
#[derive(Debug, PartialEq)]
struct Times {
    /// Processor time, its own and the system's for it.
    used: f64,
    /// From the machine's start to the process's.
    started: f64,
}

impl Times {
    /// Reads `/proc/self/stat` (proc_pid_stat(5)): fields 14, 15 and 22.
    fn read(stat: &str) -> Option<Self> {
        // The second field is a name in parentheses, which may hold blanks and parentheses.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let seconds = |field: usize| fields.get(field - 3)?.parse::<f64>().ok().map(|ticks| ticks / TICKS);
        Some(Self { used: seconds(14)? + seconds(15)?, started: seconds(22)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_whatever_the_name() {
        let stat =
            "7 (a) b (c)) S 1 7 7 0 -1 4194560 900 0 1 0 250 50 0 0 20 0 4 0 12345 9000 800 18446744073709551615";
        assert_eq!(Times::read(stat), Some(Times { used: 3.0, started: 123.45 }));
        assert_eq!(Times::read("7 (a) S 1 7"), None);
    }

    #[test]
    fn a_number_is_read_from_its_line() {
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 524288               files\n";
        assert_eq!(number(limits, "Max open files"), Some(1024.0));
        assert_eq!(number("Max open files unlimited unlimited files", "Max open files"), None);
        assert_eq!(number("VmRSS:\t  2048 kB", "VmRSS:"), Some(2048.0));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn linux_tells_every_figure() {
        let figures = figures();
        let of = |wanted: &str| figures.iter().find(|(name, ..)| *name == wanted).and_then(|figure| figure.3);
        assert!(figures.iter().all(|figure| figure.3.is_some()), "{figures:?}");
        assert!(of("process_resident_memory_bytes") > Some(1e6), "{figures:?}");
        assert!(of("process_open_fds") >= Some(3.0) && of("process_open_fds") <= of("process_max_fds"), "{figures:?}");
        let now = crate::clock::unix_time() as f64;
        assert!(of("process_start_time_seconds") > Some(1e9) && of("process_start_time_seconds") < Some(now + 2.0));
    }
}
