//! What the kernel says of a process and of those that it started.

use std::fs::read_to_string;

/// Figures of a process, those of its children included.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// Processor time, user and system, in seconds.
    pub busy: f64,
    /// Resident memory, in bytes.
    pub resident: f64,
    /// How often one of the threads went to sleep.
    pub sleeps: f64,
}

/// Returns the figures of `process` now; zeros where it has gone.
pub fn usage(process: u32) -> Usage {
    let mut all = Usage::default();
    for id in family(process) {
        let stat = read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        let fields: Vec<f64> = after_name(&stat).map(|field| field.parse().unwrap_or(0.0)).collect();
        // In hundredths of a second: its own, and those of children that have ended.
        all.busy += fields.get(11..15).map_or(0.0, |ticks| ticks.iter().sum::<f64>()) / 100.0;
        all.resident += line(&format!("/proc/{id}/status"), "VmRSS:") * 1_024.0;
        let threads = std::fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
        all.sleeps += threads
            .map(|thread| line(&thread.path().join("status").to_string_lossy(), "voluntary_ctxt_switches:"))
            .sum::<f64>();
    }
    all
}

fn after_name(stat: &str) -> impl Iterator<Item = &str> {
    stat.rsplit(')').next().unwrap_or_default().split_whitespace()
}

fn line(path: &str, name: &str) -> f64 {
    let text = read_to_string(path).unwrap_or_default();
    let found = text.lines().find_map(|line| line.strip_prefix(name));
    found.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0.0)
}

/// Returns the process and its children.
fn family(process: u32) -> Vec<u32> {
    let children = read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    std::iter::once(process).chain(children.split_whitespace().filter_map(|id| id.parse().ok())).collect()
}
