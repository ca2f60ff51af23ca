//! Start-up time, memory and idle processor, with one model and with ten thousand.

use std::fmt::Write;
use std::time::{Duration, Instant};

use crate::connection::Connection;
use crate::load::runtime;
use crate::rig::form::Form;
use crate::rig::median;
use crate::rig::ratios::Ratios;
use crate::served::Served;

pub fn run(form: &Form, ratios: &mut Ratios) {
    println!("| models | ready after, ms | resident, MB | idle: processor, ms a second | idle: wakes a second |");
    println!("|---:|---:|---:|---:|---:|");
    let mut one = None;
    for models in [1, if form.short { 1_000 } else { 10_000 }] {
        let mut starts = Vec::new();
        let mut last = None;
        for _ in 0..form.rounds.min(3) {
            drop(last.take());
            let begun = Instant::now();
            let gateway = Served::gateway("fairflow", &config(models));
            runtime().block_on(async {
                let mut connection = Connection::open(gateway.address).await.unwrap();
                connection.ask(b"GET /health/ready HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n", |_| {}).await.unwrap();
            });
            starts.push(begun.elapsed().as_secs_f64() * 1e3);
            last = Some(gateway);
        }
        let gateway = last.expect("a round");
        std::thread::sleep(Duration::from_secs(3));
        let idle = if form.short { 2 } else { 10 };
        let before = gateway.usage();
        std::thread::sleep(Duration::from_secs(idle));
        let after = gateway.usage();
        let busy = (after.busy - before.busy) * 1e3 / idle as f64;
        let sleeps = (after.sleeps - before.sleeps) / idle as f64;
        let start = median(starts);
        println!("| {models} | {start:.0} | {:.1} | {busy:.1} | {sleeps:.0} |", after.resident / 1e6);
        match one {
            None => one = Some((start, after.resident)),
            Some((start_of_one, resident)) => {
                ratios.note(&format!("start with one model of that with {models}"), start_of_one / start);
                ratios.note(&format!("memory with one model of that with {models}"), resident / after.resident);
            }
        }
    }
}

/// Models that nobody asks for, of one provider.
fn config(models: usize) -> String {
    let mut text = "[providers.lab]\nkind = \"openai\"\nbase_url = \"http://127.0.0.1:9/v1\"\n".to_owned();
    for model in 0..models {
        writeln!(text, "[models.\"model-{model}\"]\nroutes = [{{ provider = \"lab\" }}]").unwrap();
    }
    text
}
