//! Tasks by what is told of them, without a connection.

use serde_json::{Value, json};

use super::*;

const LIMIT: Duration = Duration::from_secs(60);

#[allow(clippy::disallowed_methods, reason = "a test")]
fn start() -> Instant {
    Instant::now()
}

/// Follows a task of a type, by a method, that asks for so many results.
fn follow(kind: &str, method: &str, results: u64, now: Instant) -> Follow {
    let name = if kind == "promptEnhance" { "promptVersions" } else { "numberResults" };
    let task = json!({"taskType": kind, "taskUUID": "u", "deliveryMethod": method, name: results});
    Follow::new(&outgoing(&task), false, now, now + LIMIT)
}

fn outgoing(task: &Value) -> Outgoing {
    Outgoing::new(task.as_object().expect("an object"))
}

fn told(answer: Value) -> Told {
    Told::read(answer.as_object().expect("an object").clone()).expect("an answer")
}

fn image(id: &str) -> Value {
    json!({"taskType": "imageInference", "taskUUID": "u", "imageUUID": id, "imageURL": "https://x"})
}

fn words(text: &str) -> Value {
    json!({"taskType": "promptEnhance", "taskUUID": "u", "text": text})
}

fn error(code: &str) -> Value {
    json!({"code": code, "message": "words", "taskUUID": "u"})
}

fn codes(made: &RawResult) -> Vec<&str> {
    made.errors.iter().map(|error| text(error, "code")).collect()
}

#[test]
fn results_come_together_or_one_by_one_and_equal_texts_are_several() {
    let now = start();
    for answers in [
        vec![json!({"data": [image("a"), image("b"), image("c")]})],
        vec![json!({"data": [image("a")]}), json!({"data": [image("b")]}), json!({"data": [image("c")]})],
        vec![json!({"data": [image("a")]}), json!({"data": [image("a"), image("b")]}), json!({"data": image("c")})],
    ] {
        let mut follow = follow("imageInference", "sync", 3, now);
        let (last, before) = answers.split_last().expect("some");
        for answer in before {
            assert_eq!(follow.hear(told(answer.clone()), now).expect("fine"), Standing::UnderWay);
        }
        assert_eq!(follow.hear(told(last.clone()), now).expect("fine"), Standing::Ended);
        let made = follow.end().expect("made");
        assert_eq!((made.items.len(), made.errors.len()), (3, 0));
    }
    for (answers, method) in [
        (vec![json!({"data": [words("x"), words("x")]})], "sync"),
        (vec![json!({"data": [words("x")]}), json!({"data": [words("x")]})], "sync"),
        // What is asked for is told again and again.
        (
            vec![
                json!({"data": [words("x")]}),
                json!({"data": [words("x")]}),
                json!({"data": [words("x"), words("x")]}),
            ],
            "async",
        ),
    ] {
        let mut follow = follow("promptEnhance", method, 2, now);
        let standings: Vec<_> =
            answers.into_iter().map(|answer| follow.hear(told(answer), now).expect("fine")).collect();
        let ended = standings.iter().filter(|standing| **standing == Standing::Ended).count();
        assert_eq!((ended, standings.last()), (1, Some(&Standing::Ended)), "{method}");
        assert_eq!(follow.end().expect("made").items.len(), 2);
    }
}

#[test]
fn what_was_made_is_told_with_the_errors_beside_it() {
    let now = start();
    let three = json!([image("a"), image("b"), image("c")]);
    let failed = json!({"taskUUID": "u", "status": "error", "error": {"code": "x", "message": "words"}});
    for (first, second, code) in [
        (json!({"data": three, "errors": [error("x")]}), None, "x"),
        (json!({"data": three}), Some(json!({"errors": [error("x")]})), "x"),
        (json!({"errors": [error("x")]}), Some(json!({"data": three})), "x"),
        (json!({"data": [failed]}), Some(json!({"data": three})), "x"),
    ] {
        let mut follow = follow("imageInference", "sync", 4, now);
        let mut standing = follow.hear(told(first), now).expect("fine");
        if let Some(second) = second {
            assert!(standing == Standing::UnderWay && follow.until().is_some());
            standing = follow.hear(told(second), now).expect("fine");
        }
        assert_eq!(standing, Standing::Ended);
        let made = follow.end().expect("made");
        assert_eq!((made.items.len(), codes(&made)), (3, vec![code]));
        assert_eq!(text(&made.errors[0], "taskUUID"), "u");
    }
    let mut all_failed = follow("imageInference", "sync", 2, now);
    let refused = all_failed.hear(told(json!({"errors": [error("invalidPrompt"), error("invalidPrompt")]})), now);
    let refused = refused.expect_err("both failed");
    assert_eq!((refused.outcome, refused.message.as_str()), (Outcome::Rejected, "words"));
}

#[test]
fn stragglers_are_waited_for_and_then_told_as_missing() {
    let now = start();
    let mut sync = follow("imageInference", "sync", 2, now);
    assert_eq!(sync.until(), None);
    let later = now + Duration::from_secs(8);
    sync.hear(told(json!({"data": [image("a")]})), later).expect("fine");
    assert_eq!(sync.until(), Some(later + Duration::from_secs(8)), "as long as the first took");
    let made = sync.end().expect("made");
    assert_eq!((made.items.len(), codes(&made)), (1, vec!["resultsMissing"]));
    // As long as the rest is said to be under way, until the attempt has almost ended.
    let mut asked = follow("imageInference", "async", 2, now);
    let processing = json!({"taskUUID": "u", "status": "processing"});
    asked.hear(told(json!({"data": [image("a"), processing]})), now).expect("fine");
    assert_eq!(asked.until(), Some(now + LIMIT - Duration::from_secs(1)));
    asked.hear(told(json!({"data": [image("a")]})), now).expect("fine");
    assert_eq!(asked.until(), Some(now + STRAGGLERS), "it is not said any more");
    // Nothing comes too late for the attempt.
    let task = json!({"taskUUID": "u", "numberResults": 2});
    let mut short = Follow::new(&outgoing(&task), false, now, now + STRAGGLERS);
    short.hear(told(json!({"data": [words("x")]})), now).expect("fine");
    assert!(short.until().is_some_and(|until| until < now + STRAGGLERS));
}

#[test]
fn a_lone_error_ends_the_task_and_states_and_progress_do_not() {
    let now = start();
    for (code, outcome) in [
        ("invalidModel", Outcome::Rejected),
        ("timeoutProvider", Outcome::Overloaded),
        ("insufficientCredits", Outcome::RateLimited),
    ] {
        for (method, results) in [("sync", 1), ("async", 1), ("sync", 4)] {
            let mut follow = follow("imageInference", method, results, now);
            let first = follow.hear(told(json!({"errors": [error(code)]})), now);
            // One of several results may be refused by itself, and the others come a moment later.
            let failure = match first {
                Err(failure) => failure,
                Ok(_) => {
                    assert_eq!((results, outcome), (4, Outcome::Rejected), "{code}");
                    assert_eq!(follow.until(), Some(now + AFTER_AN_ERROR));
                    follow.end().expect_err("nothing was made")
                }
            };
            assert_eq!(failure.outcome, outcome, "{code} {method} {results}");
        }
    }
    let mut waiting = follow("videoInference", "async", 1, now);
    for state in ["processing", "queued", "uploading", "something new"] {
        let item = json!({"taskUUID": "u", "status": state, "videoUUID": "v"});
        assert_eq!(waiting.hear(told(json!({"data": [item]})), now).expect("fine"), Standing::UnderWay, "{state}");
    }
    let progress = json!({"taskUUID": "u", "videoUUID": "v", "resultIndex": 0, "progress": 30});
    waiting.hear(told(json!({"data": [progress]})), now).expect("fine");
    assert_eq!(waiting.until(), None);
    let done = json!({"taskUUID": "u", "videoUUID": "v", "videoURL": "https://x", "status": "success"});
    assert_eq!(waiting.hear(told(json!({"data": [done]})), now).expect("fine"), Standing::Ended);
}

#[test]
fn an_unknown_task_is_looked_for_a_while_and_a_conflict_means_that_it_runs() {
    let now = start();
    let unknown = || told(json!({"data": [], "errors": [error("taskFailedOrNotFound")]}));
    let mut asked = follow("videoInference", "async", 1, now);
    assert_eq!(asked.hear(unknown(), now).expect("too early"), Standing::UnderWay);
    assert_eq!(asked.hear(unknown(), now + UNKNOWN / 2).expect("too early"), Standing::UnderWay);
    let failure = asked.hear(unknown(), now + UNKNOWN).expect_err("it is gone");
    assert!(failure.outcome == Outcome::Failed && failure.message.contains("words"), "{failure}");
    // A model is not looked for.
    let mut model = follow("videoInference", "async", 1, now);
    let failure = model.hear(told(json!({"errors": [error("modelNotFound")]})), now).expect_err("refused");
    assert_eq!(failure.outcome, Outcome::Rejected);

    let conflict = || told(json!({"errors": [error("conflictTaskUUID")]}));
    let mut first = follow("imageInference", "sync", 1, now);
    assert_eq!(first.hear(conflict(), now).expect_err("another's").outcome, Outcome::Rejected);
    let mut again = follow("imageInference", "sync", 1, now);
    again.was_sent = true;
    assert_eq!(again.hear(conflict(), now).expect("it runs"), Standing::UnderWay);
    assert!(again.is_asked && again.is_under_way);
}

#[test]
fn an_answer_without_anything_is_no_success() {
    let now = start();
    let mut empty = follow("imageInference", "sync", 1, now);
    empty.hear(told(json!({"data": []})), now).expect("fine");
    assert_eq!(empty.end().expect_err("nothing was made").outcome, Outcome::Failed);
    // What makes nothing answers with its name alone.
    let mut bare = follow("mediaDelete", "sync", 1, now);
    let item = json!({"taskType": "mediaDelete", "taskUUID": "u"});
    assert_eq!(bare.hear(told(json!({"data": [item]})), now).expect("fine"), Standing::Ended);
    assert_eq!(bare.end().expect("done").items.len(), 1);
}

#[test]
fn the_result_of_another_task_is_nobodys_here() {
    let now = start();
    let mut follow = follow("imageInference", "sync", 1, now);
    let others = json!({"taskType": "imageInference", "taskUUID": "v", "imageUUID": "a", "imageURL": "https://x"});
    let fault = json!({"code": "x", "message": "words", "taskUUID": "v"});
    let answer = told(json!({"data": [others], "errors": [fault]}));
    assert_eq!(follow.hear(answer, now).expect("no end"), Standing::UnderWay);
    let failure = follow.end().expect_err("nothing was made");
    assert_eq!(failure.message, "the provider's answer holds no result");
}

#[test]
fn a_success_without_a_medium_is_a_failure_of_the_provider() {
    let now = start();
    let empty = |id: &str| json!({"taskUUID": "u", "status": "success", "imageUUID": id, "imageURL": ""});
    for method in ["sync", "async"] {
        let failure = follow("imageInference", method, 1, now).hear(told(json!({"data": [empty("i")]})), now);
        let failure = failure.expect_err("nothing was made");
        assert_eq!((failure.outcome, failure.upstream.is_some(), failure.spent), (Outcome::Failed, false, false));
    }
    // Of two results one is missing, however often that is told.
    let mut two = follow("imageInference", "async", 2, now);
    assert_eq!(two.hear(told(json!({"data": [empty("i")]})), now).expect("more may come"), Standing::UnderWay);
    assert_eq!(two.hear(told(json!({"data": [empty("i")]})), now).expect("more may come"), Standing::UnderWay);
    assert_eq!(two.hear(told(json!({"data": [empty("i"), image("j")]})), now).expect("made"), Standing::Ended);
    let made = two.end().expect("one result");
    assert_eq!((made.items.len(), codes(&made)), (1, vec!["resultsMissing"]));
    assert_eq!((text(&made.errors[0], "imageUUID"), text(&made.errors[0], "taskUUID")), ("i", "u"));
}
