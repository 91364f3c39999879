//! What the stand-ins have in common: options, lines, and connections in the words of Go, which
//! most of the programs that they stand for speak.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::time::Duration;

/// How long a connection attempt and an answer may take: as most clients' defaults do.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// A line to standard output; a reader that has gone is no reason to stop.
pub(super) fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

pub(super) fn err(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// The value behind `--name`.
pub(super) fn option<'a>(arguments: &'a [String], name: &str) -> Option<&'a str> {
    let at = arguments.iter().position(|a| a.strip_prefix("--") == Some(name))?;
    arguments.get(at + 1).map(String::as_str)
}

pub(super) fn milliseconds(arguments: &[String], name: &str) -> anyhow::Result<Option<Duration>> {
    let Some(text) = option(arguments, name) else { return Ok(None) };
    Ok(Some(Duration::from_millis(text.parse()?)))
}

/// Connects to `host:port`. The error is in Go's words, which most of these programs speak.
pub(super) fn connect(to: &str, timeout: Duration) -> Result<TcpStream, String> {
    connect_from(None, to, timeout)
}

/// The same from an address of the pod's own.
pub(super) fn connect_from(
    from: Option<IpAddr>,
    to: &str,
    timeout: Duration,
) -> Result<TcpStream, String> {
    let host = to.rsplit_once(':').map_or(to, |(host, _)| host);
    let first = to.to_socket_addrs().ok().and_then(|mut all| all.next());
    let Some(address) = first else {
        return Err(format!("dial tcp: lookup {host}: {}", unresolved(to)));
    };
    let mark = std::env::var("SUNUP_PROXY_MARK").ok().and_then(|m| m.parse().ok());
    let way = from.map_or_else(String::new, |from| format!("{}->", SocketAddr::new(from, 0)));
    sunup_sys::socket::connect_from(from, address, mark, timeout)
        .map_err(|error| format!("dial tcp {way}{address}: {}", in_go(&error, "connect: ")))
}

/// Why a name has no address, in the words of Go with the C library's resolver: nobody answered, or
/// somebody said that there is none.
fn unresolved(to: &str) -> String {
    let said = to.to_socket_addrs().err().map_or(String::new(), |e| e.to_string());
    match said.split_once("Temporary failure") {
        Some(_) => "Temporary failure in name resolution".to_owned(),
        None => "no such host".to_owned(),
    }
}

/// Asks for `/` and reads the status; the error is in Go's words.
pub(super) fn get(to: &str, timeout: Duration) -> Result<(SocketAddr, u16), String> {
    ask(connect(to, timeout)?, to, "/", timeout)
}

/// Asks whoever is connected for a path and reads the status.
pub(super) fn ask(
    mut stream: TcpStream,
    to: &str,
    path: &str,
    timeout: Duration,
) -> Result<(SocketAddr, u16), String> {
    let peer = stream.peer_addr().map_err(|e| e.to_string())?;
    let failed = |error: &std::io::Error| {
        let local = stream.local_addr().map_or(String::new(), |a| a.to_string());
        format!("read tcp {local}->{peer}: {}", in_go(error, "read: "))
    };
    let request = format!("GET {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\r\n");
    let asked = stream.set_read_timeout(Some(timeout)).and_then(|()| {
        (&stream).write_all(request.as_bytes())?;
        let mut head = [0; 12];
        std::io::Read::read_exact(&mut &stream, &mut head)?;
        Ok(head)
    });
    let head = asked.map_err(|e| failed(&e))?;
    let _ = stream.flush();
    let status = std::str::from_utf8(&head).ok().and_then(|t| t.get(9..12)?.parse().ok());
    status.map(|status| (peer, status)).ok_or_else(|| "malformed HTTP response".to_owned())
}

pub(super) fn in_go(error: &std::io::Error, doing: &str) -> String {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::ConnectionRefused => format!("{doing}connection refused"),
        ErrorKind::ConnectionReset => format!("{doing}connection reset by peer"),
        ErrorKind::TimedOut | ErrorKind::WouldBlock => "i/o timeout".to_owned(),
        ErrorKind::UnexpectedEof => "EOF".to_owned(),
        ErrorKind::HostUnreachable => format!("{doing}no route to host"),
        _ => format!("{doing}{error}"),
    }
}

/// Now, as log lines have it.
pub(super) fn now() -> String {
    format!("{:.3}", jiff::Timestamp::now())
}

/// A line as pilot-agent and Envoy write theirs.
pub(super) fn log(level: &str, text: &str) {
    say(&format!("{:.6}\t{level}\t{text}", jiff::Timestamp::now()));
}
