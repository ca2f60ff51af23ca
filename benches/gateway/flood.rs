//! A flood on one model beside a victim on another, over HTTP: the victim's P99 beside what it has alone.

use std::time::{Duration, Instant};

use crate::load::{chat, client, load, runtime};
use crate::rig::form::Form;
use crate::rig::median;
use crate::rig::ratios::Ratios;
use crate::rivals;
use crate::served::Served;

/// Connections of the flood; 16 of their requests are served at once, 20 ms each.
const FLOOD: usize = 512;
const VICTIMS: usize = 4;

pub fn run(form: &Form, ratios: &mut Ratios) {
    let provider = Served::role("provider", None);
    let models = [
        ("flooded", "window = { initial = 16, min = 16, max = 16 }\nqueue = { capacity = 5000 }\n"),
        ("victim", "window = { initial = 64, min = 64, max = 64 }\n"),
    ];
    let gateway = Served::gateway("fairflow", &rivals::config(provider.address, models));
    let (flood, victim) = (chat("flooded", "do:sleep,20;", false, 0), chat("victim", "do:sleep,5;", false, 0));
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    let span = form.span.max(Duration::from_secs(1));
    for _ in 0..form.rounds {
        alone.push(load(&gateway, &victim, VICTIMS, span));
        let (address, flood) = (gateway.address, flood.clone());
        let until = Instant::now() + span + Duration::from_secs(1);
        let flooding = std::thread::spawn(move || {
            runtime().block_on(async {
                let clients: Vec<_> = (0..FLOOD).map(|_| tokio::spawn(client(address, flood.clone(), until))).collect();
                for client in clients {
                    client.await.unwrap();
                }
            });
        });
        std::thread::sleep(Duration::from_millis(300));
        beside.push(load(&gateway, &victim, VICTIMS, span));
        flooding.join().unwrap();
    }
    let p99 = |seen: &[crate::load::Seen]| median(seen.iter().map(|seen| seen.p99)) / 1e3;
    let ratio = median(beside.iter().zip(&alone).map(|(beside, alone)| beside.p99 / alone.p99));
    println!("victim's P99 alone {:.2} ms, beside the flood {:.2} ms: {ratio:.2} times", p99(&alone), p99(&beside));
    ratios.note("the victim's P99 alone of that beside a flood", 1.0 / ratio);
}
