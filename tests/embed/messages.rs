//! Typed messages between actix actors.

use std::time::Duration;

use actix::Recipient;
use fairflow::config::{ModelConfig, ProviderConfig, SimConfig};
use fairflow::messages::Generate;
use fairflow::task::{Embedding, TextInference};
use fairflow::{Config, Error, Fairflow};

async fn engine(service: Duration) -> Fairflow {
    let sim = SimConfig::new().service(service).sigma(0.0);
    let config = Config::new().provider("sim", ProviderConfig::sim(sim)).model("m", ModelConfig::on("sim"));
    Fairflow::builder(config).start().await.unwrap()
}

#[actix::test]
async fn each_type_of_task_has_its_recipient() {
    let fairflow = engine(Duration::from_millis(1)).await;
    let texts: Recipient<Generate<TextInference>> = fairflow.recipient();
    let vectors: Recipient<Generate<Embedding>> = fairflow.recipient();
    let text = texts.send(Generate::new(TextInference::new("m", "hello")).tenant("acme")).await.unwrap().unwrap();
    assert!(!text.text.is_empty());
    let vector = vectors.send(Generate::new(Embedding::new("m", ["a", "b"]))).await.unwrap().unwrap();
    assert_eq!(vector.vectors.len(), 2);
    let unknown = texts.send(Generate::new(TextInference::new("mm", "hello"))).await.unwrap();
    assert!(matches!(unknown, Err(Error::UnknownModel { .. })));
    texts.do_send(Generate::new(TextInference::new("m", "nobody waits")));
}

#[actix::test]
async fn messages_are_served_side_by_side_and_one_that_is_dropped_is_cancelled() {
    let fairflow = engine(Duration::from_secs(30)).await;
    let texts: Recipient<Generate<TextInference>> = fairflow.recipient();
    let asked: Vec<_> = (0..3).map(|_| texts.send(Generate::new(TextInference::new("m", "hello")))).collect();
    let mut capacity = fairflow.watch("m");
    let asked = actix::spawn(futures_util::future::join_all(asked));
    let flying = capacity.wait_for(|now| now.in_flight == 3);
    tokio::time::timeout(Duration::from_secs(10), flying).await.expect("all three are dispatched").unwrap();
    asked.abort();
    let rest = capacity.wait_for(|now| now.in_flight == 0);
    tokio::time::timeout(Duration::from_secs(10), rest).await.expect("their slots are free").unwrap();
}

/// Outside an actix system the engine's own thread takes the messages.
#[tokio::test]
async fn a_recipient_works_from_plain_tokio() {
    let fairflow = engine(Duration::from_millis(1)).await;
    let texts: Recipient<Generate<TextInference>> = fairflow.recipient();
    assert!(texts.send(Generate::new(TextInference::new("m", "hello"))).await.unwrap().is_ok());
}
