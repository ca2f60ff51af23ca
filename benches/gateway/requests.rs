//! Small chats to a provider that answers at once.

use crate::load::{Seen, chat, load};
use crate::rig::form::Form;
use crate::rig::median;
use crate::rig::ratios::Ratios;
use crate::rivals;

/// The bare forwarder's place, which ratios are of.
const FORWARDER: usize = 1;

pub fn run(form: &Form, ratios: &mut Ratios) {
    let rivals = if form.short { rivals::few() } else { rivals::all() };
    let request = chat("gpt-test", "", false, 0);
    println!(
        "| connections | through | req/s | of the forwarder's | of nginx's | P50, µs | P99, µs | P99 of the forwarder's | processor, µs a request | connections closed |"
    );
    println!("|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|");
    let nginx = rivals.iter().position(|rival| rival.name == "nginx");
    for connections in if form.short { &[1, 32][..] } else { &[1, 32, 256] } {
        let mut seen: Vec<Vec<Seen>> = vec![Vec::new(); rivals.len()];
        for _ in 0..form.rounds {
            for (rival, seen) in rivals.iter().zip(&mut seen) {
                seen.push(load(rival, &request, *connections, form.span));
            }
        }
        for (rival, these) in rivals.iter().zip(&seen) {
            let figure = |of: fn(&Seen) -> f64| median(these.iter().map(of));
            let ratio =
                |to: usize, of: fn(&Seen) -> f64| median(these.iter().zip(&seen[to]).map(|(a, b)| of(a) / of(b)));
            let of_nginx =
                nginx.map_or_else(|| "–".to_owned(), |nginx| format!("{:.2}", ratio(nginx, |seen| seen.per_second)));
            println!(
                "| {connections} | {} | {:.0} | {:.2} | {of_nginx} | {:.0} | {:.0} | {:.2} | {:.1} | {} |",
                rival.name,
                figure(|seen| seen.per_second),
                ratio(FORWARDER, |seen| seen.per_second),
                figure(|seen| seen.median),
                figure(|seen| seen.p99),
                ratio(FORWARDER, |seen| seen.p99),
                figure(|seen| seen.busy),
                these.iter().map(|seen| seen.closed).sum::<usize>(),
            );
            if rival.name == "fairflow" {
                let name = format!("requests/s of the forwarder's, {connections}");
                ratios.note(&name, ratio(FORWARDER, |seen| seen.per_second));
                let name = format!("the forwarder's processor time of ours, {connections}");
                ratios.note(&name, 1.0 / ratio(FORWARDER, |seen| seen.busy.max(0.1)));
            }
        }
    }
}
