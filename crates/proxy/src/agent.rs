//! The proxy's own endpoints: readiness, metrics, rewritten probes, the end.
//!
//! Each answers from what is shared; none decides what *ready* means.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use sunup_startup::{Event, Gate};
use tokio::sync::OwnedSemaphorePermit;

use crate::config::{Config, Scrape};
use crate::http::{Body, text};
use crate::metrics::Direction;
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
    // What capture led past us comes from the passthrough address, whoever sent it.
    let from = peer.ip().to_canonical();
    let local = from.is_loopback() && !destination::is_passthrough(from);
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

fn prometheus(body: impl Into<Bytes>) -> Response<Body> {
    let mut response = text(StatusCode::OK, body);
    let kind = hyper::header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, kind);
    response
}

fn own_metrics(shared: &Shared) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.map_or(0, |now| i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
    shared.metrics.render(shared.is_ready(), shared.log.dropped(), now)
}

/// Our metrics and the application's. Where the application can't be read, ours stand alone and
/// say so.
async fn merged(shared: &Shared) -> Bytes {
    let config = shared.config();
    let mut out = own_metrics(shared);
    let Some(scrape) = &config.scrape else { return out.into() };
    let application = async {
        // Large answers are held until they are read: a few at a time, for all who ask.
        let scrapes = Arc::clone(&shared.scrapes);
        let place = scrapes.acquire_owned().await.map_err(|e| e.to_string())?;
        application(&config, scrape).await.map(|text| (text, place))
    };
    let limit = std::time::Duration::from_secs(10);
    let application =
        tokio::time::timeout(limit, application).await.unwrap_or_else(|_| Err("timed out".into()));
    let failed = u8::from(application.is_err());
    out.push_str("# TYPE sunup_application_scrape_failed gauge\n");
    out.push_str(&format!("sunup_application_scrape_failed {failed}\n"));
    match application {
        Ok((text, place)) => {
            out.push_str(&text);
            Bytes::from_owner(Held { text: out, _place: place })
        }
        Err(why) => {
            shared.log.warn(format_args!(
                "the application's metrics at port {} {} can't be read: {why}",
                scrape.port, scrape.path
            ));
            out.into()
        }
    }
}

/// A text that holds its place until it is sent.
struct Held {
    text: String,
    _place: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

async fn application(config: &Config, scrape: &Scrape) -> Result<String, String> {
    let to = SocketAddr::from(([127, 0, 0, 1], scrape.port));
    let stream = destination::connect(to, Direction::Outbound, to, config).await;
    let stream = stream.map_err(|e| e.to_string())?;
    let request = Request::get(&scrape.path)
        .header(hyper::header::HOST, to.to_string())
        .body(Body::default())
        .map_err(|e| e.to_string())?;
    let response = http::exchange(stream, request, SCRAPE_MAX).await?;
    if !response.status().is_success() {
        return Err(format!("status {}", response.status()));
    }
    let text = String::from_utf8_lossy(response.body());
    // OpenMetrics' end mark would hide whatever a collector appends.
    Ok(text.replace("# EOF\n", ""))
}
