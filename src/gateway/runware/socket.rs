//! The WebSocket: frames in, each an array of tasks, and the frames of their session out.

use std::sync::Arc;
use std::time::Duration;

use actix_web::error::PayloadError;
use actix_web::http::header::SEC_WEBSOCKET_EXTENSIONS;
use actix_web::web::{Data, Payload};
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use actix_ws::{AggregatedMessage, AggregatedMessageStream, CloseCode, CloseReason, Item, ProtocolError};
use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::{Value, json};

use super::array::parse;
use super::begin::{Standing, begin, standing};
use super::deflate::Deflate;
use super::frames;
use super::outbox::{Frame, Next, Outbox};
use super::session::{self, Session, data, error};
use super::store::{Refused, refused, state_of, text};
use crate::gateway::app::Gateway;
use crate::gateway::http::caller::Caller;
use crate::gateway::http::refusal::Refusal;
use crate::telemetry::{Marked, Marks};
use crate::wire::Malformed;

/// Longest piece that a large frame is sent in: the connection holds back a number of pieces of its own.
const PIECE: usize = 64 * 1024;
/// Longest that a client may take to read a close frame, or an answer before it has authenticated.
const CLOSING: Duration = Duration::from_secs(1);
/// Time between two looks of a draining connection whether all is sent.
const DRAIN_TICK: Duration = Duration::from_millis(50);

pub(in crate::gateway) async fn connect(
    request: HttpRequest,
    payload: Payload,
    gateway: Data<Gateway>,
) -> HttpResponse {
    let upgrade = request.headers().get("upgrade").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !upgrade.eq_ignore_ascii_case("websocket") {
        return Refusal::no_upgrade(&request).runware_alone();
    }
    let limit = gateway.fairflow.settings().server.max_body.0;
    let offers = request.headers().get_all(SEC_WEBSOCKET_EXTENSIONS).filter_map(|offers| offers.to_str().ok());
    let deflate = offers.into_iter().find_map(Deflate::agree);
    let mut frames = frames::received(payload.into_inner(), limit, deflate);
    let opened = async {
        let frames = Payload::from_request(&request, &mut frames).await?;
        actix_ws::handle(&request, frames)
    };
    let (mut response, socket, stream) = match opened.await {
        Ok(opened) => opened,
        Err(error) => {
            let status = error.error_response().status().as_u16();
            return Refusal::no_handshake(status, &error).runware_alone();
        }
    };
    if let Some(deflate) = deflate
        && let Ok(agreed) = deflate.header().parse()
    {
        response.headers_mut().insert(SEC_WEBSOCKET_EXTENSIONS, agreed);
        response = response.map_body(|_, body| frames::sent(body, deflate));
    }
    let stream = stream.max_frame_size(limit).aggregate_continuations().max_continuation_size(limit);
    let connection = Connection { request, gateway, socket, attached: None };
    actix_web::rt::spawn(Marked::new(Marks::current(), Box::pin(connection.serve(stream))));
    response
}

/// The session that a connection serves, its number there, and the task that sends.
struct Attached {
    session: Arc<Session>,
    sender: u64,
    writer: tokio::task::JoinHandle<Ending>,
}

struct Connection {
    request: HttpRequest,
    gateway: Data<Gateway>,
    socket: actix_ws::Session,
    attached: Option<Attached>,
}

/// The reason why a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// The client left, or cannot be reached.
    Gone,
    /// Another connection has the session.
    TakenOver,
    /// The client does not read, or says nothing.
    Silent,
    /// A frame is too large.
    TooLarge,
    /// The client sent no WebSocket frame, or no text.
    Garbled,
    /// All is sent, and the gateway stops.
    Drained,
}

impl Ending {
    fn after(error: &ProtocolError) -> Self {
        let ProtocolError::Io(error) = error else {
            return if matches!(error, ProtocolError::Overflow) { Self::TooLarge } else { Self::Garbled };
        };
        match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(PayloadError::Overflow) => Self::TooLarge,
            Some(PayloadError::EncodingCorrupted) => Self::Garbled,
            // No text.
            _ if error.kind() == std::io::ErrorKind::InvalidData => Self::Garbled,
            _ => Self::Gone,
        }
    }

    /// Never 1000 or 1001, after which the SDKs stay away.
    fn reason(self) -> CloseReason {
        let (code, why) = match self {
            Self::TooLarge => (CloseCode::Size, "the frame is larger than server.max_body"),
            Self::Garbled => (CloseCode::Protocol, "no frame of text"),
            Self::Silent => (CloseCode::Again, "the client does not read, or says nothing"),
            Self::Gone | Self::TakenOver | Self::Drained => (CloseCode::Restart, "connect again"),
        };
        CloseReason { code, description: Some(why.to_owned()) }
    }
}

impl Connection {
    async fn serve(mut self, mut stream: AggregatedMessageStream) {
        let ending = self.read(&mut stream).await;
        let close = self.socket.clone().close(Some(ending.reason()));
        // A client that does not read cannot be told.
        drop(tokio::time::timeout(CLOSING, close).await);
        if let Some(Attached { session, sender, writer }) = self.attached.take() {
            writer.abort();
            let resume = self.gateway.fairflow.settings().delivery.socket.resume.0;
            self.gateway.sessions.detach(session, sender, resume).await;
        }
    }

    async fn read(&mut self, stream: &mut AggregatedMessageStream) -> Ending {
        let mut draining = self.gateway.draining();
        let mut heard = self.gateway.fairflow.now();
        loop {
            let idle = self.gateway.fairflow.settings().delivery.socket.idle.0;
            let left = idle.saturating_sub(self.gateway.fairflow.now().since(heard));
            let is_draining = *draining.borrow();
            if is_draining && self.all_is_sent() {
                return Ending::Drained;
            }
            let writer = async {
                match &mut self.attached {
                    Some(attached) => (&mut attached.writer).await.unwrap_or(Ending::Gone),
                    None => std::future::pending().await,
                }
            };
            let message = tokio::select! {
                message = stream.next() => message,
                ending = writer => {
                    return ending;
                }
                () = tokio::time::sleep(left) => return Ending::Silent,
                changed = draining.changed(), if !is_draining => match changed {
                    Ok(()) => continue,
                    Err(_) => return Ending::Drained,
                },
                () = tokio::time::sleep(DRAIN_TICK), if is_draining => continue,
            };
            heard = self.gateway.fairflow.now();
            match message {
                Some(Ok(AggregatedMessage::Text(text))) => self.frame(text.as_bytes()).await,
                Some(Ok(AggregatedMessage::Binary(bytes))) => self.frame(&bytes).await,
                Some(Ok(AggregatedMessage::Ping(bytes))) => self.send(Frame::Pong(bytes)).await,
                Some(Ok(AggregatedMessage::Pong(_))) => {}
                Some(Ok(AggregatedMessage::Close(_))) | None => return Ending::Gone,
                Some(Err(error)) => return Ending::after(&error),
            }
        }
    }

    fn all_is_sent(&self) -> bool {
        let session = self.attached.as_ref().map(|attached| &attached.session);
        session.is_none_or(|session| session.pending() == 0 && session.outbox.is_empty())
    }

    /// Sends a frame: through the session, or before there is one by itself.
    async fn send(&mut self, frame: Frame) {
        match &self.attached {
            Some(attached) => attached.session.outbox.push(frame),
            // Before it has authenticated a client gets so little that waiting for it bounds it.
            None => drop(tokio::time::timeout(CLOSING, write(&mut self.socket, frame)).await),
        }
    }

    /// Answers one frame.
    async fn frame(&mut self, frame: &[u8]) {
        match parse(frame) {
            Ok(tasks) => {
                for task in tasks {
                    if let Some(frame) = self.task(task).await {
                        self.send(frame).await;
                    }
                }
            }
            Err(malformed) => {
                let refusal = Refusal::from(malformed);
                self.gateway.door.count(&refusal);
                self.send(error(&refusal.runware_error("", ""))).await;
            }
        }
    }

    /// Answers one task, or begins it so that its end is sent later.
    async fn task(&mut self, task: Value) -> Option<Frame> {
        let answered = match text(&task, "taskType") {
            "authentication" => self.authenticate(&task),
            "ping" => {
                return Some(Frame::Text(json!({"data": [{"taskType": "ping", "pong": true}]}).to_string().into()));
            }
            kind => {
                let asks = kind == "getResponse";
                match self.session() {
                    Err(refusal) => Err(refused(&task, refusal)),
                    Ok(session) if asks => self.ask(&session, &task),
                    Ok(session) => self.begin(&session, task),
                }
            }
        };
        answered.unwrap_or_else(|(refusal, told)| {
            self.gateway.door.count(&refusal);
            Some(error(&told))
        })
    }

    /// Answers a question for a task: its result, or that it is under way, whereupon the result is sent unasked.
    fn ask(&self, session: &Session, task: &Value) -> Result<Option<Frame>, Refused> {
        let uuid = text(task, "taskUUID");
        match standing(&self.gateway, &session.caller, task)? {
            Standing::Done(_) if session.awaits(uuid) => Ok(None),
            Standing::Done(done) => {
                session::frames(done.state(uuid)?).into_iter().for_each(|frame| session.outbox.push(frame));
                Ok(None)
            }
            Standing::UnderWay(begun) => {
                let state = state_of(&begun.task_type, uuid, Some("processing"));
                session.follow(begun);
                Ok(Some(data(vec![state])))
            }
        }
    }

    fn begin(&self, session: &Session, task: Value) -> Result<Option<Frame>, Refused> {
        let config = &self.gateway.fairflow.settings().delivery.socket;
        if session.pending() >= config.tasks as usize && !session.awaits(text(&task, "taskUUID")) {
            return Err(refused(&task, Refusal::too_many_jobs()));
        }
        let patience = config.sync_timeout.0;
        session.accept(begin(&self.gateway, &session.caller, task)?, patience);
        Ok(None)
    }

    /// Returns the session; before any authentication one of whom the handshake's headers name, if that is enough.
    fn session(&mut self) -> Result<Arc<Session>, Refusal> {
        if self.attached.is_none() {
            self.attach(None, None, false)?;
        }
        self.attached.as_ref().map(|attached| attached.session.clone()).ok_or_else(Refusal::invalid_key)
    }

    fn authenticate(&mut self, task: &Value) -> Result<Option<Frame>, Refused> {
        let key = task.get("apiKey").and_then(Value::as_str);
        let wanted = task.get("connectionSessionUUID").and_then(Value::as_str);
        self.attach(key, wanted, true).map_err(|refusal| refused(task, refusal))?;
        Ok(None)
    }

    /// Opens a session, or the one that is wanted, and begins to send what it holds; the greeting goes first.
    fn attach(&mut self, key: Option<&str>, wanted: Option<&str>, greet: bool) -> Result<(), Refusal> {
        let settings = self.gateway.fairflow.settings();
        let caller = Caller::of(&self.request, &settings, key)?;
        let greeting = |session: &Session| {
            let greeting = json!({"taskType": "authentication", "connectionSessionUUID": &*session.id});
            Frame::Text(json!({"data": [greeting]}).to_string().into())
        };
        if let Some(attached) = &self.attached {
            if attached.session.caller.tenant != caller.tenant {
                let problem = "is another tenant's than this connection's; open a connection for each";
                return Err(Malformed::new("apiKey", problem).into());
            }
            attached.session.outbox.push(greeting(&attached.session));
            return Ok(());
        }
        let session = self.gateway.sessions.open(wanted, &caller, &settings.delivery.socket, &self.gateway.door);
        let sender = session.outbox.attach();
        let first = greet.then(|| greeting(&session));
        let patience = settings.delivery.socket.idle.0;
        let writing = send_all(session.outbox.clone(), sender, self.socket.clone(), first, patience);
        let writer = actix_web::rt::spawn(writing);
        self.attached = Some(Attached { session, sender, writer });
        Ok(())
    }
}

/// Sends what a session holds until the connection ends or another takes over.
async fn send_all(
    outbox: Arc<Outbox>,
    sender: u64,
    mut socket: actix_ws::Session,
    first: Option<Frame>,
    patience: Duration,
) -> Ending {
    if let Some(first) = first
        && write(&mut socket, first).await.is_err()
    {
        return Ending::Gone;
    }
    loop {
        let frame = match outbox.next(sender).await {
            Next::Send(frame) => frame,
            Next::Overflowed => return Ending::Silent,
            Next::TakenOver => return Ending::TakenOver,
        };
        tokio::select! {
            written = tokio::time::timeout(patience, write(&mut socket, frame)) => match written {
                Err(_) => return Ending::Silent,
                Ok(Err(_)) => return Ending::Gone,
                Ok(Ok(())) => outbox.sent(sender),
            },
            // While it is stuck with one frame, others may become too many.
            () = outbox.overflow() => return Ending::Silent,
        }
    }
}

/// Writes one frame, a large one in pieces.
async fn write(socket: &mut actix_ws::Session, frame: Frame) -> Result<(), actix_ws::Closed> {
    let bytes = match frame {
        Frame::Pong(bytes) => return socket.pong(&bytes).await,
        Frame::Text(bytes) => bytes,
    };
    if bytes.len() <= PIECE {
        return socket.text(String::from_utf8_lossy(&bytes).into_owned()).await;
    }
    let last = (bytes.len() - 1) / PIECE;
    for index in 0..=last {
        let piece = bytes.slice(index * PIECE..((index + 1) * PIECE).min(bytes.len()));
        socket.continuation(item(index, last, piece)).await?;
    }
    Ok(())
}

fn item(index: usize, last: usize, piece: Bytes) -> Item {
    match index {
        0 => Item::FirstText(piece),
        index if index == last => Item::Last(piece),
        _ => Item::Continue(piece),
    }
}
