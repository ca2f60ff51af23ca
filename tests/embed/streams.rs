//! Results piece by piece, of tasks and providers of one's own too.

use bytes::Bytes;
use fairflow::config::{ModelConfig, WindowConfig};
use fairflow::provider::{Answer, Attempt, BoxFuture, Failure, Outcome, Pieces, Provider, Reply};
use fairflow::task::{Cost, Product, RawTask, Task, TextInference, Work};
use fairflow::wire::Request;
use fairflow::{Config, Error, Fairflow, Streams};
use futures_util::{StreamExt, TryStreamExt};

use crate::{at_rest, start};

/// Speech, which is only streamed.
struct Speech(&'static str);

impl Task for Speech {
    type Output = ();

    fn model(&self) -> &str {
        "m"
    }

    fn cost(&self) -> Cost {
        Cost::new(self.0.len() as u64)
    }

    fn into_work(self) -> Work {
        Work::Raw(RawTask::new("speech", "m").set("text", self.0))
    }

    fn output(product: Product) -> Result<(), Product> {
        Err(product)
    }
}

impl Streams for Speech {
    type Piece = Bytes;

    fn pieces(reply: Reply) -> Result<Pieces<Bytes>, Reply> {
        match reply {
            Reply::Stream(bytes) => Ok(bytes),
            other => Err(other),
        }
    }

    fn units(piece: &Bytes) -> u64 {
        piece.len() as u64
    }
}

/// Speaks letter by letter, and loses its voice at a `!`.
#[derive(Debug)]
struct Voice;

impl Provider for Voice {
    fn call<'a>(&'a self, request: &'a Request, _: &'a Attempt) -> BoxFuture<'a, Result<Answer, Failure>> {
        Box::pin(async move {
            let Request::Typed(Work::Raw(task)) = request else {
                return Err(Failure::new(Outcome::Rejected, "it only speaks"));
            };
            let text = task.body["text"].as_str().unwrap_or_default().to_owned().into_bytes();
            let letters = text.into_iter().map(|letter| match letter {
                b'!' => Err(Failure::new(Outcome::Overloaded, "hoarse")),
                letter => Ok(Bytes::from(vec![letter])),
            });
            Ok(Answer::new(Reply::Stream(futures_util::stream::iter(letters).boxed())))
        })
    }
}

async fn speaker() -> Fairflow {
    let config = Config::new().model("m", ModelConfig::on("throat").window(WindowConfig::pinned(1)));
    Fairflow::builder(config).provider("throat", Voice).start().await.unwrap()
}

#[tokio::test]
async fn a_task_of_ones_own_streams_from_a_provider_of_ones_own() {
    let fairflow = speaker().await;
    let pieces: Vec<Bytes> = fairflow.generate(Speech("hello")).stream().await.unwrap().try_collect().await.unwrap();
    assert_eq!((pieces.len(), pieces.concat().as_slice()), (5, &b"hello"[..]));

    let mut broken = fairflow.generate(Speech("he!")).stream().await.unwrap();
    assert_eq!(&*broken.next().await.unwrap().unwrap(), b"h");
    let end: Vec<_> = broken.collect().await;
    assert!(matches!(end[..], [Ok(_), Err(Error::Rejected(_))]), "{end:?}");

    // The slot is held while it streams, and free when the stream is dropped.
    let left = fairflow.generate(Speech("hello")).stream().await.unwrap();
    drop(left);
    fairflow.generate(Speech("again")).stream().await.unwrap().try_collect::<Vec<_>>().await.unwrap();
    at_rest(&fairflow).await;
    let mute = fairflow.generate(Speech("x")).await;
    assert!(matches!(mute, Err(Error::Internal(_))), "it has no result as a whole: {mute:?}");
}

#[tokio::test]
async fn work_that_is_known_at_run_time_streams_where_it_is_text() {
    let fairflow = start(Config::demo()).await;
    let text = Work::Text(TextInference::new("sim-text", "hello").max_tokens(3));
    let pieces: Vec<_> = fairflow.generate(text).stream().await.unwrap().try_collect().await.unwrap();
    assert!(pieces.iter().filter(|piece| !piece.text.is_empty()).count() == 3);
    let image = Work::Image(fairflow::task::ImageInference::new("sim-image", "a fox"));
    let whole = fairflow.generate(image).stream().await.map(drop);
    assert!(matches!(whole, Err(Error::Internal(_))), "{whole:?}");
}
