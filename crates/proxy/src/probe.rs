//! Probes and lifecycle hooks of the application, carried out on the kubelet's behalf: its
//! requests come in plain to 15020 and go on to the container as the manifest said.
//!
//! # Sources
//! `ISTIO_KUBE_APP_PROBERS` as Istio's injector writes it: path → Kubernetes' probe, JSON.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, TE, TRANSFER_ENCODING,
    UPGRADE,
};
use hyper::{Request, Response, StatusCode};
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::destination;
use crate::http::{self, Body, text};
use crate::state::Shared;
use crate::tls;

/// The most of an application's answer that is passed on, as the kubelet reads it.
const ANSWER_MAX: usize = 64 * 1024;

/// Probes by path.
#[derive(Debug, Default)]
pub(crate) struct Probers {
    by_path: BTreeMap<String, Prober>,
    target: Option<IpAddr>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Prober {
    http_get: Option<HttpGet>,
    tcp_socket: Option<Port>,
    grpc: Option<Grpc>,
    timeout_seconds: u64,
    #[serde(skip)]
    target: Option<IpAddr>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct HttpGet {
    path: String,
    port: u16,
    scheme: String,
    host: String,
    http_headers: Vec<Header>,
}

#[derive(Debug, Clone, Deserialize)]
struct Header {
    name: String,
    #[serde(default)]
    value: String,
}

#[derive(Debug, Clone, Deserialize)]
struct Port {
    port: u16,
    #[serde(default)]
    host: String,
}

#[derive(Debug, Clone, Deserialize)]
struct Grpc {
    port: u16,
    #[serde(default)]
    service: Option<String>,
}

impl Probers {
    /// Reads `ISTIO_KUBE_APP_PROBERS`. Probes go to the pod's own address (`INSTANCE_IP`), or to
    /// loopback where that isn't known or the mesh keeps the older way.
    ///
    /// # Errors
    /// The JSON is wrong; in words.
    pub(crate) fn parse(env: &BTreeMap<String, String>) -> Result<Self, String> {
        let legacy = env.get("REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION");
        let target = match legacy.map(String::as_str) {
            Some("true") => None,
            _ => env.get("INSTANCE_IP").and_then(|ip| ip.parse().ok()),
        };
        let by_path = match env.get("ISTIO_KUBE_APP_PROBERS").filter(|t| !t.is_empty()) {
            Some(text) => {
                serde_json::from_str(text).map_err(|e| format!("ISTIO_KUBE_APP_PROBERS: {e}"))?
            }
            None => BTreeMap::new(),
        };
        Ok(Self { by_path, target })
    }

    pub(crate) fn get(&self, path: &str) -> Option<Prober> {
        let mut found = self.by_path.get(path)?.clone();
        found.target = self.target;
        Some(found)
    }
}

impl Prober {
    fn to(&self, host: &str, port: u16) -> SocketAddr {
        let told = host.parse().ok();
        let ip = told.or(self.target).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        SocketAddr::new(ip, port)
    }
}

/// Carries a probe out. Its failure is 500, as Istio's agent answers.
pub(crate) async fn run(
    shared: &Arc<Shared>,
    prober: Prober,
    headers: &HeaderMap,
) -> Response<Body> {
    let limit = Duration::from_secs(prober.timeout_seconds.max(1));
    let outcome = tokio::time::timeout(limit, probe(shared, &prober, headers)).await;
    match outcome {
        Ok(Ok(response)) => response,
        Ok(Err(why)) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("probe failed: {why}\n")),
        Err(_) => text(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("probe failed: no answer within {} s\n", limit.as_secs()),
        ),
    }
}

async fn probe(
    shared: &Arc<Shared>,
    prober: &Prober,
    headers: &HeaderMap,
) -> Result<Response<Body>, String> {
    if let Some(get) = &prober.http_get {
        let to = prober.to(&get.host, get.port);
        let request = request(get, to, headers, &shared.config().agents)?;
        let stream = connect(shared, to).await?;
        let answer = if get.scheme.eq_ignore_ascii_case("https") {
            let stream = tls::connect_unverified(stream).await;
            let stream = stream.map_err(|e| format!("{to}: TLS: {e}"))?;
            http::exchange(stream, request, ANSWER_MAX).await?
        } else {
            http::exchange(stream, request, ANSWER_MAX).await?
        };
        // A redirect is a success to the kubelet, and must not be followed from here.
        let status =
            if answer.status().is_redirection() { StatusCode::OK } else { answer.status() };
        return Ok(text(status, answer.into_body()));
    }
    if let Some(tcp) = &prober.tcp_socket {
        connect(shared, prober.to(&tcp.host, tcp.port)).await?;
        return Ok(text(StatusCode::OK, "connected\n"));
    }
    if let Some(grpc) = &prober.grpc {
        let stream = connect(shared, prober.to("", grpc.port)).await?;
        let service = grpc.service.as_deref().unwrap_or_default();
        return match grpc_check(stream, service).await {
            Ok(1) => Ok(text(StatusCode::OK, "SERVING\n")),
            Ok(status) => Err(format!("grpc.health.v1 status {status}, not SERVING")),
            Err(why) => Err(why),
        };
    }
    Err("it names neither httpGet nor tcpSocket nor grpc".to_owned())
}

/// From the address that capture lets through to the application.
async fn connect(shared: &Arc<Shared>, to: SocketAddr) -> Result<TcpStream, String> {
    let connected = destination::connect_probe(to, &shared.config()).await;
    connected.map_err(|e| format!("{to}: {e}"))
}

/// The probe's request: the kubelet's headers go on, the manifest's own come over them.
///
/// # Sources
/// Istio's agent: a `Host` that names the agent's port names the application's instead.
fn request(
    get: &HttpGet,
    to: SocketAddr,
    headers: &HeaderMap,
    agents: &[u16],
) -> Result<Request<Body>, String> {
    let slash = if get.path.starts_with('/') { "" } else { "/" };
    let uri = format!("{slash}{}", get.path);
    let mut request = Request::get(uri).body(Body::default()).map_err(|e| e.to_string())?;
    let ours = [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE, TE];
    for (name, value) in headers.iter().filter(|(name, _)| !ours.contains(name)) {
        request.headers_mut().append(name, value.clone());
    }
    let told = headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = match told.and_then(|host| host.rsplit_once(':')) {
        Some((host, port)) if port.parse().is_ok_and(|port| agents.contains(&port)) => {
            format!("{host}:{}", to.port())
        }
        _ => told.map_or_else(|| to.to_string(), str::to_owned),
    };
    let host = HeaderValue::from_str(&host).map_err(|e| e.to_string())?;
    request.headers_mut().insert(HOST, host);
    let own = get.http_headers.iter().map(|Header { name, value }| {
        let name: HeaderName = name.parse().map_err(|_| format!("header name {name:?}"))?;
        let value = HeaderValue::from_str(value).map_err(|_| format!("value of {name}"))?;
        Ok((name, value))
    });
    let own = own.collect::<Result<Vec<_>, String>>()?;
    for (name, _) in &own {
        request.headers_mut().remove(name);
    }
    for (name, value) in own {
        request.headers_mut().append(name, value);
    }
    Ok(request)
}

/// `grpc.health.v1.Health/Check` over plain HTTP/2 (RFC 9113): one stream, no compression of
/// headers, so no HTTP/2 library. The answer's status: 1 is SERVING.
async fn grpc_check(mut stream: TcpStream, service: &str) -> Result<u64, String> {
    const SETTINGS: u8 = 4;
    const PING: u8 = 6;
    if service.len() > 120 {
        return Err("the service's name is longer than 120 bytes".to_owned());
    }
    let mut out = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    frame(&mut out, SETTINGS, 0, 0, &[]);
    let mut block = vec![0x83, 0x86]; // :method POST and :scheme http of the static table
    for (name, value) in [
        (":path", "/grpc.health.v1.Health/Check"),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ] {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).map_err(|e| e.to_string())?);
            block.extend(text.as_bytes());
        }
    }
    frame(&mut out, 1, 0x4, 1, &block);
    let mut message = Vec::new();
    if !service.is_empty() {
        message.extend([0x0a, u8::try_from(service.len()).map_err(|e| e.to_string())?]);
        message.extend(service.as_bytes());
    }
    let mut body = vec![0, 0, 0, 0, u8::try_from(message.len()).map_err(|e| e.to_string())?];
    body.extend(message);
    frame(&mut out, 0, 0x1, 1, &body);
    stream.write_all(&out).await.map_err(|e| e.to_string())?;
    let mut answer = Vec::new();
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.map_err(|e| format!("no gRPC answer: {e}"))?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        if length > 16_384 {
            return Err("not HTTP/2: a frame is larger than allowed".to_owned());
        }
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).await.map_err(|e| format!("no gRPC answer: {e}"))?;
        let (kind, flags) = (head[3], head[4]);
        let mut reply = Vec::new();
        match kind {
            SETTINGS if flags & 1 == 0 => frame(&mut reply, SETTINGS, 1, 0, &[]),
            PING if flags & 1 == 0 => frame(&mut reply, PING, 1, 0, &payload),
            0 if flags & 0x8 == 0 => answer.extend(&payload),
            3 | 7 => return Err("the server ended the gRPC stream".to_owned()),
            _ => {}
        }
        if !reply.is_empty() {
            stream.write_all(&reply).await.map_err(|e| e.to_string())?;
        }
        // The answer is complete, or the stream ended without one (an error in its headers).
        if matches!(answer.as_slice(), [0, a, b, c, d, rest @ ..]
            if u32::from_be_bytes([*a, *b, *c, *d]) as usize == rest.len())
        {
            return Ok(match answer.get(5..) {
                Some([0x08, status, ..]) => u64::from(*status),
                _ => 0,
            });
        }
        if matches!(kind, 0 | 1) && flags & 1 == 1 {
            return Err("the server has no grpc.health.v1.Health for this service".to_owned());
        }
    }
}

fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
    out.extend([length[1], length[2], length[3], kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend(payload);
}
