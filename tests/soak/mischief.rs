//! How a provider misbehaves at a request: one row a way, drawn by the request's own text.

use std::io::Write;
use std::sync::LazyLock;
use std::time::Duration;

use crate::dice::Dice;
use crate::script::{End, Script, chunk, head};

pub const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=UTF-8";
const PAGE: &str = "<html><head><title>nginx</title></head><body><center><h1>Oh no</h1></center></body></html>";

/// What a misbehaving provider has at hand.
pub struct Asked {
    /// The body of the right answer, where it were JSON, …
    pub body: String,
    /// … and the whole answer as it should be.
    pub right: Script,
    /// Whether that is an event stream.
    pub stream: bool,
}

/// What the caller must hear of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hears {
    /// The right answer: nothing is wrong with it that a client may not bear.
    Answer,
    /// The provider's own words: the request's own matter.
    Words(&'static str),
    /// Some true error, or the answer where it was there.
    Either,
}

#[derive(Debug)]
pub struct Mischief {
    pub name: &'static str,
    pub hears: Hears,
    pub play: fn(&mut Dice, Asked) -> Script,
}

/// Draws what a request meets.
pub fn draw(dice: &mut Dice, stream: bool) -> &'static Mischief {
    let streams = crate::stream_mischief::STREAMS;
    let at = dice.below(WAYS.len() + if stream { streams.len() } else { 0 });
    WAYS.get(at).unwrap_or_else(|| &streams[at - WAYS.len()])
}

/// Finds a way by its name.
pub fn named(name: &str) -> &'static Mischief {
    WAYS.iter().find(|way| way.name == name).unwrap_or_else(|| panic!("no mischief {name}"))
}

/// What a dead deployment, a broken replica or a revoked key of one route may say to all who come.
pub const OF_A_ROUTE: [&str; 14] = [
    "500",
    "501",
    "505",
    "520 page",
    "521 page",
    "525 page",
    "530 page",
    "404 gone",
    "200 error",
    "200 page",
    "200 empty",
    "502 page",
    "reset before the head",
    "307",
];

const fn way(name: &'static str, hears: Hears, play: fn(&mut Dice, Asked) -> Script) -> Mischief {
    Mischief { name, hears, play }
}

const fn bad(name: &'static str, play: fn(&mut Dice, Asked) -> Script) -> Mischief {
    way(name, Hears::Either, play)
}

/// Writes an error as OpenAI has it.
fn error(status: u16, headers: &str, kind: &str, message: &str) -> Script {
    let code = if kind.is_empty() { "null".to_owned() } else { format!("\"{kind}\"") };
    let body = format!(r#"{{"error":{{"message":"{message}","type":"{kind}","param":null,"code":{code}}}}}"#);
    Script::answer(status, headers, JSON, body)
}

fn page(status: u16) -> Script {
    Script::answer(status, "server: cloudflare\r\ncf-ray: 8f-FRA\r\n", HTML, PAGE)
}

fn ok(body: impl AsRef<[u8]>) -> Script {
    Script::answer(200, "", JSON, body)
}

fn packed(body: &str) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(body.as_bytes()).unwrap();
    packer.finish().unwrap()
}

/// Four times what the gateway reads of an answer, in some kilobytes.
static BOMB: LazyLock<Vec<u8>> = LazyLock::new(|| packed(&" ".repeat(4 << 20)));

/// Makes what takes long to make before anybody waits for it.
pub fn prepare() {
    LazyLock::force(&BOMB);
}

/// The first bytes of a text, somewhere in its middle.
fn part<'a>(dice: &mut Dice, text: &'a str) -> &'a str {
    &text[..1 + dice.below(text.len() - 1)]
}

const WORDS: Hears = Hears::Words("oddity 4711");
const SOON: Duration = Duration::from_millis(2);

/// Waits that are none.
const NONSENSE: [&str; 10] = [
    "-5",
    "soon",
    "1e400",
    "NaN",
    "Thu, 01 Jan 1970 00:00:00 GMT",
    "Fri, 31 Dec 9999 23:59:59 GMT",
    "99999999999999999999",
    "0x10",
    ", ,",
    "1;2",
];

pub static WAYS: &[Mischief] = &[
    bad("500", |_, _| error(500, "", "server_error", "The server had an error")),
    bad("500 out of memory", |_, _| error(500, "", "", "CUDA out of memory")),
    bad("501", |_, _| error(501, "", "", "not here")),
    bad("502 page", |_, _| page(502)),
    bad("503", |_, _| error(503, "", "", "no healthy upstream")),
    bad("503 with nonsense", |dice, _| error(503, &format!("retry-after: {}\r\n", dice.pick(&NONSENSE)), "", "later")),
    bad("503 cold", |_, _| Script::answer(503, "", JSON, r#"{"error":"Model is loading","estimated_time":0.2}"#)),
    bad("503 cold for ever", |_, _| Script::answer(503, "", JSON, r#"{"error":"loading","estimated_time":1e300}"#)),
    bad("504 page", |_, _| page(504)),
    bad("505", |_, _| error(505, "", "", "what")),
    bad("520 page", |_, _| page(520)),
    bad("521 page", |_, _| page(521)),
    bad("522 page", |_, _| page(522)),
    bad("523 page", |_, _| page(523)),
    bad("524 page", |_, _| page(524)),
    bad("525 page", |_, _| page(525)),
    bad("530 page", |_, _| page(530)),
    bad("599", |_, _| Script::answer(599, "", JSON, "")),
    bad("999", |_, _| Script::answer(999, "", JSON, "{}")),
    way("400", WORDS, |_, _| error(400, "", "invalid_request_error", "oddity 4711: max_tokens is too large")),
    way("402 of a request", WORDS, |_, _| {
        error(
            402,
            "",
            "",
            "oddity 4711: This request requires more credits, or fewer max_tokens. You requested up to \
             65536 tokens, but can only afford 1000",
        )
    }),
    way("403 of a scope", WORDS, |_, _| {
        error(
            403,
            "",
            "",
            "oddity 4711: You have insufficient permissions for this operation. Missing scopes: \
             model.request",
        )
    }),
    way("403 moderated", WORDS, |_, _| error(403, "", "moderation", "oddity 4711: your input was flagged")),
    way("413", WORDS, |_, _| error(413, "", "", "oddity 4711: too much")),
    way("422", WORDS, |_, _| error(422, "", "", "oddity 4711: width must be divisible by 8")),
    way("451", WORDS, |_, _| error(451, "", "", "oddity 4711: not in your country")),
    way("429 of a request", WORDS, |_, _| {
        error(
            429,
            "",
            "tokens",
            "oddity 4711: Request too large for m in organization o on tokens per min (TPM): \
             Limit 30000, Requested 65536. The input or output tokens must be reduced in order to run successfully.",
        )
    }),
    bad("404 gone", |_, _| error(404, "", "DeploymentNotFound", "The API deployment for this resource does not exist")),
    bad("404 page", |_, _| page(404)),
    bad("418 empty", |_, _| Script::answer(418, "", JSON, "")),
    bad("429 with nonsense", |dice, _| {
        error(429, &format!("retry-after: {}\r\n", dice.pick(&NONSENSE)), "", "slow down")
    }),
    bad("429 with wild limits", |dice, _| {
        let value = dice.pick(&["-1", "1e309", "NaN", "many", "18446744073709551616"]);
        let headers = format!(
            "x-ratelimit-limit-requests: {value}\r\nx-ratelimit-remaining-requests: {value}\r\n\
             x-ratelimit-reset-requests: {value}\r\nratelimit: \"x\";r={value};t={value}\r\n"
        );
        error(429, &headers, "", "slow down")
    }),
    bad("307", |_, _| Script::answer(307, "location: http://127.0.0.1:1/\r\n", HTML, PAGE)),
    bad("304", |_, _| Script::new(End::Keep).send("HTTP/1.1 304 Not Modified\r\n\r\n")),
    bad("204", |_, _| Script::new(End::Keep).send("HTTP/1.1 204 No Content\r\n\r\n")),
    bad("200 error", |_, _| ok(r#"{"error":{"message":"Upstream failed","code":502}}"#)),
    bad("200 page", |_, _| Script::answer(200, "", HTML, PAGE)),
    bad("200 page called JSON", |_, _| ok(PAGE)),
    bad("200 empty", |_, _| ok("")),
    bad("200 blank", |_, _| ok(" \r\n\t ")),
    bad("200 other JSON", |dice, _| ok(dice.pick(&["null", "[]", "{}", "\"x\"", "1e999", "[[[[", "{\"choices\":7}"]))),
    bad("200 no choice", |_, _| ok(r#"{"id":"x","object":"chat.completion","choices":[]}"#)),
    bad("200 noise", |dice, _| ok(dice.bytes(300))),
    bad("200 cut JSON", |dice, asked| ok(part(dice, &asked.body))),
    bad("noise for a head", |dice, _| Script::new(End::Close).send(dice.bytes(200))),
    bad("an old protocol", |_, asked| Script::new(End::Close).send(asked.body)),
    bad("endless headers", |_, _| {
        let name = format!("x-more: {}\r\n", "y".repeat(4000));
        Script::new(End::Close).send("HTTP/1.1 200 OK\r\n").endless(name, SOON)
    }),
    bad("one endless header", |_, _| {
        Script::new(End::Close).send("HTTP/1.1 200 OK\r\nx-more: ").endless("y".repeat(4000), SOON)
    }),
    bad("endless body", |_, _| {
        Script::new(End::Close)
            .send("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n")
            .endless("[".repeat(16_384), SOON)
    }),
    bad("endless error", |_, _| {
        Script::new(End::Close).send("HTTP/1.1 500 No\r\n\r\n").endless("x".repeat(16_384), SOON)
    }),
    bad("endless hints", |_, _| {
        let hint = "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n";
        Script::new(End::Close).endless(hint, Duration::from_millis(20))
    }),
    way("some hints", Hears::Answer, |_, asked| {
        let mut right = asked.right;
        right.steps.insert(0, crate::script::Step::Send(b"HTTP/1.1 100 Continue\r\n\r\n".repeat(3)));
        right
    }),
    bad("too long a length", |_, asked| {
        Script::new(End::Close).send(head(200, "", JSON, asked.body.len() + 9)).send(asked.body)
    }),
    bad("too short a length", |_, asked| Script::new(End::Keep).send(head(200, "", JSON, 9)).send(asked.body)),
    bad("a length that is none", |_, asked| {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: -1\r\n\r\n";
        Script::new(End::Close).send(head).send(asked.body)
    }),
    bad("two lengths", |_, asked| {
        let head = head(200, "content-length: 3\r\n", JSON, asked.body.len());
        Script::new(End::Close).send(head).send(asked.body)
    }),
    bad("an enormous length", |_, asked| {
        Script::new(End::Close).send(head(200, "", JSON, usize::MAX)).send(asked.body).stall()
    }),
    bad("chunks without size", |_, asked| Script::chunked("", JSON).send("zz\r\n").send(asked.body).then(End::Close)),
    bad("chunks that break off", |dice, asked| {
        let end = dice.pick(&[End::Close, End::Reset]);
        let half = chunk(part(dice, &asked.body));
        Script::chunked("", JSON).send(half).wait(Duration::from_millis(10)).then(end)
    }),
    bad("one answer too many", |_, asked| {
        let forged = r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"forged"}}]}"#;
        let twice =
            [head(200, "", JSON, asked.body.len()), asked.body, head(200, "", JSON, forged.len()), forged.into()];
        Script::new(End::Keep).send(twice.concat())
    }),
    bad("reset before the head", |_, _| Script::new(End::Reset)),
    bad("closed before the head", |_, _| Script::new(End::Close)),
    bad("reset in the head", |_, _| {
        Script::new(End::Reset).send("HTTP/1.1 200 OK\r\ncontent-").wait(Duration::from_millis(10))
    }),
    bad("reset in the body", |dice, asked| {
        let half = part(dice, &asked.body).to_owned();
        Script::new(End::Reset).send(head(200, "", JSON, asked.body.len())).send(half).wait(Duration::from_millis(10))
    }),
    bad("stalled before the head", |_, _| Script::new(End::Close).stall()),
    bad("stalled in the head", |_, _| Script::new(End::Close).send("HTTP/1.1 200 OK\r\nx: ").stall()),
    bad("stalled in the body", |dice, asked| {
        let half = part(dice, &asked.body).to_owned();
        Script::new(End::Close).send(head(200, "", JSON, asked.body.len())).send(half).stall()
    }),
    bad("dripping body", |_, asked| {
        let head = head(200, "", JSON, asked.body.len());
        let drip = |script: Script, byte: &u8| script.send([*byte]).wait(Duration::from_millis(40));
        asked.body.as_bytes().iter().fold(Script::new(End::Keep).send(head), drip)
    }),
    bad("dripping head", |_, _| {
        Script::new(End::Close).send("HTTP/1.1 200 OK\r\nx: ").endless("y", Duration::from_millis(100))
    }),
    way("closed after the answer", Hears::Answer, |_, asked| {
        let answer = head(200, "connection: keep-alive\r\nkeep-alive: timeout=600\r\n", JSON, asked.body.len());
        let Asked { right, body, stream } = asked;
        if stream { right.then(End::Close) } else { Script::new(End::Close).send(answer).send(body) }
    }),
    way("packed unasked", Hears::Answer, |_, asked| {
        Script::answer(200, "content-encoding: gzip\r\n", JSON, packed(&asked.body))
    }),
    bad("called packed, is not", |_, asked| Script::answer(200, "content-encoding: gzip\r\n", JSON, asked.body)),
    bad("packed bomb", |_, _| Script::answer(200, "content-encoding: gzip\r\n", JSON, &*BOMB)),
    bad("packed error", |_, _| {
        Script::answer(429, "content-encoding: gzip\r\n", JSON, packed(r#"{"error":{"message":"slow down"}}"#))
    }),
    bad("headers that are none", |_, _| {
        let headers = "retry-after: 1e999\r\ndate: \u{1}\r\nx-request-id: \u{7f}\r\n";
        Script::answer(503, headers, JSON, "{}")
    }),
    bad("no version", |_, _| Script::new(End::Close).send("HTTP/9.9 200 OK\r\n\r\n")),
];
