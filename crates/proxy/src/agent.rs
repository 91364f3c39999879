//! The proxy's own endpoints: readiness, metrics, rewritten probes, the end.
//!
//! Each answers from what is shared; none decides what *ready* means.

use std::net::SocketAddr;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use sunup_startup::{Event, Gate};

use crate::http::{Body, text};
use crate::probe::Probers;
use crate::state::{Order, Shared};
use crate::{destination, http, probe};

/// The most of an application's metrics that is merged.
const SCRAPE_MAX: usize = 16 << 20;

/// 15021: readiness for the kubelet.
pub(crate) fn readiness(shared: &Shared, request: &Request<Incoming>) -> Response<Body> {
    match request.uri().path() {
        "/healthz/ready" => ready(shared),
        _ => not_found(),
    }
}

/// 15090: the proxy's own metrics.
pub(crate) fn metrics(shared: &Shared, request: &Request<Incoming>) -> Response<Body> {
    match request.uri().path() {
        "/stats/prometheus" | "/metrics" => prometheus(own_metrics(shared)),
        _ => not_found(),
    }
}

/// 15020: the agent.
pub(crate) async fn agent(
    shared: Arc<Shared>,
    probers: Arc<Probers>,
    request: Request<Incoming>,
    peer: SocketAddr,
) -> Response<Body> {
    let path = request.uri().path();
    let local = peer.ip().to_canonical().is_loopback();
    let post = request.method() == Method::POST;
    match path {
        "/healthz/ready" => ready(&shared),
        "/stats/prometheus" | "/metrics" => prometheus(merged(&shared).await),
        "/quitquitquit" | "/drain" if !local => {
            text(StatusCode::FORBIDDEN, "only from within the pod, by its loopback address\n")
        }
        "/quitquitquit" | "/drain" if !post => {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "use POST\n");
            let post = hyper::header::HeaderValue::from_static("POST");
            response.headers_mut().insert(hyper::header::ALLOW, post);
            response
        }
        "/quitquitquit" => {
            shared.order(Order::Quit);
            text(StatusCode::OK, "OK\n")
        }
        "/drain" => {
            let why = "POST /drain: traffic should go elsewhere".to_owned();
            shared.event(Event::Shut { gate: Gate::Withdrawn, why });
            text(StatusCode::OK, "OK\n")
        }
        path if path.starts_with("/app-health/") || path.starts_with("/app-lifecycle/") => {
            match probers.get(path) {
                Some(prober) => probe::run(&shared, prober, request.headers()).await,
                None => text(StatusCode::NOT_FOUND, "no such probe in ISTIO_KUBE_APP_PROBERS\n"),
            }
        }
        _ => not_found(),
    }
}

fn ready(shared: &Shared) -> Response<Body> {
    let code = if shared.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    text(code, shared.describe())
}

fn not_found() -> Response<Body> {
    text(StatusCode::NOT_FOUND, "not found\n")
}

fn prometheus(body: String) -> Response<Body> {
    let mut response = text(StatusCode::OK, body);
    let kind = hyper::header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, kind);
    response
}

fn own_metrics(shared: &Shared) -> String {
    shared.metrics.render(shared.is_ready(), shared.log.dropped())
}

/// Our metrics and the application's. Where the application can't be read, ours stand alone and
/// say so.
async fn merged(shared: &Shared) -> String {
    let config = shared.config();
    let mut out = own_metrics(shared);
    let Some(scrape) = &config.scrape else { return out };
    let application = async {
        let to = SocketAddr::from(([127, 0, 0, 1], scrape.port));
        let direction = crate::metrics::Direction::Outbound;
        let stream =
            destination::connect(to, direction, to, &config).await.map_err(|e| e.to_string())?;
        let request = Request::get(&scrape.path)
            .header(hyper::header::HOST, to.to_string())
            .body(Body::default())
            .map_err(|e| e.to_string())?;
        let response = http::exchange(stream, request, SCRAPE_MAX).await?;
        if !response.status().is_success() {
            return Err(format!("status {}", response.status()));
        }
        let text = String::from_utf8_lossy(response.body()).into_owned();
        // OpenMetrics' end mark would hide whatever a collector appends.
        Ok::<_, String>(text.replace("# EOF\n", ""))
    };
    let limit = std::time::Duration::from_secs(10);
    let application =
        tokio::time::timeout(limit, application).await.unwrap_or_else(|_| Err("timed out".into()));
    let failed = u8::from(application.is_err());
    out.push_str("# TYPE sunup_application_scrape_failed gauge\n");
    out.push_str(&format!("sunup_application_scrape_failed {failed}\n"));
    match application {
        Ok(text) => out.push_str(&text),
        Err(why) => shared.log.warn(format_args!(
            "the application's metrics at port {} {} can't be read: {why}",
            scrape.port, scrape.path
        )),
    }
    out
}
