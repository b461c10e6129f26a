//! Paths, and who may ask: a request goes through the token to one of the answers.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use streams_core::runtime::StreamsMonitor;
use subtle::ConstantTimeEq;

use crate::health::Health;
use crate::prometheus;
use crate::status::Status;

/// What the answers are made of.
pub(crate) struct Site {
    pub(crate) monitor: StreamsMonitor,
    pub(crate) token: Option<String>,
    pub(crate) ready_lag_max: Option<u64>,
}

type Shared = State<Arc<Site>>;

const INDEX: &str = "/health/live\n/health/ready\n/status\n/metrics\n/topology\n/topology/json\n/topology/mermaid\n/topology/dot\n";

/// All paths.
pub(crate) fn router(site: Arc<Site>) -> Router {
    Router::new()
        .route("/", get(async || INDEX))
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
        .route("/status", get(async |State(site): Shared| Json(Status::of(&site.monitor))))
        .route("/metrics", get(metrics))
        .route("/topology", get(async |State(site): Shared| site.monitor.topology().describe().to_string()))
        .route("/topology/json", get(plan))
        .route(
            "/topology/mermaid",
            get(async |State(site): Shared| site.monitor.topology().describe().to_mermaid()),
        )
        .route("/topology/dot", get(async |State(site): Shared| site.monitor.topology().describe().to_dot()))
        .fallback(async || (StatusCode::NOT_FOUND, format!("no such path; there are:\n{INDEX}")))
        .layer(from_fn_with_state(site.clone(), authorized))
        .with_state(site)
}

/// Lets a request pass that brings the token, if there is one. The comparison takes as long for each wrong token.
async fn authorized(State(site): Shared, request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    match &site.token {
        Some(token) if !bool::from(token.as_bytes().ct_eq(given.as_bytes())) => {
            let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
            (StatusCode::UNAUTHORIZED, challenge, "this needs the header `Authorization: Bearer TOKEN`\n")
                .into_response()
        }
        Some(_) | None => next.run(request).await,
    }
}

fn told(health: Health) -> Response {
    let code = if health.is_up() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(health)).into_response()
}

async fn live(State(site): Shared) -> Response {
    told(Health::live(site.monitor.state(), site.monitor.error()))
}

async fn ready(State(site): Shared) -> Response {
    let monitor = &site.monitor;
    told(Health::ready(monitor.state(), &monitor.metrics(), site.ready_lag_max))
}

async fn metrics(State(site): Shared) -> Response {
    let form = [(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")];
    match prometheus::text(&site.monitor) {
        Ok(text) => (form, text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn plan(State(site): Shared) -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    (json, site.monitor.topology().snapshot().to_json()).into_response()
}
