//! What is wrong with a request is said in the shape of its API, with the field, and before anything is scheduled.

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::lab::{CHAT, Lab, chat, post};
use crate::support::{client, json as read};

fn header<'a>(response: &'a reqwest::Response, name: &str) -> &'a str {
    response.headers().get(name).unwrap_or_else(|| panic!("{name} is missing")).to_str().unwrap()
}

/// Writes a form: a name that begins with `@` is that of a file.
fn form(fields: &[(&str, &str)]) -> String {
    let part = |(name, value): &(&str, &str)| {
        let (name, file) = name.strip_prefix('@').map_or((*name, ""), |name| (name, "; filename=\"a.png\""));
        format!("--B\r\ncontent-disposition: form-data; name=\"{name}\"{file}\r\n\r\n{value}\r\n")
    };
    fields.iter().map(part).chain(["--B--\r\n".to_owned()]).collect()
}

#[tokio::test]
async fn wrong_forms_are_refused_with_the_field_named() {
    let lab = Lab::start();
    let gateway = lab.gateway("max_body = \"10KiB\"", &[("ok", "")]);
    let good = [("model", "ok"), ("prompt", "x"), ("@image", "PNG")];
    let with = |more: &[(&str, &str)]| form(&[&good, more].concat());
    let without = |name: &str| form(&good.into_iter().filter(|(given, _)| *given != name).collect::<Vec<_>>());
    for (body, status, param, says) in [
        (without("model"), 400, "model", "missing"),
        (with(&[("model", "other")]), 400, "model", "more than once"),
        (with(&[("stream", "maybe")]), 400, "stream", "not maybe"),
        (with(&[("@image", &"x".repeat(20_000))]), 413, "body", "10"),
        (form(&good).replace("model\"\r\n\r\nok", "model\"\r\n\r\nno"), 404, "model", "configured"),
        (form(&good)[..50].to_owned(), 400, "body", "cut off"),
        (String::new(), 400, "body", "boundary"),
    ] {
        let request = client().post(format!("{}/v1/images/edits", gateway.public));
        let request = request.header("content-type", "multipart/form-data; boundary=B").body(body.clone());
        let response = request.send().await.unwrap();
        let (got, answer) = (response.status().as_u16(), read(response).await);
        assert_eq!((got, &answer["error"]["param"]), (status, &json!(param)), "{answer}");
        assert!(answer["error"]["message"].as_str().unwrap().contains(says), "{says}: {answer}");
    }
    assert_eq!(lab.seen.calls.load(std::sync::atomic::Ordering::SeqCst), 0, "nothing was sent");
}

/// What a provider takes is not for a gateway to guess: it reads what a request will cost, and forwards the rest.
#[tokio::test]
async fn what_only_the_provider_can_judge_is_forwarded() {
    let lab = Lab::start();
    let gateway = lab.gateway("", &[("ok", "")]);
    let mut asked = 0;
    for (path, body) in [
        (CHAT, r#"{"model":"ok","messages":[1],"max_tokens":-1}"#),
        (CHAT, r#"{"model":"ok","messages":[1],"max_tokens":0,"n":20.0,"max_completion_tokens":20.0}"#),
        (CHAT, r#"{"model":"ok","messages":[1],"max_tokens":"20","n":null,"stream":null}"#),
        (CHAT, r#"{"model":"ok","messages":[],"n":0,"max_tokens":1e999}"#),
        (CHAT, r#"{"model":"ok","messages":"hi"}"#),
        (CHAT, r#"{"model":"ok","prompt":"hi"}"#),
        ("/v1/responses", r#"{"model":"ok","prompt":{"id":"pmpt_1"}}"#),
        ("/v1/responses", r#"{"model":"ok","conversation":"conv_1","input":null}"#),
        ("/v1/embeddings", r#"{"model":"ok","messages":[{"role":"user","content":"x"}]}"#),
        ("/v1/embeddings", r#"{"model":"ok","input":5}"#),
        ("/v1/images/generations", r#"{"model":"ok","size":"2K"}"#),
        ("/v1/images/edits", r#"{"model":"ok","images":null}"#),
    ] {
        let request = client().post(format!("{}{path}", gateway.public)).body(body);
        assert_eq!(request.send().await.unwrap().status(), 200, "{path}: {body}");
        asked += 1;
    }
    assert_eq!(lab.seen.calls.load(std::sync::atomic::Ordering::SeqCst), asked, "each was the provider's to judge");
    // Forms too; the lab takes none, and says so itself.
    let base = [("model", "ok"), ("prompt", "x")];
    for more in [&[("@image[0]", "P"), ("@image[1]", "Q")][..], &[("size", "auto-ish"), ("n", "0")], &[]] {
        // A file's name in Latin-1.
        let body = form(&[&base, more].concat()).replace("a.png", "\u{e9}.png");
        let body: Vec<u8> = body.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
        let request = client().post(format!("{}/v1/images/edits", gateway.public));
        let request = request.header("content-type", "multipart/form-data; boundary=B").body(body);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200, "{more:?}");
    }
    assert_eq!(lab.seen.calls.load(std::sync::atomic::Ordering::SeqCst), asked + 3);
}

#[tokio::test]
async fn wrong_bodies_are_refused_with_the_field_named() {
    let lab = Lab::start();
    let gateway = lab.gateway("max_body = \"10KiB\"", &[("ok", "")]);
    let send = async |path: &str, body: &str| {
        let response = client().post(format!("{}{path}", gateway.public)).body(body.to_owned()).send().await.unwrap();
        assert!(!header(&response, "x-request-id").is_empty());
        let reason = response.headers().get("x-fairflow-reason").map(|reason| reason.to_str().unwrap().to_owned());
        (response.status().as_u16(), reason.unwrap_or_default(), read(response).await)
    };
    for (path, body, status, reason, param, says) in [
        (CHAT, "{", 400, "invalid_request", "body", "JSON object"),
        (CHAT, "", 400, "invalid_request", "body", "JSON object"),
        (CHAT, "{}", 400, "invalid_request", "model", "missing"),
        (
            CHAT,
            r#" ["ok", [1], null, null, null, null, null, null, null]"#,
            400,
            "invalid_request",
            "body",
            "JSON object",
        ),
        (CHAT, r#"{"messages":[1]}"#, 400, "invalid_request", "model", "missing"),
        (CHAT, r#"{"model":"","messages":[1]}"#, 400, "invalid_request", "model", "empty"),
        (CHAT, r#"{"model":7,"messages":[1]}"#, 400, "invalid_request", "model", "not 7"),
        (CHAT, r#"{"model":"ok","messages":[1],"stream":"yes"}"#, 400, "invalid_request", "stream", "true or false"),
        (CHAT, r#"{"model":"okk","messages":[1]}"#, 404, "unknown_model", "model", "did you mean \"ok\"?"),
    ] {
        let (got, why, answer) = send(path, body).await;
        let error = &answer["error"];
        assert_eq!((got, why.as_str(), &error["param"]), (status, reason, &json!(param)), "{body}: {answer}");
        assert!(error["message"].as_str().unwrap().contains(says), "{body}: {answer}");
        // Where clients look for it, a model that is not there has a name of its own.
        let code = if reason == "unknown_model" { "model_not_found" } else { reason };
        assert_eq!((&error["type"], &error["code"]), (&json!("invalid_request_error"), &json!(code)), "{answer}");
    }
    for (body, status, code, parameter, says) in [
        ("{", 400, "invalidParameter", "body", "JSON array"),
        ("{}", 400, "invalidParameter", "body", "array of tasks"),
        ("[]", 400, "invalidParameter", "body", "1 to 64"),
        ("[7]", 400, "invalidParameter", "task", "object"),
        (r#"[{"taskUUID":"U","model":"ok"}]"#, 400, "invalidParameter", "taskType", "missing"),
        (r#"[{"taskType":"textInference","taskUUID":"U"}]"#, 400, "invalidParameter", "model", "missing"),
        (r#"[{"taskType":"textInference","taskUUID":"U","model":"no"}]"#, 404, "invalidModel", "model", "configured"),
        (
            r#"[{"taskType":"textInference","taskUUID":"U","model":"ok","deliveryMethod":"pigeon"}]"#,
            400,
            "invalidParameter",
            "deliveryMethod",
            "sync",
        ),
        (
            r#"[{"taskType":"textInference","taskUUID":"U","model":"ok","webhookURL":"http://10.0.0.1/x"}]"#,
            400,
            "invalidParameter",
            "webhookURL",
            "https://",
        ),
        (r#"[{"taskType":"getResponse","taskUUID":"V"}]"#, 400, "invalidParameter", "taskUUID", "no task"),
        (r#"[{"taskType":"modelSearch","taskUUID":"U"}]"#, 400, "invalidParameter", "model", "[models.tasks]"),
    ] {
        for path in ["/v1", "/"] {
            let (got, _, answer) = send(path, body).await;
            let error = &answer["errors"][0];
            assert_eq!(
                (got, &error["code"], &error["parameter"]),
                (status, &json!(code), &json!(parameter)),
                "{answer}"
            );
            assert!(error["message"].as_str().unwrap().contains(says), "{body}: {answer}");
            assert_eq!(answer["message"], error["message"], "{answer}");
            let (own, sent) = (
                error["taskUUID"].as_str().unwrap(),
                ["U", "V"].into_iter().find(|id| body.contains(&format!("\"{id}\""))),
            );
            // A task that has none is given one.
            assert!(sent.map_or(own.is_empty() || own.len() == 36, |sent| own == sent), "{answer}");
        }
    }
    assert_eq!(lab.seen.calls.load(std::sync::atomic::Ordering::SeqCst), 0, "nothing reached the provider");
}

#[tokio::test]
async fn wrong_headers_are_refused_with_their_value() {
    let lab = Lab::start();
    let gateway = lab.gateway("", &[("ok", "")]);
    let task = json!([{"taskType": "textInference", "taskUUID": "U", "model": "ok", "messages": []}]);
    for (name, value) in [
        ("x-fairflow-max-wait", "soon"),
        ("x-fairflow-max-wait", "0"),
        ("x-fairflow-max-wait", "-5"),
        ("x-fairflow-max-wait", "é"),
        ("x-fairflow-class", "urgent"),
    ] {
        let response = post(&gateway, CHAT, &chat("ok"), &[(name, value)]).await;
        assert_eq!(response.status(), 400);
        let error = read(response).await;
        let message = error["error"]["message"].as_str().unwrap();
        assert!(message.contains(name) && message.contains(value) && error["error"]["param"] == name, "{error}");
        let answer = read(post(&gateway, "/v1", &task, &[(name, value)]).await).await;
        assert_eq!((&answer["errors"][0]["parameter"], &answer["errors"][0]["taskUUID"]), (&json!(name), &json!("U")));
    }
    let response = post(&gateway, CHAT, &chat("ok"), &[("x-request-id", "mine"), ("x-fairflow-class", "batch")]).await;
    assert_eq!((response.status().as_u16(), header(&response, "x-request-id")), (200, "mine"));
    assert_eq!((header(&response, "x-fairflow-attempts"), header(&response, "x-fairflow-route")), ("1", "lab/ok"));
}

/// Sends a head and pieces of a body by hand, and returns the answer and how many pieces were sent when it came.
async fn raw(gateway: &str, head: &str, piece: &[u8], pieces: usize) -> (String, usize) {
    let mut socket = TcpStream::connect(gateway.trim_start_matches("http://")).await.unwrap();
    socket.write_all(head.as_bytes()).await.unwrap();
    let (mut reader, mut writer) = socket.split();
    let mut answer = vec![0; 4_096];
    let (mut sent, mut length) = (0, 0);
    let send = async {
        while sent < pieces && writer.write_all(piece).await.is_ok() {
            sent += 1;
        }
        std::future::pending::<()>().await;
    };
    let receive = async { length = reader.read(&mut answer).await.unwrap() };
    tokio::select! {
        () = send => {}
        () = receive => {}
        () = tokio::time::sleep(std::time::Duration::from_secs(5)) => {}
    }
    (String::from_utf8_lossy(&answer[..length]).into_owned(), sent)
}

#[tokio::test]
async fn a_body_that_is_too_large_is_not_read() {
    let lab = Lab::start();
    let gateway = lab.gateway("max_body = \"64KiB\"", &[("ok", "")]);
    for (path, field) in [(CHAT, "/error/message"), ("/v1", "/errors/0/message")] {
        // Nothing of the body is sent, and the answer is there all the same.
        let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000000000\r\n\r\n");
        let (announced, _) = raw(&gateway.public, &head, b"", 0).await;
        // Without a length it is refused as soon as it is too long, long before all 64 MiB were sent.
        let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n");
        let piece = [b"4000\r\n".as_slice(), &[b'x'; 0x4000], b"\r\n"].concat();
        let (chunked, sent) = raw(&gateway.public, &head, &piece, 4_096).await;
        assert!(sent < 4_096, "{path}: only when all was sent");
        for answer in [announced, chunked] {
            assert!(answer.starts_with("HTTP/1.1 413 "), "{path}: {answer:?}");
            assert!(answer.contains("x-fairflow-reason: body_too_large\r\n"), "{answer}");
            let body: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
            assert!(body.pointer(field).unwrap().as_str().unwrap().contains("64.0 KiB"), "{body}");
        }
    }
    assert_eq!(post(&gateway, CHAT, &chat("ok"), &[]).await.status(), 200);
}

#[tokio::test]
async fn keys_are_asked_for() {
    let lab = Lab::start();
    let gateway = lab.gateway("auth = \"keys\"", &[("ok", "")]);
    let task = json!([{"taskType": "textInference", "taskUUID": "U", "model": "ok", "messages": [{"role": "user"}]}]);
    for headers in
        [&[][..], &[("authorization", "Bearer no")], &[("authorization", "abc")], &[("x-fairflow-tenant", "acme")]]
    {
        let response = post(&gateway, CHAT, &chat("ok"), headers).await;
        assert_eq!((response.status().as_u16(), header(&response, "x-fairflow-reason")), (401, "invalid_key"));
        assert_eq!(read(response).await["error"]["code"], "invalid_api_key");
        let response = post(&gateway, "/v1", &task, headers).await;
        assert_eq!((response.status().as_u16(), header(&response, "x-fairflow-reason")), (401, "invalid_key"));
        let answer = read(response).await;
        assert_eq!(
            (&answer["errors"][0]["code"], &answer["errors"][0]["taskUUID"]),
            (&json!("invalidApiKey"), &json!("U"))
        );
        assert_eq!(answer["error"], answer["errors"][0]);
        for path in ["/v1/models", "/v1/capacity", "/v1/capacity/ok"] {
            assert_eq!(client().get(format!("{}{path}", gateway.public)).send().await.unwrap().status(), 401, "{path}");
        }
    }
    let with_key = [("authorization", "Bearer abc")];
    assert_eq!(post(&gateway, CHAT, &chat("ok"), &with_key).await.status(), 200);
    assert_eq!(post(&gateway, "/v1", &task, &with_key).await.status(), 200);
    let key_in_body = json!([{"taskType": "authentication", "apiKey": "abc"}, task[0]]);
    assert_eq!(post(&gateway, "/v1", &key_in_body, &[]).await.status(), 200);
}

#[tokio::test]
async fn other_paths_and_methods_are_answered_in_json() {
    let lab = Lab::start();
    let gateway = lab.gateway("", &[("ok", "")]);
    for (method, path, status, allow) in [
        (Method::GET, "/v1/chats", 404, None),
        (Method::POST, "/metrics", 404, None),
        (Method::GET, "/v1/chat/completions", 405, Some("POST")),
        (Method::DELETE, "/v1/capacity/ok", 405, Some("GET, HEAD")),
        (Method::PUT, "/v1", 405, Some("POST, GET, HEAD")),
        (Method::DELETE, "/", 405, Some("POST, GET, HEAD")),
    ] {
        let response = client().request(method, format!("{}{path}", gateway.public)).send().await.unwrap();
        let given = response.headers().get("allow").map(|allow| allow.to_str().unwrap().to_owned());
        assert_eq!((response.status().as_u16(), given.as_deref()), (status, allow), "{path}");
        let answer = read(response).await;
        // In the shape of the API that the path belongs to.
        let said = answer["error"]["message"].as_str().or_else(|| answer["errors"][0]["message"].as_str());
        assert!(said.unwrap().contains(path), "{answer}");
    }
    // What the description lists is there.
    let document = read(client().get(format!("{}/openapi.json", gateway.public)).send().await.unwrap()).await;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys() {
            let url = format!("{}{}", gateway.public, path.replace("{model}", "ok"));
            // That there is no such video or response is told too, by their own routes.
            let response = client().request(method.to_uppercase().parse().unwrap(), url).send().await.unwrap();
            let expected = match (method.as_str(), path.as_str()) {
                ("post", path) if !path.contains("{response}") && !path.contains("{video}") => 400,
                // A socket, which this is no handshake for.
                (_, "/" | "/v1") => 426,
                (_, path) if path.contains("{video}") || path.contains("{response}") => 404,
                _ => 200,
            };
            assert_eq!(response.status().as_u16(), expected, "{method} {path}");
        }
    }
}
