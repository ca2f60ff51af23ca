//! Large bodies, there and back, streamed and whole.

use std::time::Duration;

use crate::load::{Seen, chat, load};
use crate::rig::form::Form;
use crate::rig::median;
use crate::rig::ratios::Ratios;
use crate::rivals;

const CONNECTIONS: usize = 4;

pub fn run(form: &Form, ratios: &mut Ratios) {
    let rivals = rivals::few();
    println!(
        "| body | through | req/s | of the forwarder's | P50, ms | processor, ms a request | of the whole one's |"
    );
    println!("|---|---|---:|---:|---:|---:|---:|");
    for (size, name) in [(100_000, "100 KB"), (10_000_000, "10 MB")] {
        let kinds = [
            ("asked, whole", chat("gpt-test", "", false, size)),
            ("asked, streamed", chat("gpt-test", "do:pieces,1,0;", true, size)),
            ("answered, whole", chat("gpt-test", &format!("do:large,{size};"), false, 0)),
            ("answered, streamed", chat("gpt-test", &format!("do:stream,{size};"), true, 0)),
        ];
        let mut whole = Vec::new();
        for (kind, request) in kinds {
            let mut seen: Vec<Vec<Seen>> = rivals.iter().map(|_| Vec::new()).collect();
            for _ in 0..form.rounds.min(3) {
                for (rival, seen) in rivals.iter().zip(&mut seen) {
                    seen.push(load(rival, &request, CONNECTIONS, form.span.max(Duration::from_secs(1))));
                }
            }
            let busy = |these: &[Seen]| median(these.iter().map(|seen| seen.busy));
            let streamed = kind.ends_with("streamed");
            if !streamed {
                whole = seen.iter().map(|these| busy(these)).collect();
            }
            for (place, (rival, these)) in rivals.iter().zip(&seen).enumerate() {
                let ratio = median(these.iter().zip(&seen[1]).map(|(a, b)| a.per_second / b.per_second));
                let times = busy(these) / whole[place].max(0.1);
                println!(
                    "| {name} {kind} | {} | {:.0} | {ratio:.2} | {:.2} | {:.3} | {times:.2} |",
                    rival.name,
                    median(these.iter().map(|seen| seen.per_second)),
                    median(these.iter().map(|seen| seen.median)) / 1e3,
                    busy(these) / 1e3,
                );
                if rival.name == "fairflow" {
                    ratios.note(&format!("requests/s of the forwarder's, {name} {kind}"), ratio);
                }
            }
        }
    }
}
