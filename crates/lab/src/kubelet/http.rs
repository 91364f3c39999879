//! The kubelet's own requests: of probes, and of hooks.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use crate::manifest::{Container, HttpGet};

/// One request from the calling thread's network; the status, or an error in Go's words, which
/// are the kubelet's.
pub(super) fn http_get(
    get: &HttpGet,
    container: &Container,
    ip: Ipv4Addr,
    timeout: Duration,
) -> Result<u16, String> {
    let port = container.port(&get.port).ok_or("no such port")?;
    let host = get.host.clone().unwrap_or_else(|| ip.to_string());
    let path = get.path.as_deref().unwrap_or("/");
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let url = format!("http://{host}:{port}{path}");
    let go = |error: std::io::Error, doing: &str| match error.kind() {
        std::io::ErrorKind::ConnectionRefused => {
            format!("Get \"{url}\": dial tcp {host}:{port}: connect: connection refused")
        }
        std::io::ErrorKind::TimedOut | std::io::ErrorKind::WouldBlock => {
            let text = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)";
            format!("Get \"{url}\": {text}")
        }
        std::io::ErrorKind::ConnectionReset => {
            format!("Get \"{url}\": {doing} tcp {host}:{port}: connection reset by peer")
        }
        _ => format!("Get \"{url}\": {doing}: {error}"),
    };
    let to: SocketAddr = match host.parse() {
        Ok(ip) => SocketAddr::new(ip, port),
        Err(_) => return Err(format!("Get \"{url}\": dial tcp: lookup {host}: no such host")),
    };
    let mut stream = TcpStream::connect_timeout(&to, timeout).map_err(|e| go(e, "dial"))?;
    let limits = stream
        .set_read_timeout(Some(timeout))
        .and_then(|()| stream.set_write_timeout(Some(timeout)));
    limits.map_err(|e| go(e, "dial"))?;
    let mut request =
        format!("GET {path} HTTP/1.1\r\nUser-Agent: kube-probe/1.33\r\nAccept: */*\r\n");
    let named = |name: &str| get.http_headers.iter().any(|h| h.name.eq_ignore_ascii_case(name));
    if !named("host") {
        request += &format!("Host: {host}:{port}\r\n");
    }
    for header in &get.http_headers {
        request += &format!("{}: {}\r\n", header.name, header.value);
    }
    request += "Connection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).map_err(|e| go(e, "write"))?;
    let mut head = [0u8; 64];
    let mut length = 0;
    while length < 12 {
        match stream.read(&mut head[length..]).map_err(|e| go(e, "read"))? {
            0 => return Err(format!("Get \"{url}\": EOF")),
            n => length += n,
        }
    }
    let text = String::from_utf8_lossy(&head[..length]);
    let status = text.split(' ').nth(1).and_then(|s| s.get(..3)).and_then(|s| s.parse().ok());
    status.ok_or_else(|| format!("Get \"{url}\": malformed HTTP response"))
}
