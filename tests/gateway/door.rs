//! What is decided before a request is read: who asks, from which page, by which method, and how its body is packed.

use std::io::Write;
use std::sync::atomic::Ordering;
use std::time::Duration;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{Client, text};
use crate::lab::{CHAT, Lab, chat, post};
use crate::support::{Gateway, client, json as read};

const KEYED: &str = "auth = \"keys\"\nadmin_key = { value = \"hunter2\" }";

async fn status(gateway: &Gateway, headers: &[(&str, &str)]) -> u16 {
    post(gateway, CHAT, &chat("ok"), headers).await.status().as_u16()
}

/// Sends a request as it is written, and returns what begins the answer.
async fn raw(base: &str, request: &str) -> String {
    let address = base.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let read = tokio::time::timeout(Duration::from_secs(30), stream.read(&mut answer)).await.expect("an answer");
    String::from_utf8_lossy(&answer[..read.unwrap()]).into_owned()
}

#[tokio::test]
async fn a_key_is_taken_in_any_case_of_its_scheme_and_where_clients_put_theirs() {
    let lab = Lab::start();
    let gateway = lab.gateway(KEYED, &[("ok", "")]);
    for (name, value) in [
        ("authorization", "Bearer abc"),
        ("authorization", "bearer abc"),
        ("authorization", "BEARER   abc "),
        ("api-key", "abc"),
        ("x-api-key", "abc"),
    ] {
        assert_eq!(status(&gateway, &[(name, value)]).await, 200, "{name}: {value}");
        let task = json!([{"taskType": "ping", "ping": true}]);
        assert_eq!(post(&gateway, "/v1", &task, &[(name, value)]).await.status(), 200, "{name}: {value}");
    }
    for (name, value) in [
        ("authorization", "Basic abc"),
        ("authorization", "Bearer"),
        ("authorization", "Bearerabc"),
        ("api-key", "Bearer abc"),
        ("x-api-key", "ab"),
    ] {
        let refused = post(&gateway, CHAT, &chat("ok"), &[(name, value)]).await;
        assert_eq!(refused.status(), 401, "{name}: {value}");
        assert!(refused.headers()["www-authenticate"].to_str().unwrap().starts_with("Bearer"));
    }
    for scheme in ["Bearer", "bearer", "bEARER"] {
        let request = client().get(format!("{}/metrics", gateway.admin));
        let response = request.header("authorization", format!("{scheme} hunter2")).send().await.unwrap();
        assert_eq!(response.status(), 200, "{scheme}");
    }
    let refused = client().get(format!("{}/metrics", gateway.admin)).send().await.unwrap();
    assert!(refused.status() == 401 && refused.headers().contains_key("www-authenticate"));
}

#[tokio::test]
async fn head_is_answered_as_get_without_its_body() {
    let lab = Lab::start();
    let gateway = lab.gateway("", &[("ok", "")]);
    for (base, paths) in [
        (
            &gateway.public,
            &["/health/live", "/health/ready", "/v1/models", "/v1/models/ok", "/v1/capacity", "/openapi.json"][..],
        ),
        (&gateway.admin, &["/", "/metrics", "/health/ready", "/admin/config", "/admin/overview", "/assets/no.js"]),
    ] {
        for path in paths {
            let ask = async |method: Method| client().request(method, format!("{base}{path}")).send().await.unwrap();
            let (got, head) = (ask(Method::GET).await, ask(Method::HEAD).await);
            assert_eq!(got.status(), head.status(), "{path}");
            assert_eq!(got.headers().get("content-type"), head.headers().get("content-type"), "{path}");
            assert!(head.headers().contains_key("content-length"), "{path}");
            assert!(head.bytes().await.unwrap().is_empty(), "{path}");
        }
    }
    // A feed would never end.
    let feed = client().head(format!("{}/v1/capacity", gateway.public)).header("accept", "text/event-stream");
    assert_eq!(feed.send().await.unwrap().status(), 200);
    let refused = client().head(format!("{}{CHAT}", gateway.public)).send().await.unwrap();
    assert_eq!(
        (refused.status(), &refused.headers()["allow"]),
        (StatusCode::METHOD_NOT_ALLOWED, &"POST".parse().unwrap())
    );
}

#[tokio::test]
async fn one_model_is_shown_whatever_its_name() {
    let lab = Lab::start();
    let gateway = lab.gateway("", &[("ok", ""), ("ok-org/name:1", "")]);
    for (path, id) in [("ok", "ok"), ("ok-org/name:1", "ok-org/name:1"), ("ok-org%2Fname%3A1", "ok-org/name:1")] {
        let found = client().get(format!("{}/v1/models/{path}", gateway.public)).send().await.unwrap();
        assert_eq!(found.status(), 200, "{path}");
        let found = read(found).await;
        assert_eq!((&found["id"], &found["object"]), (&json!(id), &json!("model")));
    }
    let missing = client().get(format!("{}/v1/models/okk", gateway.public)).send().await.unwrap();
    assert_eq!(missing.status(), 404);
    assert_eq!(read(missing).await["error"]["param"], "model");
}

#[tokio::test]
async fn other_pages_are_kept_out_where_no_key_is_asked_for() {
    let lab = Lab::start();
    let open = lab.gateway("cors = { origins = [\"https://app.example\"] }", &[("ok", "")]);
    let evil = ("origin", "http://evil.example");
    for headers in [
        &[("host", "evil.example:8080")][..],
        &[evil],
        &[evil, ("content-type", "text/plain")],
        &[("sec-fetch-site", "cross-site")],
        &[("origin", "null")],
    ] {
        let refused = post(&open, CHAT, &chat("ok"), headers).await;
        assert_eq!(refused.status(), 403, "{headers:?}");
        assert_eq!(refused.headers()["x-fairflow-reason"], "foreign_page");
        assert!(!refused.headers().contains_key("access-control-allow-origin"));
        assert!(!read(refused).await["error"]["message"].as_str().unwrap().is_empty());
        let task =
            json!([{"taskType": "textInference", "taskUUID": "u", "model": "ok", "messages": [{"role": "user"}]}]);
        let refused = post(&open, "/v1", &task, headers).await;
        assert_eq!(refused.status(), 403, "{headers:?}");
        assert!(read(refused).await["errors"][0]["message"].is_string());
    }
    let socket = |host: &str, origin: &str| {
        format!(
            "GET /v1 HTTP/1.1\r\nhost: {host}\r\n{origin}connection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
    };
    for (host, origin, wanted) in [
        ("127.0.0.1", "origin: http://evil.example\r\n", "403"),
        ("evil.example", "", "403"),
        ("127.0.0.1", "origin: https://app.example\r\n", "101"),
        ("127.0.0.1", "", "101"),
    ] {
        let answer = raw(&open.public, &socket(host, origin)).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {wanted} ")), "{host} {origin}: {answer}");
    }
    assert_eq!(lab.seen.calls.load(Ordering::SeqCst), 0, "nothing was paid for");

    // Pages that are named may, and are told so, whatever they are answered.
    let app = ("origin", "https://app.example");
    let preflight = client().request(Method::OPTIONS, format!("{}{CHAT}", open.public)).header(app.0, app.1);
    let preflight = preflight.header("access-control-request-method", "POST");
    let preflight = preflight.header("access-control-request-headers", "authorization, content-type, x-stainless-os");
    let granted = preflight.send().await.unwrap();
    assert_eq!(granted.status(), 204);
    assert_eq!(granted.headers()["access-control-allow-origin"], app.1);
    assert_eq!(granted.headers()["access-control-allow-methods"], "POST");
    assert!(granted.headers()["access-control-allow-headers"].to_str().unwrap().contains("x-stainless-os"));
    for (model, wanted) in [("ok", 200), ("no", 404)] {
        let answer = post(&open, CHAT, &chat(model), &[app, ("sec-fetch-site", "cross-site")]).await;
        assert_eq!(answer.status(), wanted);
        assert_eq!(answer.headers()["access-control-allow-origin"], app.1);
        assert!(answer.headers()["access-control-expose-headers"].to_str().unwrap().contains("x-fairflow-reason"));
    }
    // What no browser sends is not concerned, and a monitor may name any host.
    assert_eq!(status(&open, &[]).await, 200);
    let health = client().get(format!("{}/health/ready", open.public)).header("host", "balancer.example");
    assert_eq!(health.send().await.unwrap().status(), 200);

    // A key is what other pages do not have.
    let keyed = lab.gateway("auth = \"keys\"\ncors = { origins = [\"*\"] }", &[("ok", "")]);
    let answer =
        post(&keyed, CHAT, &chat("ok"), &[evil, ("host", "api.example"), ("authorization", "Bearer abc")]).await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["access-control-allow-origin"]),
        (200, &evil.1.parse().unwrap())
    );
}

#[tokio::test]
async fn packed_bodies_are_unpacked_as_far_as_bodies_may_be_long() {
    let lab = Lab::start();
    let gateway = lab.gateway("max_body = \"64KiB\"", &[("ok", "")]);
    let good = chat("ok").to_string();
    let gzip = |text: &str| {
        let mut packed = GzEncoder::new(Vec::new(), Compression::best());
        packed.write_all(text.as_bytes()).unwrap();
        packed.finish().unwrap()
    };
    let mut framed = ZlibEncoder::new(Vec::new(), Compression::fast());
    framed.write_all(good.as_bytes()).unwrap();
    let mut bare = DeflateEncoder::new(Vec::new(), Compression::fast());
    bare.write_all(good.as_bytes()).unwrap();
    let bomb = gzip(&format!("{{\"pad\": \"{}\"}}", "x".repeat(20 << 20)));
    assert!(bomb.len() < 64 << 10, "packed it would pass");
    let cut = gzip(&good)[..30].to_vec();
    for (encoding, body, wanted, param) in [
        ("gzip", gzip(&good), 200, ""),
        ("GZIP", gzip(&good), 200, ""),
        ("x-gzip", gzip(&good), 200, ""),
        ("deflate", framed.finish().unwrap(), 200, ""),
        ("deflate", bare.finish().unwrap(), 200, ""),
        ("identity", good.clone().into_bytes(), 200, ""),
        ("gzip", bomb, 413, "body"),
        ("gzip", cut, 400, "body"),
        ("gzip", good.clone().into_bytes(), 400, "body"),
        ("br", good.clone().into_bytes(), 415, "content-encoding"),
        ("zstd", good.clone().into_bytes(), 415, "content-encoding"),
        ("gzip, gzip", gzip(&good), 415, "content-encoding"),
        ("nonsense", good.clone().into_bytes(), 415, "content-encoding"),
    ] {
        let request = client().post(format!("{}{CHAT}", gateway.public)).header("content-type", "application/json");
        let answer = request.header("content-encoding", encoding).body(body).send().await.unwrap();
        assert_eq!(answer.status(), wanted, "{encoding}");
        if wanted == 415 {
            assert_eq!(answer.headers()["accept-encoding"], "gzip, deflate");
        }
        let answer = read(answer).await;
        assert_eq!(answer["error"]["param"].as_str().unwrap_or_default(), param, "{encoding}: {answer}");
    }
}

#[tokio::test]
async fn a_body_is_not_read_where_the_key_is_wrong() {
    let lab = Lab::start();
    let gateway = lab.gateway(KEYED, &[("ok", "")]);
    let document = read(client().get(format!("{}/openapi.json", gateway.public)).send().await.unwrap()).await;
    let paths = document["paths"].as_object().unwrap();
    let taking = paths.iter().filter(|(path, operations)| operations.get("post").is_some() && !path.contains("/remix"));
    for path in taking.map(|(path, _)| path.replace("{response}", "r")) {
        // The body never comes, and is not waited for.
        let head =
            format!("POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer no\r\ncontent-length: 60000000\r\n\r\n[");
        let answer = raw(&gateway.public, &head).await;
        assert!(answer.starts_with("HTTP/1.1 401 "), "{path}: {answer}");
    }
    let head = "POST /admin/models/ok HTTP/1.1\r\nhost: x\r\ncontent-length: 60000\r\n\r\n{";
    let answer = raw(&gateway.admin, head).await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
}

#[tokio::test]
async fn names_with_control_characters_go_nowhere() {
    let lab = Lab::start();
    let gateway = lab.gateway("", &[("ok", "")]);
    let asked_for_others = gateway_for_all(&lab);
    for gateway in [&gateway, &asked_for_others] {
        for name in ["new\nline", "nul\0", "\u{7f}", "tab\t", "c1\u{85}"] {
            let refused = post(gateway, CHAT, &chat(name), &[]).await;
            assert_eq!(refused.status(), 400, "{name:?}");
            assert_eq!(read(refused).await["error"]["param"], "model");
            let task =
                json!([{"taskType": "textInference", "taskUUID": "u", "model": name, "messages": [{"role": "user"}]}]);
            assert_eq!(post(gateway, "/v1", &task, &[]).await.status(), 400, "{name:?}");
        }
        assert_eq!(status(gateway, &[("x-fairflow-tenant", "a\tb")]).await, 400);
    }
    assert_eq!(lab.seen.calls.load(Ordering::SeqCst), 0, "nothing was paid for");
    // Other letters are no harm, in a header neither.
    let request =
        client().post(format!("{}{CHAT}", asked_for_others.public)).header("x-fairflow-tenant", "äöü".as_bytes());
    assert_eq!(request.body(chat("ok").to_string()).send().await.unwrap().status(), 200);
    let answer = post(&gateway_named(&lab, "mödel"), CHAT, &chat("mödel"), &[]).await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["x-fairflow-route"]),
        (200, &"lab/%C3%B6k".parse().unwrap())
    );
}

fn account(lab: &Lab) -> String {
    format!("[providers.lab]\nkind = \"openai\"\nbase_url = \"http://127.0.0.1:{}/v1\"\n", lab.port)
}

/// A gateway that sends models it does not know to the lab.
fn gateway_for_all(lab: &Lab) -> Gateway {
    Gateway::start("", &format!("{}[defaults]\nunknown_models = \"lab\"\n", account(lab)))
}

/// A gateway with one model of a name, which is "ök" to the lab.
fn gateway_named(lab: &Lab, name: &str) -> Gateway {
    let model = format!("[models.{name:?}]\nroutes = [{{ provider = \"lab\", model = \"ök\" }}]\n");
    Gateway::start("", &[account(lab), model].concat())
}

#[tokio::test]
async fn what_is_refused_at_the_door_is_counted() {
    let lab = Lab::start();
    let gateway = lab.gateway("", &[("ok", "")]);
    let count = async |reason: &str| {
        let page = client().get(format!("{}/metrics", gateway.admin)).send().await.unwrap().text().await.unwrap();
        let series = format!("fairflow_rejected_total{{model=\"\",reason=\"{reason}\"}} ");
        page.lines().find_map(|line| line.strip_prefix(&series)?.parse::<u64>().ok()).unwrap()
    };
    for (method, base, path, reason) in [
        (Method::POST, &gateway.public, "/v1/completions", "unknown_path"),
        (Method::PUT, &gateway.public, CHAT, "unknown_path"),
        (Method::GET, &gateway.public, "/v1", "invalid_request"),
        (Method::GET, &gateway.public, "/v1/videos/none", "not_found"),
        (Method::GET, &gateway.public, "/v1/responses/none", "not_found"),
        (Method::GET, &gateway.admin, "/assets/none", "unknown_path"),
        (Method::GET, &gateway.admin, "/none", "unknown_path"),
    ] {
        let before = count(reason).await;
        let request = client().request(method, format!("{base}{path}")).header("x-request-id", "mine");
        let refused = request.send().await.unwrap();
        assert!(refused.status().is_client_error(), "{path}");
        assert_eq!(
            (&refused.headers()["x-fairflow-reason"], &refused.headers()["x-request-id"]),
            (&reason.parse().unwrap(), &"mine".parse().unwrap()),
            "{path}"
        );
        assert_eq!(count(reason).await - before, 1, "{path}");
        let answer = refused.text().await.unwrap();
        let leads_on = base == &gateway.public || answer.contains("GET / is the dashboard");
        assert!(leads_on && !(base == &gateway.admin && answer.contains("openapi.json")), "{answer}");
    }
    // A handshake without its key.
    let before = count("invalid_request").await;
    let upgrade = "GET /v1 HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    let answer = raw(&gateway.public, upgrade).await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("handshake failed"), "{answer}");
    assert_eq!(count("invalid_request").await - before, 1);
    // A task under the UUID of another.
    let task = |text: &str| {
        json!([{"taskType": "textInference", "taskUUID": "7d1c0c3e-0000-4000-8000-000000000001",
        "model": "ok", "messages": [{"role": "user", "content": text}]}])
    };
    assert_eq!(post(&gateway, "/v1", &task("one"), &[]).await.status(), 200);
    assert_eq!(post(&gateway, "/v1", &task("two"), &[]).await.status(), 400);
    assert_eq!(count("conflict").await, 1);
    // Two models that are not there, in one array, and a third over a socket.
    let missing = |uuid: &str| text("none", uuid);
    let array =
        json!([missing("7d1c0c3e-0000-4000-8000-000000000002"), missing("7d1c0c3e-0000-4000-8000-000000000003")]);
    assert_eq!(post(&gateway, "/v1", &array, &[]).await.status(), 404);
    assert_eq!(count("unknown_model").await, 2);
    let (mut socket, _) = Client::open(&gateway, "k", None).await;
    socket.send(&json!([missing("7d1c0c3e-0000-4000-8000-000000000004")])).await;
    assert_eq!(socket.next().await["errors"][0]["code"], "invalidModel");
    assert_eq!(count("unknown_model").await, 3);
    assert_eq!(status(&gateway, &[("origin", "http://evil.example")]).await, 403);
    assert_eq!(count("foreign_page").await, 1);
}

#[tokio::test]
async fn a_connection_stays_open_as_long_as_it_is_set() {
    let lab = Lab::start();
    for (server, stays) in [("client_keep_alive = \"100ms\"", false), ("", true)] {
        let gateway = lab.gateway(server, &[("ok", "")]);
        let address = gateway.public.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let mut seen = Vec::new();
        // It was closed after 5 s, whatever was wanted.
        let ended = tokio::time::timeout(Duration::from_secs(7), stream.read_to_end(&mut seen)).await;
        assert!(seen.starts_with(b"HTTP/1.1 200 "));
        assert_eq!(ended.is_err(), stays, "{server}");
    }
}
