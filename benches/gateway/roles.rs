//! What this program is when it starts itself: a provider that does as it is told, or a bare forwarder.

use std::convert::Infallible;
use std::net::TcpListener;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix_web::web::{Bytes, Data, PayloadConfig, ServiceConfig};
use actix_web::{App, HttpResponse, HttpServer, web};
use futures_util::stream::{self, StreamExt};

use crate::UPSTREAM;

pub const PATH: &str = "/v1/chat/completions";
const ANSWER: &str = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"gpt-test","choices":[{"index":0,"message":{"role":"assistant","content":"Air scatters short waves more than long ones, so blue light reaches us from everywhere."},"finish_reason":"stop"}],"usage":{"prompt_tokens":31,"completion_tokens":19,"total_tokens":50}}"#;
/// Bytes of a large answer in each piece of a stream.
const PIECE: usize = 16 * 1_024;

/// The provider. A chat may say in its first message what to do: `do:wait;`, `do:sleep,MS;`, `do:pieces,COUNT,MS;`,
/// `do:large,BYTES;`, `do:stream,BYTES;`. Without, it answers at once.
pub fn provide() {
    serve(1, move |app| {
        app.route(PATH, web::post().to(answer));
        // What balancers ask of workers before they send anything.
        app.default_service(web::to(|| async { HttpResponse::Ok().content_type("application/json").body(r#"{"status":"ok","object":"list","data":[{"id":"gpt-test","object":"model","created":1,"owned_by":"lab"}]}"#) }));
    });
}

async fn answer(question: Bytes) -> HttpResponse {
    let start = String::from_utf8_lossy(&question[..question.len().min(256)]);
    let order = start.split_once("do:").and_then(|(_, rest)| rest.split(';').next()).unwrap_or_default();
    let mut words = order.split(',');
    let name = words.next().unwrap_or_default();
    let numbers: Vec<usize> = words.map(|word| word.parse().unwrap()).collect();
    match (name, &numbers[..]) {
        ("wait", []) => std::future::pending().await,
        ("sleep", [millis]) => tokio::time::sleep(Duration::from_millis(*millis as u64)).await,
        ("pieces", [count, millis]) => return pieces(*count, Duration::from_millis(*millis as u64)),
        ("large", [bytes]) => return whole(ANSWER.replace("Air", &"x".repeat(*bytes))),
        ("stream", [bytes]) => return stream(*bytes),
        ("", []) => {}
        unknown => panic!("told to do {unknown:?}"),
    }
    whole(ANSWER.to_owned())
}

fn whole(body: String) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(body)
}

fn event(content: &str) -> Bytes {
    format!("data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"gpt-test\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{content}\"}},\"finish_reason\":null}}]}}\n\n").into()
}

fn events(pieces: impl stream::Stream<Item = Bytes> + 'static) -> HttpResponse {
    let end = stream::iter([
        Bytes::from_static(b"data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"gpt-test\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"),
        Bytes::from_static(b"data: [DONE]\n\n"),
    ]);
    HttpResponse::Ok().content_type("text/event-stream").streaming(pieces.chain(end).map(Ok::<_, Infallible>))
}

/// Pieces that say when they were sent, in microseconds of Unix time.
fn pieces(count: usize, every: Duration) -> HttpResponse {
    events(stream::iter(0..count).then(move |_| async move {
        tokio::time::sleep(every).await;
        event(&format!("sent:{};", micros()))
    }))
}

/// Returns Unix time in microseconds, which processes of one machine share.
pub fn micros() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64
}

fn stream(bytes: usize) -> HttpResponse {
    let piece = event(&"x".repeat(PIECE));
    events(stream::iter(std::iter::repeat_n(piece, bytes.div_ceil(PIECE))))
}

/// What forwarding costs by itself: the body goes on as it is, and the answer as it comes.
pub fn forward() {
    let url = format!("{}/chat/completions", std::env::var(UPSTREAM).unwrap());
    rustls::crypto::ring::default_provider().install_default().unwrap();
    let client = reqwest::Client::builder().no_proxy().tcp_nodelay(true).build().unwrap();
    let answer = |body: Bytes, target: Data<(reqwest::Client, String)>| async move {
        let request = target.0.post(&target.1).header("content-type", "application/json").body(body);
        let answer = request.send().await.unwrap();
        let kind = answer.headers()["content-type"].clone();
        if kind.as_bytes().starts_with(b"text/event-stream") {
            return HttpResponse::Ok().content_type(kind.to_str().unwrap()).streaming(answer.bytes_stream());
        }
        HttpResponse::Ok().content_type("application/json").body(answer.bytes().await.unwrap())
    };
    let target = Data::new((client, url));
    let workers = std::thread::available_parallelism().unwrap().get();
    serve(workers, move |app| _ = app.app_data(target.clone()).route(PATH, web::post().to(answer)));
}

fn serve(workers: usize, routes: impl Fn(&mut ServiceConfig) + Clone + Send + 'static) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("http://{}/v1", listener.local_addr().unwrap());
    let app = move || App::new().app_data(PayloadConfig::new(64 << 20)).configure(routes.clone());
    // Connections that rest while the others have their turn are not closed.
    let server = HttpServer::new(app).keep_alive(Duration::from_secs(600)).tcp_nodelay(true).workers(workers);
    actix_web::rt::System::new().block_on(server.listen(listener).unwrap().run()).unwrap();
}
