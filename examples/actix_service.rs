//! An actix-web service whose tenants share one model fairly.
//!
//!     cargo run --example actix_service
//!     curl -H 'x-tenant: acme' 'http://127.0.0.1:3001/image?prompt=a+red+fox'
//!
//! With `--once` it asks itself and ends.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "an example")]

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use fairflow::task::ImageInference;
use fairflow::{Class, Config, Fairflow};

#[derive(serde::Deserialize)]
struct Ask {
    prompt: String,
}

async fn image(fairflow: web::Data<Fairflow>, request: HttpRequest, ask: web::Query<Ask>) -> HttpResponse {
    let tenant = request.headers().get("x-tenant").and_then(|name| name.to_str().ok()).unwrap_or("anonymous");
    let task = ImageInference::new("sim-image", &ask.prompt).size(512, 512);
    match fairflow.generate(task).tenant(tenant).class(Class::Interactive).max_wait(Duration::from_secs(20)).await {
        Ok(result) => HttpResponse::Ok().body(result.images[0].url.clone().unwrap_or_default()),
        Err(error) => {
            let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let mut refusal = HttpResponse::build(status);
            if let Some(wait) = error.retry_after() {
                refusal.insert_header(("retry-after", wait.as_secs_f64().ceil().max(1.0).to_string()));
            }
            refusal.body(format!("{}: {error}\n", error.reason()))
        }
    }
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let once = std::env::args().any(|argument| argument == "--once");
    let fairflow = Fairflow::builder(Config::demo()).start().await?;
    let shared = web::Data::new(fairflow.clone());
    let server = HttpServer::new(move || App::new().app_data(shared.clone()).route("/image", web::get().to(image)));
    let server = server.workers(2).shutdown_timeout(1).bind(("127.0.0.1", if once { 0 } else { 3001 }))?;
    let address = server.addrs()[0];
    println!("try  curl -H 'x-tenant: acme' 'http://{address}/image?prompt=a+red+fox'   ctrl-c drains and ends");
    let server = server.run();
    if once {
        let handle = server.handle();
        actix_web::rt::spawn(async move {
            println!("{}", ask(address).await.unwrap());
            handle.stop(true).await;
        });
    }
    server.await?;
    println!("drained in time: {}", fairflow.drain(Duration::from_secs(10)).await);
    Ok(())
}

async fn ask(address: std::net::SocketAddr) -> std::io::Result<String> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    stream.write_all(b"GET /image?prompt=a+red+fox HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    Ok(answer)
}
