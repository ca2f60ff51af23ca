//! The HTTP gateway: OpenAI's and Runware's routes in front of the scheduler.

mod admin;
mod app;
mod capacity;
mod edge;
mod event_stream;
mod http;
mod lifecycle;
mod openai;
mod routes;
mod runware;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, web};
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::admin::dashboard;
use self::app::Gateway;
use self::http::origin::Pages;
use self::http::{door, framing, request_span};
use self::lifecycle::{reload, state_file};
use crate::config::Config;
use crate::learned::Learned;
use crate::telemetry::Telemetry;
use crate::{Fairflow, StartError};

/// Longest that the last export of traces may take before the process ends.
const LAST_EXPORT: Duration = Duration::from_secs(3);

/// Why the gateway did not start, or ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The configuration is wrong, or a provider cannot be set up.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The client that exports telemetry cannot be set up.
    #[error("{0}")]
    Telemetry(String),
    /// An address cannot be listened on, or the server failed.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// Serves until SIGTERM or SIGINT, then drains; `ready` is told the public and the admin address.
///
/// SIGHUP, and a change of the file `source` that the configuration came from, take over what is in it then.
///
/// # Errors
///
/// [`ServeError`].
pub async fn serve(
    config: Config,
    source: Option<PathBuf>,
    ready: impl FnOnce(SocketAddr, SocketAddr),
) -> Result<(), ServeError> {
    let state = config.server.state.clone();
    let learned = state.as_deref().map(state_file::read).unwrap_or_default();
    let running = config.clone();
    let fairflow = Fairflow::builder(config).remember(learned).start().await?;
    if let Some(path) = state.clone() {
        actix_web::rt::spawn(state_file::keep(fairflow.clone(), path));
    }
    if let Some(path) = source {
        // Here, not in the task: until the signal is listened to it ends the process.
        let hangup = signal(SignalKind::hangup())?;
        actix_web::rt::spawn(reload::watch(fairflow.clone(), path, running, hangup));
    }
    let server = fairflow.settings().server.clone();
    let telemetry = Telemetry::start(&fairflow).map_err(ServeError::Telemetry)?;
    let (engine, pages) = (web::Data::new(fairflow.clone()), web::Data::new(Pages::new(&server)));
    let gateway = web::Data::new(Gateway::new(fairflow, telemetry, server.admin_listen.ip().is_loopback()));
    let public = {
        let gateway = gateway.clone();
        let app = move || {
            App::new()
                .app_data(gateway.clone())
                .app_data(gateway.door.clone())
                .app_data(engine.clone())
                .app_data(pages.clone())
                .wrap(from_fn(edge::pages))
                .wrap(from_fn(door::count))
                .wrap(from_fn(request_span::mark))
                .wrap(from_fn(edge::head))
                .wrap(from_fn(framing::plain))
                .configure(routes::serve_public)
        };
        HttpServer::new(app)
            // Answers go in pieces: without it the second waits until the first is acknowledged.
            .tcp_nodelay(true)
            // A caller that hangs up closes its half first: what it waits for is given up then, not when it is written.
            .h1_allow_half_closed(false)
            .keep_alive(server.client_keep_alive.0)
            .bind(server.listen)?
    };
    let admin = {
        let gateway = gateway.clone();
        let app = move || {
            App::new()
                .app_data(gateway.clone())
                .app_data(gateway.door.clone())
                .wrap(from_fn(door::count))
                .wrap(from_fn(request_span::mark))
                .wrap(from_fn(edge::head))
                .wrap(from_fn(framing::plain))
                .configure(routes::serve_admin)
        };
        HttpServer::new(app)
            .tcp_nodelay(true)
            .workers(1)
            .keep_alive(server.client_keep_alive.0)
            .bind(server.admin_listen)?
    };
    let address = |addresses: Vec<SocketAddr>, asked: SocketAddr| addresses.first().copied().unwrap_or(asked);
    gateway.dashboard.serves_at(address(public.addrs(), server.listen));
    actix_web::rt::spawn(dashboard::record(gateway.clone()));
    ready(address(public.addrs(), server.listen), address(admin.addrs(), server.admin_listen));
    let term = signal(SignalKind::terminate())?;
    let grace = (server.drain_delay.0 + server.drain_timeout.0).as_secs().max(1) + 5;
    let public = public.disable_signals().shutdown_timeout(grace).run();
    let admin = admin.disable_signals().shutdown_timeout(1).run();
    let handles = (public.handle(), admin.handle());
    actix_web::rt::spawn(async move {
        asked_to_end(term).await;
        tracing::info!("draining: nothing more is admitted");
        // Now: windows shrink while a drain leaves them idle.
        let learned = gateway.fairflow.learned();
        if let Some(path) = &state {
            state_file::write(learned.clone(), path);
        }
        let in_time = gateway.clone().into_inner().drain(server.drain_delay.0, server.drain_timeout.0).await;
        if let Some(path) = &state {
            // Again: what ended in the meantime was paid for.
            state_file::write(Learned { tenants: gateway.fairflow.learned().tenants, ..learned }, path);
        }
        tracing::info!(in_time, "drained");
        gateway.telemetry.flush(LAST_EXPORT).await;
        handles.0.stop(true).await;
        handles.1.stop(false).await;
    });
    let (public, admin) = futures_util::future::join(public, admin).await;
    public?;
    admin?;
    Ok(())
}

/// Waits for SIGTERM or SIGINT.
async fn asked_to_end(mut term: Signal) {
    tokio::select! {
        _ = term.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
