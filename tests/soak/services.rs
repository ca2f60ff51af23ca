//! Services of images: one that is polled, and Runware's tasks over REST and over a socket.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::dice::Dice;
use crate::mischief::{self, Asked, JSON, Mischief, WAYS};
use crate::pool::Slot;
use crate::provider::{Answer, Ask, Provider, is_poisoned};
use crate::script::Script;

/// A generation that is under way, or was.
pub struct Generation {
    prompt: String,
    ready: Instant,
}

/// The address of a picture, which nobody else's prompt has.
pub fn picture(prompt: &str) -> String {
    format!("https://files.invalid/{}.jpg", prompt.replace(' ', "-"))
}

/// What the state of a generation may be said to be.
const STATES: [&str; 12] = [
    r#"{"id":"x","status":"Pending"}"#,
    r#"{"id":"x","status":"Warming Up"}"#,
    r#"{"id":"x","status":"Task not found"}"#,
    r#"{"id":"x","status":"Error","details":"CUDA out of memory"}"#,
    r#"{"id":"x","status":"Content Moderated"}"#,
    r#"{"id":"x","status":"Ready"}"#,
    r#"{"id":"x","status":"Ready","result":null}"#,
    r#"{"id":"x","status":"Ready","result":{"sample":7}}"#,
    r#"{"id":"x","status":7}"#,
    r#"{"detail":"odd"}"#,
    "null",
    "[]",
];

/// What a task's answer may be; `U` is its UUID.
const ITEMS: [&str; 14] = [
    r#"{"data":[]}"#,
    r#"{"data":null}"#,
    r#"{"data":[{"taskUUID":"U","status":"error","error":"odd"}]}"#,
    r#"{"data":[{"taskUUID":"U","status":"processing","progress":-1}]}"#,
    r#"{"data":[{"taskUUID":"00000000-0000-0000-0000-000000000000","imageURL":"https://files.invalid/other.jpg"}]}"#,
    r#"{"data":[{"taskType":"imageInference","taskUUID":"U"}]}"#,
    r#"{"errors":[{"code":"invalidPrompt","message":"odd","taskUUID":"U"}]}"#,
    r#"{"errors":[{"code":"timeoutProvider","message":"The provider timed out","taskUUID":"U"}]}"#,
    r#"{"errors":[{"code":"oddity","message":"without a UUID"}]}"#,
    r#"{"error":{"code":"oddity","message":"one alone"}}"#,
    r#"{"errors":[]}"#,
    r#"{"errors":"odd"}"#,
    "[]",
    "null",
];

/// Says what a task's answer may be instead of the right one.
pub fn item(dice: &mut Dice, uuid: &str) -> String {
    dice.pick(&ITEMS).replace("\"U\"", &format!("{uuid:?}"))
}

/// The right answer to a task.
pub fn made(prompt: &str, uuid: &str) -> String {
    let item = json!({"taskType": "imageInference", "taskUUID": uuid, "imageUUID": uuid, "imageURL": picture(prompt),
        "cost": 0.001});
    json!({"data": [item]}).to_string()
}

impl Provider {
    /// BFL's: `POST /bfl/v1/MODEL`, then `GET` of what that names.
    pub fn polled(&self, ask: &Ask) -> Answer {
        let Some(id) = ask.path.strip_prefix("/bfl/v1/get_result?id=") else { return self.submitted(ask) };
        let (prompt, ready) = {
            let generations = self.generations.lock().unwrap();
            let Some(generation) = generations.get(id) else { return (not_found(), None) };
            (generation.prompt.clone(), Instant::now() >= generation.ready)
        };
        let state = if ready {
            json!({"id": id, "status": "Ready", "result": {"sample": picture(&prompt)}})
        } else {
            json!({"id": id, "status": "Pending"})
        };
        let mut dice = Dice::of(self.seed, &prompt);
        match self.oddity(&mut dice, &prompt) {
            Odd::Question(way) => {
                let right = Script::answer(200, "", JSON, state.to_string());
                ((way.play)(&mut dice, Asked { body: state.to_string(), right, stream: false }), None)
            }
            Odd::Body => (Script::answer(200, "", JSON, dice.pick(&STATES)), None),
            Odd::Nothing | Odd::Submission(_) => (Script::answer(200, "", JSON, state.to_string()), None),
        }
    }

    fn submitted(&self, ask: &Ask) -> Answer {
        let prompt = ask.body["prompt"].as_str().unwrap_or_default();
        let mut dice = Dice::of(self.seed, prompt);
        let service = dice.service();
        let number = self.next();
        let poll = format!("http://127.0.0.1:{}/bfl/v1/get_result?id={number}", self.port);
        let accepted = json!({"id": number.to_string(), "polling_url": poll}).to_string();
        let right = Script::answer(200, "", JSON, &accepted);
        let asked = Asked { body: accepted, right, stream: false };
        let (slot, asked) = match self.enter("bfl", "draw", prompt, asked) {
            Ok(entered) => entered,
            Err(answer) => return answer,
        };
        if let Odd::Submission(way) = self.oddity(&mut Dice::of(self.seed, prompt), prompt) {
            return ((way.play)(&mut dice, asked), Some(slot));
        }
        let generation = Generation { prompt: prompt.to_owned(), ready: Instant::now() + service };
        self.generations.lock().unwrap().insert(number.to_string(), generation);
        tokio::spawn(hold(slot, service));
        (asked.right, None)
    }

    /// Runware's: an array of one task.
    pub fn tasks(&self, ask: &Ask) -> Answer {
        let task = &ask.body[0];
        let text = |name: &str| task[name].as_str().unwrap_or_default();
        let (prompt, uuid) = (text("positivePrompt"), text("taskUUID"));
        if text("taskType") == "getResponse" {
            return (self.asked_again(uuid), None);
        }
        let mut dice = Dice::of(self.seed, prompt);
        let service = dice.service();
        let body = made(prompt, uuid);
        let asked = Asked { right: Script::answer(200, "", JSON, &body).after(service), body, stream: false };
        let (slot, asked) = match self.enter("rest", "paint", prompt, asked) {
            Ok(entered) => entered,
            Err(answer) => return answer,
        };
        let generation = Generation { prompt: prompt.to_owned(), ready: Instant::now() + service };
        self.generations.lock().unwrap().insert(uuid.to_owned(), generation);
        let script = match self.oddity(&mut Dice::of(self.seed, prompt), prompt) {
            Odd::Nothing => asked.right,
            Odd::Body => Script::answer(200, "", JSON, item(&mut dice, uuid)),
            Odd::Submission(way) | Odd::Question(way) => (way.play)(&mut dice, asked),
        };
        (script, Some(slot))
    }

    /// Says how a task stands that was taken before.
    fn asked_again(&self, uuid: &str) -> Script {
        let answer = match self.generations.lock().unwrap().get(uuid) {
            None => {
                json!({"errors": [{"code": "taskNotFound", "message": "no such task", "taskUUID": uuid}]}).to_string()
            }
            Some(task) if Instant::now() >= task.ready => made(&task.prompt, uuid),
            Some(_) => json!({"data": [{"taskUUID": uuid, "status": "processing"}]}).to_string(),
        };
        Script::answer(200, "", JSON, answer)
    }

    /// Draws what becomes of a generation, and counts it.
    fn oddity(&self, dice: &mut Dice, prompt: &str) -> Odd {
        if self.honest || !is_poisoned(prompt) {
            return Odd::Nothing;
        }
        dice.service();
        let odd = match dice.below(3) {
            0 => Odd::Body,
            1 => Odd::Submission(mischief::draw(dice, false)),
            _ => Odd::Question(&WAYS[dice.below(WAYS.len())]),
        };
        self.note(match odd {
            Odd::Submission(way) | Odd::Question(way) => way.name,
            _ => "another body",
        });
        odd
    }
}

/// What is odd about a generation.
enum Odd {
    Nothing,
    /// The state that is told, or the item.
    Body,
    Submission(&'static Mischief),
    Question(&'static Mischief),
}

fn not_found() -> Script {
    Script::answer(404, "", JSON, r#"{"detail":"Task not found"}"#)
}

/// Occupies a slot for as long as a generation takes.
async fn hold(slot: Slot, service: Duration) {
    tokio::time::sleep(service).await;
    slot.served();
}
