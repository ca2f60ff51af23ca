//! https and wss to a provider whose certificate comes from an authority of its own.
#![cfg(feature = "websocket")]

use std::path::PathBuf;
use std::sync::Arc;

use fairflow::task::{ImageInference, TextInference};
use fairflow::{Config, Fairflow};
use futures_util::{SinkExt, StreamExt};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::{Value, json};
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_tungstenite::tungstenite::Message;

use crate::fake::{engine, read};
use crate::raw::answer;

/// An authority, the file of its certificate, and a server's certificate from it.
struct Authority {
    file: PathBuf,
    acceptor: TlsAcceptor,
}

impl Drop for Authority {
    fn drop(&mut self) {
        std::fs::remove_file(&self.file).ok();
    }
}

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let file = std::env::temp_dir().join(format!("fairflow-{name}-{}.pem", std::process::id()));
    std::fs::write(&file, issuer.pem()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    Authority { file, acceptor: Arc::new(config).into() }
}

/// Starts a provider that answers every chat over https with how many connections there were, and every image over a
/// socket; returns its address.
async fn provider(acceptor: TlsAcceptor, socket: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/v1", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut connections = 0;
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            connections += 1;
            tokio::spawn(async move {
                // A client that does not trust us leaves here.
                let Ok(stream) = acceptor.accept(stream).await else { return };
                if socket {
                    let mut stream = tokio_tungstenite::accept_async(stream).await.unwrap();
                    while let Some(Ok(Message::Text(text))) = stream.next().await {
                        let [task] = &serde_json::from_str::<Vec<Value>>(text.as_str()).unwrap()[..] else { return };
                        let item = json!({"taskType": task["taskType"], "taskUUID": task["taskUUID"], "imageUUID": "i",
                            "imageURL": "https://x/y.png", "connectionSessionUUID": "s"});
                        stream.send(Message::text(json!({"data": [item]}).to_string())).await.unwrap();
                    }
                } else {
                    let mut stream = BufReader::new(stream);
                    while read(&mut stream).await.is_some() {
                        let text = format!("connections: {connections}");
                        let body = json!({"choices": [{"message": {"content": text}}]}).to_string();
                        stream.write_all(&answer(200, "content-type: application/json\r\n", body)).await.unwrap();
                        stream.flush().await.unwrap();
                    }
                }
            });
        }
    });
    url
}

fn ca_file(authority: &Authority) -> String {
    format!("ca_file = {:?}", authority.file)
}

#[tokio::test]
async fn https_is_trusted_by_the_authority_that_is_named() {
    let (ours, other) = (authority("https"), authority("https-other"));
    let url = provider(ours.acceptor.clone(), false).await;
    let chat = || TextInference::new("m", "hello");
    let fairflow = engine("openai", &url, &ca_file(&ours), "").await;
    for _ in 0..3 {
        assert_eq!(fairflow.generate(chat()).await.unwrap().text, "connections: 1");
    }
    for stranger in [String::new(), ca_file(&other)] {
        let fairflow = engine("openai", &url, &stranger, "retry.max_attempts = 1").await;
        let error = fairflow.generate(chat()).await.unwrap_err();
        assert!(error.to_string().contains("ca_file"), "{error}");
    }
}

#[tokio::test]
async fn wss_is_trusted_by_the_authority_that_is_named() {
    let (ours, other) = (authority("wss"), authority("wss-other"));
    let url = provider(ours.acceptor.clone(), true).await;
    let start = async |more: &str| {
        engine("runware", &url, &format!("transport = \"websocket\"\n{more}"), "retry.max_attempts = 1").await
    };
    let image = || ImageInference::new("m", "a fox");
    let made = start(&ca_file(&ours)).await.generate(image()).await.unwrap();
    assert_eq!(made.images[0].url.as_deref(), Some("https://x/y.png"));
    for stranger in [String::new(), ca_file(&other)] {
        let error = start(&stranger).await.generate(image()).await.unwrap_err();
        assert!(error.to_string().contains("ca_file"), "{error}");
    }
}

#[tokio::test]
async fn a_file_that_holds_no_certificates_is_named() {
    let config = |url: &str, file: &PathBuf| {
        let text = format!(
            "[providers.p]\nkind = \"openai\"\nbase_url = \"{url}\"\nca_file = {file:?}\n[models.m]\nroutes = [{{ provider = \"p\" }}]\n"
        );
        Config::from_toml(&text).unwrap()
    };
    let ours = authority("file");
    let write = |text: &str| std::fs::write(&ours.file, text).unwrap();
    let missing = ours.file.with_extension("missing");
    for (url, file, text, says) in [
        ("https://x/v1", &missing, "", "cannot be read"),
        ("https://x/v1", &ours.file, "hello", "holds no certificate"),
        ("https://x/v1", &ours.file, "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n", "cannot be used"),
        ("http://x/v1", &ours.file, "-----BEGIN CERTIFICATE-----", "is for https"),
    ] {
        write(text);
        let error = Fairflow::builder(config(url, file)).start().await.unwrap_err().to_string();
        assert!(error.contains(says) && error.contains("ca_file"), "{error}");
    }
}
