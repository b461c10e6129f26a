//! Paths, and who may ask: a request goes through the token to one of the answers.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::uri::Authority;
use axum::http::{StatusCode, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{AppendHeaders, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use base64::prelude::{BASE64_STANDARD, Engine};
use streams_core::runtime::StreamsMonitor;
use subtle::ConstantTimeEq;

use crate::events::{self, Failures};
use crate::graph::Graph;
use crate::health::Health;
use crate::problem::Problem;
use crate::question::Question;
use crate::status::Status;
use crate::stores::StoreRoutes;
use crate::work::Watch;
use crate::{page, prometheus};

/// What the answers are made of.
pub(crate) struct Site {
    pub(crate) monitor: StreamsMonitor,
    pub(crate) work: Arc<Watch>,
    pub(crate) token: Option<String>,
    pub(crate) ready_lag_max: Option<u64>,
    pub(crate) stores: StoreRoutes,
}

type Shared = State<Arc<Site>>;

const INDEX: &str = "/\n/health/live\n/health/ready\n/status\n/work\n/history\n/failures\n/metrics\n/topology\n/topology/json\n/topology/graph\n/topology/mermaid\n/topology/dot\n/stores\n";

/// All paths.
pub(crate) fn router(site: Arc<Site>) -> Router {
    page::add_to(Router::new())
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
        .route("/status", get(async |State(site): Shared| Json(Status::of(&site.monitor))))
        .route("/work", get(async |State(site): Shared| Json(site.work.ask())))
        .route("/history", get(async |State(site): Shared| Json(events::history(&site.monitor))))
        .route("/failures", get(async |State(site): Shared| Json(Failures::of(&site.monitor))))
        .route("/metrics", get(metrics))
        .route("/topology", get(async |State(site): Shared| site.monitor.topology().describe().to_string()))
        .route("/topology/json", get(plan))
        .route(
            "/topology/graph",
            get(async |State(site): Shared| Json(Graph::of(&site.monitor.topology().describe()))),
        )
        .route(
            "/topology/mermaid",
            get(async |State(site): Shared| site.monitor.topology().describe().to_mermaid()),
        )
        .route("/topology/dot", get(async |State(site): Shared| site.monitor.topology().describe().to_dot()))
        .route("/stores", get(async |State(site): Shared| Json(site.stores.list())))
        .route("/stores/{store}/{what}", get(rows))
        .route("/stores/{store}/{what}/{key}", get(rows_of_key))
        .fallback(async || (StatusCode::NOT_FOUND, format!("no such path; there are:\n{INDEX}")))
        .layer(from_fn_with_state(site.clone(), authorized))
        .with_state(site)
}

/// The token that a request brings: programs as `Bearer`, browsers, which ask their user for a name and a password, as the password.
fn token(authorization: &str) -> Option<String> {
    if let Some(token) = authorization.strip_prefix("Bearer ") {
        return Some(token.to_owned());
    }
    let pair = BASE64_STANDARD.decode(authorization.strip_prefix("Basic ")?).ok()?;
    Some(String::from_utf8(pair).ok()?.split_once(':')?.1.to_owned())
}

/// Whether a request was sent to this machine by a name of its own. A page of the web can give its own name the address 127.0.0.1 and read
/// what answers there (DNS rebinding), but not change the name that its browser sends along.
fn is_asked_as_local(request: &Request) -> bool {
    let Some(host) = request.headers().get(header::HOST) else { return true };
    let authority = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
    authority.is_some_and(|authority| {
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        host.eq_ignore_ascii_case("localhost")
            || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
    })
}

/// Lets a request pass that brings the token; if there is none, one that was sent to this machine by a name of its own. The comparison takes
/// as long for each wrong token.
async fn authorized(State(site): Shared, request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(token).unwrap_or_default();
    match &site.token {
        Some(token) if !bool::from(token.as_bytes().ct_eq(given.as_bytes())) => {
            let challenge = AppendHeaders([
                (header::WWW_AUTHENTICATE, "Bearer"),
                (header::WWW_AUTHENTICATE, "Basic realm=\"the token is the password\", charset=\"UTF-8\""),
            ]);
            let text = "this needs the header `Authorization: Bearer TOKEN`, or the token as password\n";
            (StatusCode::UNAUTHORIZED, challenge, text).into_response()
        }
        None if !is_asked_as_local(&request) => {
            let text = "without a token only requests to localhost, 127.0.0.1 and [::1] are answered: set a token to be asked by other names\n";
            (StatusCode::FORBIDDEN, text).into_response()
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
    let form = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    match prometheus::text(&site.monitor) {
        Ok(text) => (form, text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn rows(site: Shared, Path((store, what)): Path<(String, String)>, uri: Uri) -> Response {
    ask(site, Question::new(store, &what, None, &uri)).await
}

async fn rows_of_key(
    site: Shared,
    Path((store, what, key)): Path<(String, String, String)>,
    uri: Uri,
) -> Response {
    ask(site, Question::new(store, &what, Some(key), &uri)).await
}

/// A store answers when its thread comes to it: on a thread of its own, so that probes are not held up.
async fn ask(State(site): Shared, question: Result<Question, Problem>) -> Response {
    let question = match question {
        Ok(question) => question,
        Err(problem) => return problem.into_response(),
    };
    let asked = tokio::task::spawn_blocking(move || site.stores.answer(&site.monitor, &question)).await;
    match asked.unwrap_or_else(|error| Err(Problem::internal(format!("the question ended early: {error}")))) {
        Ok(answer) => Json(answer).into_response(),
        Err(problem) => problem.into_response(),
    }
}

async fn plan(State(site): Shared) -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    (json, site.monitor.topology().snapshot().to_json()).into_response()
}
