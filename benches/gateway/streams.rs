//! Streams: what is added to each piece, and what streams cost that are held.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::connection::Connection;
use crate::load::{chat, runtime};
use crate::rig::form::Form;
use crate::rig::ratios::Ratios;
use crate::rig::{median, quantile};
use crate::rivals;
use crate::roles::micros;
use crate::served::Served;

/// What the streams of one load saw.
struct Seen {
    /// From when the provider sent a piece until it was here, in microseconds.
    median: f64,
    p99: f64,
    /// Processor time a piece, in microseconds.
    busy: f64,
    /// Memory grown by a stream since the process was idle, in kilobytes.
    grown: f64,
}

pub fn run(form: &Form, ratios: &mut Ratios) {
    let rivals = rivals::few();
    println!(
        "| streams | through | piece after, P50 µs | P99 | added to the provider's P50 | processor, µs a piece | KB a stream |"
    );
    println!("|---:|---|---:|---:|---:|---:|---:|");
    let pieces = if form.short { 10 } else { 25 };
    for (streams, every) in if form.short { [(1, 10), (64, 50)] } else { [(1, 10), (512, 400)] } {
        let request = chat("gpt-test", &format!("do:pieces,{pieces},{every};"), true, 0);
        let mut seen: Vec<Vec<Seen>> = rivals.iter().map(|_| Vec::new()).collect();
        for _ in 0..form.rounds.min(3) {
            for (rival, seen) in rivals.iter().zip(&mut seen) {
                seen.push(load(rival, &request, streams));
            }
        }
        let provider = median(seen[0].iter().map(|seen| seen.median));
        let mut forwarder = 0.0;
        for (rival, these) in rivals.iter().zip(&seen) {
            let figure = |of: fn(&Seen) -> f64| median(these.iter().map(of));
            let (p50, added) = (figure(|seen| seen.median), figure(|seen| seen.median) - provider);
            let [p99, busy, grown] = [figure(|seen| seen.p99), figure(|seen| seen.busy), figure(|seen| seen.grown)];
            println!("| {streams} | {} | {p50:.0} | {p99:.0} | {added:.0} | {busy:.1} | {grown:.1} |", rival.name);
            match rival.name {
                "forwarder" => forwarder = p50,
                "fairflow" => {
                    ratios.note(&format!("the forwarder's time to a piece of ours, {streams} streams"), forwarder / p50)
                }
                _ => {}
            }
        }
    }
}

fn load(rival: &Served, request: &Arc<[u8]>, streams: usize) -> Seen {
    let before = rival.usage();
    let (mut lags, after) = runtime().block_on(async {
        let readers: Vec<_> = (0..streams).map(|_| tokio::spawn(read(rival.address, request.clone()))).collect();
        tokio::time::sleep(std::time::Duration::from_millis(if streams == 512 { 2_000 } else { 50 })).await;
        let held = rival.usage();
        let mut lags = Vec::new();
        for reader in readers {
            lags.extend(reader.await.unwrap());
        }
        (lags, held)
    });
    let busy = (rival.usage().busy - before.busy) / lags.len() as f64 * 1e6;
    let grown = (after.resident - before.resident) / streams as f64 / 1_024.0;
    Seen { median: quantile(&mut lags, 0.5), p99: quantile(&mut lags, 0.99), busy, grown }
}

/// Reads two streams over one connection; returns how long each piece took.
async fn read(address: SocketAddr, request: Arc<[u8]>) -> Vec<f64> {
    let mut connection = Connection::open(address).await.unwrap();
    let (mut lags, mut text) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        let asked = connection.ask(&request, |bytes| {
            let now = micros();
            text.extend_from_slice(bytes);
            while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = text.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line);
                let sent = line.split_once("sent:").and_then(|(_, rest)| rest.split(';').next());
                lags.extend(sent.map(|sent| now.saturating_sub(sent.parse().unwrap()) as f64));
            }
        });
        asked.await.unwrap();
    }
    lags
}
