//! A client of Runware's WebSocket.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::support::Gateway;

/// A client of the socket.
pub struct Client(WebSocketStream<TcpStream>);

impl Client {
    pub async fn connect(gateway: &Gateway, path: &str) -> Self {
        let address = gateway.public.trim_start_matches("http://");
        let stream = TcpStream::connect(address).await.unwrap();
        let url = format!("ws://{address}{path}");
        let config = WebSocketConfig::default().max_frame_size(None).max_message_size(None);
        Self(client_async_with_config(url, stream, Some(config)).await.unwrap().0)
    }

    /// Connects and authenticates; returns the session's id too.
    pub async fn open(gateway: &Gateway, key: &str, session: Option<&str>) -> (Self, String) {
        let mut client = Self::connect(gateway, "/v1?sdk=js&version=1").await;
        let mut hello = json!({"taskType": "authentication", "apiKey": key});
        if let Some(session) = session {
            hello["connectionSessionUUID"] = session.into();
        }
        client.send(&json!([hello])).await;
        let answer = client.next().await;
        let item = &answer["data"][0];
        assert_eq!(
            (answer.as_object().unwrap().len(), &item["taskType"], item.get("taskUUID")),
            (1, &json!("authentication"), None)
        );
        let id = item["connectionSessionUUID"].as_str().unwrap().to_owned();
        (client, id)
    }

    pub async fn send(&mut self, tasks: &Value) {
        self.0.send(Message::text(tasks.to_string())).await.unwrap();
    }

    /// Returns the next frame; what is no frame of text is an error in the form `{"closed": CODE}`.
    pub async fn next(&mut self) -> Value {
        loop {
            let message = tokio::time::timeout(Duration::from_secs(60), self.0.next()).await.expect("a frame in time");
            match message {
                Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).unwrap(),
                Some(Ok(Message::Close(frame))) => return json!({"closed": frame.map(|frame| u16::from(frame.code))}),
                Some(Ok(_)) => {}
                None | Some(Err(_)) => return json!({"closed": null}),
            }
        }
    }
}

/// Returns a text task.
pub fn text(model: &str, uuid: &str) -> Value {
    json!({"taskType": "textInference", "taskUUID": uuid, "model": model, "messages": [{"role": "user", "content": "x"}]})
}
