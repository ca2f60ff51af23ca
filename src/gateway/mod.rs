//! The HTTP gateway: OpenAI's and Runware's routes in front of the scheduler.

mod admin;
mod auth;
mod openai;
mod refusal;
mod runware;

use std::net::SocketAddr;

use actix_web::{App, HttpResponse, HttpServer, web};

use crate::config::Config;
use crate::{Fairflow, StartError};

/// Why the gateway did not start, or ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The configuration is wrong, or a provider cannot be set up.
    #[error(transparent)]
    Start(#[from] StartError),
    /// An address cannot be listened on, or the server failed.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// Serves until SIGTERM or SIGINT, then drains; `ready` is told the public and the admin address.
///
/// # Errors
///
/// [`ServeError`].
pub async fn serve(config: Config, ready: impl FnOnce(SocketAddr, SocketAddr)) -> Result<(), ServeError> {
    let fairflow = Fairflow::builder(config).start().await?;
    let server = fairflow.settings().server.clone();
    let limit = server.max_body.0;
    let public = {
        let fairflow = fairflow.clone();
        HttpServer::new(move || {
            App::new()
                .app_data(web::Data::new(fairflow.clone()))
                .app_data(web::PayloadConfig::new(limit))
                .route("/v1/chat/completions", web::post().to(openai::chat))
                .route("/v1/embeddings", web::post().to(openai::embeddings))
                .route("/v1/images/generations", web::post().to(openai::images))
                .route("/v1/models", web::get().to(openai::models))
                .route("/v1", web::post().to(runware::tasks))
                .route("/", web::post().to(runware::tasks))
                .route("/v1/capacity", web::get().to(admin::capacity))
                .route("/v1/capacity/{model:.*}", web::get().to(admin::capacity_of))
                .route("/health/live", web::get().to(|| async { HttpResponse::Ok().body("ok") }))
                .route("/health/ready", web::get().to(admin::ready))
        })
        .bind(server.listen)?
    };
    let admin = {
        let fairflow = fairflow.clone();
        HttpServer::new(move || {
            App::new()
                .app_data(web::Data::new(fairflow.clone()))
                .route("/metrics", web::get().to(admin::metrics))
                .route("/admin/drain", web::post().to(admin::drain))
                .route("/health/live", web::get().to(|| async { HttpResponse::Ok().body("ok") }))
                .route("/health/ready", web::get().to(admin::ready))
        })
        .workers(1)
        .bind(server.admin_listen)?
    };
    let address = |addresses: Vec<SocketAddr>, asked: SocketAddr| addresses.first().copied().unwrap_or(asked);
    ready(address(public.addrs(), server.listen), address(admin.addrs(), server.admin_listen));
    let grace = server.drain_timeout.0.as_secs().max(1) + 5;
    let public = public.disable_signals().shutdown_timeout(grace).run();
    let admin = admin.disable_signals().shutdown_timeout(1).run();
    let handles = (public.handle(), admin.handle());
    actix_web::rt::spawn(async move {
        signal().await;
        tracing::info!("draining: nothing more is admitted");
        let in_time = fairflow.drain(server.drain_timeout.0).await;
        tracing::info!(in_time, "drained");
        handles.0.stop(true).await;
        handles.1.stop(false).await;
    });
    let (public, admin) = futures_util::future::join(public, admin).await;
    public?;
    admin?;
    Ok(())
}

/// Waits for SIGTERM or SIGINT.
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut term) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    tokio::select! {
        _ = term.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
