//! Connections that the other side closes: upon one task, upon many, upon all.

use std::sync::atomic::AtomicBool;

use super::*;

fn begins(uuid: &Value, with: &str) -> bool {
    uuid.as_str().is_some_and(|uuid| uuid.starts_with(with))
}

#[tokio::test]
async fn a_frame_that_closes_each_connection_ends_its_own_task_and_no_other() {
    let (url, seen) = server(|connection, task| {
        let uuid = &task["taskUUID"];
        match (task["taskType"].as_str(), connection) {
            (Some("authentication"), connection) => welcome(&format!("s{connection}")),
            (Some("imageInference"), _) if uuid == "killer" => vec![Say::Close],
            // It takes longer than the first connections stand.
            (Some("imageInference"), 0 | 1) if uuid == "slow" => Vec::new(),
            (Some("imageInference"), _) => data(json!([image(uuid, "i")])),
            _ => Vec::new(),
        }
    })
    .await;
    let socket = socket(&url, "k", BEAT);
    let (slow, killer) = (task("slow", "sync", 1), task("killer", "sync", 1));
    let (slow, killed) = futures_util::future::join(run(&socket, &slow, false), run(&socket, &killer, false)).await;
    assert_eq!(slow.expect("made").len(), 1);
    let killed = killed.expect_err("no connection bears it");
    assert!(killed.outcome == Outcome::Failed && killed.message.contains("whenever it gets this task"), "{killed}");
    assert_eq!((sends(&seen, "killer"), sends(&seen, "slow"), connections(&seen)), (2, 2, 3));
    // Another attempt does not send it again, and others are served.
    assert_eq!(run(&socket, &killer, true).await.expect_err("known").message, killed.message);
    assert_eq!(run(&socket, &task("next", "sync", 1), false).await.expect("made").len(), 1);
    assert_eq!((sends(&seen, "killer"), connections(&seen)), (2, 3));
}

#[tokio::test]
async fn a_tenant_whose_task_closed_the_connection_has_one_of_its_own() {
    let (url, seen) = server(|connection, task| {
        let uuid = &task["taskUUID"];
        match task["taskType"].as_str() {
            Some("authentication") => welcome(&format!("s{connection}")),
            Some("imageInference") if begins(uuid, "killer") => vec![Say::Close],
            Some("imageInference") => data(json!([image(uuid, &format!("{connection}"))])),
            _ => Vec::new(),
        }
    })
    .await;
    let (endpoint, poll) = settings(&url, "k");
    let both = Connections::new(&endpoint, &poll).expect("sets up");
    let ask = async |tenant: &str, uuid: &str| {
        let task = task(uuid, "sync", 1);
        let ended = both.follow(tenant, uuid, run(both.of(tenant), &task, false)).await;
        ended.map(|items| text(&items[0], "imageUUID").to_owned())
    };
    ask("odd", "killer-1").await.expect_err("a culprit");
    let common = ask("good", "a").await.expect("made");
    for n in 2..5 {
        ask("odd", &format!("killer-{n}")).await.expect_err("a culprit");
        assert_eq!(ask("good", &format!("b-{n}")).await.expect("made"), common, "its connection stands");
    }
    assert_ne!(ask("odd", "c").await.expect("made"), common);
    ask("odd", "killer-1").await.expect_err("known on both");
    assert_eq!(sends(&seen, "killer-1"), 2);
}

#[tokio::test]
async fn a_tenant_whose_callers_leave_before_their_culprits_are_found_has_one_of_its_own() {
    // Some leave after the connection has closed, others before.
    for delay in [0, 60] {
        let (url, _) = server(move |connection, task| {
            let uuid = &task["taskUUID"];
            match task["taskType"].as_str() {
                Some("authentication") => welcome(&format!("s{connection}")),
                Some("imageInference") if begins(uuid, "killer") => vec![Say::CloseLater(Duration::from_millis(delay))],
                Some("imageInference") => data(json!([image(uuid, &format!("{connection}"))])),
                _ => Vec::new(),
            }
        })
        .await;
        let (endpoint, poll) = settings(&url, "k");
        let both = Connections::new(&endpoint, &poll).expect("sets up");
        let good = async |uuid: String| {
            let task = task(&uuid, "sync", 1);
            let made = both.follow("good", &uuid, run(both.of("good"), &task, false)).await.expect("made");
            text(&made[0], "imageUUID").to_owned()
        };
        let killed = async |n: u32| {
            let uuid = format!("killer-{n}");
            let killer = task(&uuid, "sync", 1);
            let asked = both.follow("odd", &uuid, run(both.of("odd"), &killer, false));
            // Its caller leaves soon, unless it is told at once that nothing can be sent.
            let (Ok(_) | Err(_)) = tokio::time::timeout(Duration::from_millis(30), asked).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        good("first".to_owned()).await;
        for n in 0..10 {
            killed(n).await;
            good(format!("a-{n}")).await;
        }
        let common = good("b".to_owned()).await;
        for n in 10..15 {
            killed(n).await;
            assert_eq!(good(format!("b-{n}")).await, common, "its connection stands, {delay} ms");
        }
    }
}

#[tokio::test]
async fn the_culprit_is_found_among_many_that_were_sent_together() {
    let (url, seen) = server(|connection, task| {
        let uuid = &task["taskUUID"];
        match (task["taskType"].as_str(), connection) {
            (Some("authentication"), connection) => welcome(&format!("s{connection}")),
            (Some("imageInference"), _) if uuid == "t7" => vec![Say::Close],
            (Some("imageInference"), 0) => Vec::new(),
            (Some("imageInference"), _) => data(json!([image(uuid, "i")])),
            _ => Vec::new(),
        }
    })
    .await;
    let socket = socket(&url, "k", BEAT);
    let runs = (0..20).map(|n| {
        let (socket, task) = (&socket, task(&format!("t{n}"), "sync", 1));
        async move { run(socket, &task, false).await.is_ok() }
    });
    let ended = futures_util::future::join_all(runs).await;
    assert_eq!(ended.iter().filter(|made| **made).count(), 19);
    assert!(!ended[7]);
    assert!(sends(&seen, "t7") <= 6 && connections(&seen) <= 6, "{} connections", connections(&seen));
    assert!((0..20).all(|n| sends(&seen, &format!("t{n}")) <= 6));
}

#[tokio::test]
async fn connections_that_do_not_hold_become_rare_and_callers_hear_why() {
    let (url, seen) = server(|connection, _| {
        let mut said = welcome(&format!("s{connection}"));
        said.push(Say::Close);
        said
    })
    .await;
    let socket = socket(&url, "k", BEAT);
    let failure = run(&socket, &task("t", "sync", 1), false).await.expect_err("no connection holds");
    assert!(failure.outcome == Outcome::Failed && failure.retry_after.is_some(), "{failure:?}");
    assert_eq!(connections(&seen), 3);
    // Who comes while it rests is told at once, and causes no connection.
    for n in 0..50 {
        run(&socket, &task(&format!("t{n}"), "sync", 1), false).await.expect_err("no connection holds");
    }
    assert!(connections(&seen) <= 4, "{} connections", connections(&seen));
}

#[tokio::test]
async fn a_tenant_of_many_culprits_stops_nobody_for_long() {
    // Others take longer than it takes to close upon a culprit, so no connection that gets one brings anybody anything.
    let (url, seen) = server(|connection, task| {
        let uuid = &task["taskUUID"];
        match task["taskType"].as_str() {
            Some("authentication") => welcome(&format!("s{connection}")),
            Some("imageInference") if begins(uuid, "killer") => vec![Say::Close],
            Some("imageInference") if begins(uuid, "silent") => Vec::new(),
            Some("imageInference") => {
                let made = json!({"data": [image(uuid, "i")]});
                vec![Say::Later(Duration::from_millis(300), made)]
            }
            _ => Vec::new(),
        }
    })
    .await;
    let (endpoint, poll) = settings(&url, "k");
    let both = Connections::new(&endpoint, &poll).expect("sets up");
    let (is_over, lost) = (AtomicBool::new(false), AtomicUsize::new(0));
    let ask = async |tenant: &str, uuid: String| {
        let task = task(&uuid, "sync", 1);
        match both.follow(tenant, &uuid, run(both.of(tenant), &task, false)).await {
            Ok(_) => true,
            Err(failure) => {
                tokio::time::sleep(failure.retry_after.unwrap_or(Duration::from_millis(50))).await;
                false
            }
        }
    };
    let odd = async |caller: usize| {
        for n in 0.. {
            if is_over.load(Ordering::SeqCst) {
                return;
            }
            let kind = if n % 3 == caller { "killer" } else { "silent" };
            let asked = ask("odd", format!("{kind}-{caller}-{n}"));
            // Its own timeout.
            let (Ok(_) | Err(_)) = tokio::time::timeout(Duration::from_secs(1), asked).await;
        }
    };
    let good = async |caller: usize| {
        for n in 0..5 {
            let mut attempt = 0;
            while !ask("good", format!("good-{caller}-{n}-{attempt}")).await {
                attempt += 1;
                lost.fetch_add(1, Ordering::SeqCst);
            }
        }
    };
    let all_good = async {
        futures_util::future::join_all((0..8).map(&good)).await;
        is_over.store(true, Ordering::SeqCst);
    };
    futures_util::future::join(all_good, futures_util::future::join_all((0..3).map(&odd))).await;
    let (lost, opened) = (lost.load(Ordering::SeqCst), connections(&seen));
    assert!(lost < 40, "{lost} attempts of the others were lost, {opened} connections were opened");
}
