//! A made-up replay to look at: a load that swells over what a provider can do.

use rand::{RngExt, SeedableRng, rngs::StdRng};
use rand_distr::{Distribution, Exp, LogNormal, Zipf};

use super::record::{Record, Replay, Sample};

pub(super) fn replay() -> Replay {
    let mut rng = StdRng::seed_from_u64(3);
    let tenants = Zipf::new(40.0, 1.0).unwrap();
    let service = LogNormal::new(2.0_f64.ln(), 0.4).unwrap();
    let (mut t, mut records, mut slots) = (0.0, Vec::new(), [0.0_f64; 24]);
    while t < 420.0 {
        let rate = if (120.0..210.0).contains(&t) { 22.0 } else { 6.0 };
        t += Exp::new(rate).unwrap().sample(&mut rng);
        let capacity = if t < 250.0 { 24 } else { 12 };
        let slot = slots[..capacity].iter_mut().min_by(|a, b| a.total_cmp(b)).unwrap();
        let begin = slot.max(t);
        let wait = begin - t;
        let refused = wait > 30.0;
        let took: f64 = service.sample(&mut rng);
        let failed = !refused && rng.random_bool(0.004);
        if !refused {
            *slot = begin + took;
        }
        records.push(Record {
            tenant: format!("G{:04}", tenants.sample(&mut rng) as u32),
            arrived: t,
            queue_ms: if refused { 0.0 } else { wait * 1000.0 },
            upstream_ms: if refused { 0.0 } else { took * 1000.0 },
            total_ms: if refused { 2.0 } else { (wait + took) * 1000.0 },
            attempts: u32::from(!refused) + u32::from(!refused && rng.random_bool(0.03)),
            status: if refused {
                429
            } else if failed {
                500
            } else {
                200
            },
            reason: if refused { Some("deadline_unreachable".into()) } else { failed.then(|| "upstream".into()) },
            cost: took * 4.0,
        });
    }
    let (mut samples, mut window) = (Vec::new(), 4.0_f64);
    for i in 0..880 {
        let t = f64::from(i) * 0.5;
        let queued = records.iter().filter(|r| r.status != 429 && r.arrived <= t && r.left_queue() > t).count() as u32;
        let in_flight =
            records.iter().filter(|r| r.status != 429 && r.left_queue() <= t && r.ended() > t).count() as u32;
        let limit = if t < 250.0 { 27.0 } else { 14.0 };
        window = if window > limit {
            window * 0.8
        } else if f64::from(in_flight) > window * 0.7 {
            window + 0.15
        } else {
            window
        };
        samples.push(Sample {
            t,
            model: "M0002".into(),
            window: window.max(f64::from(in_flight).min(limit)).floor(),
            in_flight,
            queued,
        });
        samples.push(Sample {
            t,
            model: "M0001".into(),
            window: (window / 2.0).floor(),
            in_flight: in_flight / 3,
            queued: queued / 4,
        });
    }
    Replay {
        title: "GenTD26 image requests at 600× on sim".into(),
        command: "fairflow replay gentd26_image_requests.csv --speed 600 --tenants 40 --out report".into(),
        note: "Tenant is the trace's groupId, model its checkpoint_model_version_id. Of 2657 tenants the 40 busiest are kept; one of a lower rank r joins that of rank r mod 40.".into(),
        speed: 600.0,
        records,
        samples,
    }
}
