//! pilot-agent's own port: readiness, and the application's probes, which it asks as Istio does since
//! 1.10: at the pod's address, from the address of the proxy's inbound side, in pilot-agent's words.
//!
//! # Sources
//! istio/istio `pilot/cmd/pilot-agent/status/server.go`, `handleAppProbe` and what it calls.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use serde_json::Value;

use super::common::{ask, connect_from, get, log};
use super::server;

/// The agent's port.
const PORT: u16 = 15020;
/// From where the proxy's inbound side, and the agent, call the application.
const FROM: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 6));

/// Serves it from now on.
pub(super) fn serve() {
    let probers = std::env::var("ISTIO_KUBE_APP_PROBERS").unwrap_or_default();
    let probers: Value = serde_json::from_str(&probers).unwrap_or_default();
    std::thread::spawn(move || server::answer(None, PORT, move |head| answer(head, &probers)));
}

/// The status line and the body of an answer.
fn answer(head: &str, probers: &Value) -> (&'static str, String) {
    let path = head.split(' ').nth(1).unwrap_or_default();
    let second = Duration::from_secs(1);
    if path == "/healthz/ready" {
        return status(get("127.0.0.1:15021", second).is_ok());
    }
    if !path.starts_with("/app-health/") {
        return ("404 Not Found", String::new());
    }
    let probe = &probers[path];
    let seconds = probe["timeoutSeconds"].as_u64().unwrap_or(1).max(1);
    let timeout = Duration::from_secs(seconds);
    if let Some(to) = target(&probe["httpGet"]) {
        return status(http(path, &probe["httpGet"], &to, timeout));
    }
    if let Some(to) = target(&probe["tcpSocket"]) {
        return status(connect_from(Some(FROM), &to, timeout).is_ok());
    }
    log("error", &format!("Prober does not exists url {path}"));
    ("400 Bad Request", format!("app prober config does not exists for {path}"))
}

fn status(good: bool) -> (&'static str, String) {
    (if good { "200 OK" } else { "500 Internal Server Error" }, String::new())
}

/// Address and port of the application.
fn target(action: &Value) -> Option<String> {
    let port = &action["port"];
    let port = port.as_u64().or_else(|| port.as_str()?.parse().ok())?;
    let ip = std::env::var("INSTANCE_IP").unwrap_or_else(|_| "127.0.0.1".to_owned());
    Some(format!("{ip}:{port}"))
}

/// Whether the application's answer is a good one.
fn http(original: &str, action: &Value, to: &str, timeout: Duration) -> bool {
    let path = action["path"].as_str().unwrap_or("/");
    let stream = connect_from(Some(FROM), to, timeout);
    match stream.and_then(|stream| ask(stream, to, path, timeout)) {
        Ok((_, status)) => (200..400).contains(&status),
        Err(error) => {
            let what = format!("Get \"http://{to}{path}\": {error}");
            log(
                "error",
                &format!(
                    "probes\tRequest to probe app failed: {what}, original URL path = {original}\n\
                     app URL path = {path}"
                ),
            );
            false
        }
    }
}
