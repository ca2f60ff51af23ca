//! How a provider misbehaves in the middle of an event stream.

use std::time::Duration;

use crate::mischief::{Asked, Hears, JSON, Mischief};
use crate::script::{End, Script};

const EVENTS: &str = "text/event-stream";
const TICK: Duration = Duration::from_millis(20);

const fn way(name: &'static str, hears: Hears, play: fn(&mut crate::dice::Dice, Asked) -> Script) -> Mischief {
    Mischief { name, hears, play }
}

const fn bad(name: &'static str, play: fn(&mut crate::dice::Dice, Asked) -> Script) -> Mischief {
    way(name, Hears::Either, play)
}

fn piece(text: &str) -> String {
    format!(
        "data: {{\"object\":\"chat.completion.chunk\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n"
    )
}

/// A stream that has begun well.
fn begun() -> Script {
    Script::chunked("", EVENTS).chunk(piece("good so "))
}

pub static STREAMS: &[Mischief] = &[
    bad("first event is an error", |_, _| {
        let error = "data: {\"error\":{\"message\":\"no capacity\",\"code\":503}}\n\ndata: [DONE]\n\n";
        Script::chunked("", EVENTS).chunk(error).chunk("")
    }),
    bad("an error between", |_, _| {
        begun().wait(TICK).chunk("event: error\ndata: {\"error\":{\"message\":\"worker died\"}}\n\n").chunk("")
    }),
    bad("nothing but comments", |_, _| Script::chunked("", EVENTS).endless(crate::script::chunk(": x\n\n"), TICK)),
    bad("comments after a piece", |_, _| begun().endless(crate::script::chunk(": x\n\n"), TICK)),
    bad("empty pieces for ever", |_, _| begun().endless(crate::script::chunk(piece("")), TICK)),
    bad("half an event, then reset", |_, _| {
        begun().chunk("data: {\"choices\":[{\"index\":0,\"del").wait(TICK).then(End::Reset)
    }),
    bad("half an event, then an end", |_, _| begun().chunk("data: {\"choices\":[{\"index\":0,\"del").chunk("")),
    bad("reset after a piece", |_, _| begun().wait(TICK).then(End::Reset)),
    bad("closed after a piece", |_, _| begun().wait(TICK).then(End::Close)),
    bad("stalled after a piece", |_, _| begun().stall()),
    bad("stalled before the first", |_, _| Script::chunked("", EVENTS).stall()),
    bad("an event that never ends", |_, _| {
        begun().send("2000000\r\ndata: ").endless("y".repeat(16_384), Duration::from_millis(2))
    }),
    bad("events that are no JSON", |_, _| {
        let noise = "data: {nonsense\n\ndata: \u{0}\n\ndata: 1e999\n\ndata: null\n\n";
        begun().chunk(noise).chunk("data: [DONE]\n\n").chunk("")
    }),
    bad("noise", |dice, _| Script::chunked("", EVENTS).chunk(dice.bytes(400)).chunk("")),
    bad("nothing at all", |_, _| Script::chunked("", EVENTS).chunk("")),
    bad("the end alone", |_, _| Script::chunked("", EVENTS).chunk("data: [DONE]\n\n").chunk("")),
    way("JSON instead", Hears::Answer, |_, asked| Script::answer(200, "", JSON, asked.body)),
    way("after a byte order mark", Hears::Answer, |_, asked| {
        let mut right = asked.right;
        right.steps.insert(1, crate::script::Step::Send(crate::script::chunk("\u{feff}")));
        right
    }),
    way("between comments", Hears::Answer, |_, asked| {
        let mut right = asked.right;
        for _ in 0..5 {
            right.steps.insert(1, crate::script::Step::Send(crate::script::chunk(": OPENROUTER PROCESSING\n\n")));
        }
        right
    }),
];
