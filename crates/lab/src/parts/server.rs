//! A server that answers any HTTP request with 200: a destination, and an application's own port.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use super::common::{option, say};

/// `--listen PORT`, `--strict` (as behind a proxy that takes nothing but TLS).
pub(super) fn run(arguments: &[String]) -> anyhow::Result<i32> {
    let port = option(arguments, "listen").unwrap_or("8080").parse()?;
    say(&format!("listening on port {port}"));
    if arguments.iter().any(|a| a == "--strict") {
        return strict(port);
    }
    listen(None, port)
}

/// Cuts everybody off who says something: data that was not read when a socket is closed makes the
/// kernel answer with RST, as it does for a proxy that has no filter chain for plaintext. TLS, which
/// that proxy would take, is spoken by nobody here.
fn strict(port: u16) -> anyhow::Result<i32> {
    for stream in TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?.incoming().flatten() {
        std::thread::spawn(move || {
            let mut first = [0];
            let _ = stream.peek(&mut first);
        });
    }
    Ok(0)
}

/// Listens on all addresses, or on one.
pub(super) fn listen(address: Option<Ipv4Addr>, port: u16) -> anyhow::Result<i32> {
    answer(address, port, |_| ("200 OK", "ok\n".to_owned()))
}

/// Answers every request with a status and a body that depend on its head, for ever.
pub(super) fn answer(
    address: Option<Ipv4Addr>,
    port: u16,
    body: impl Fn(&str) -> (&'static str, String) + Send + Clone + 'static,
) -> anyhow::Result<i32> {
    let listener = TcpListener::bind((address.unwrap_or(Ipv4Addr::UNSPECIFIED), port))?;
    for stream in listener.incoming().flatten() {
        let body = body.clone();
        std::thread::spawn(move || one(stream, &body));
    }
    Ok(0)
}

fn one(mut stream: TcpStream, body: &impl Fn(&str) -> (&'static str, String)) {
    let mut head = Vec::new();
    let mut buffer = [0; 1024];
    while !head.windows(4).any(|w| w == b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(n) if n > 0 && head.len() < 16 * 1024 => head.extend_from_slice(&buffer[..n]),
            _ => return,
        }
    }
    let (status, body) = body(&String::from_utf8_lossy(&head));
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    // A client that has gone needs no answer.
    let _ = stream.write_all(format!("{head}{body}").as_bytes());
}
