//! Stand-ins for programs that scenarios need and a machine may lack: an application, what it
//! connects to, Vault and its agent, and Istio's proxy. Each does on the network what the real one
//! does, and writes what the real one writes where people look for it.
//!
//! They are started as `sunup lab-part NAME ARGUMENTS…`, in containers.

mod app;
mod istio;
mod server;
mod vault;

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::time::Duration;

/// How long a connection attempt and an answer may take: as most clients' defaults do.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs one of them; its exit code.
#[must_use]
pub fn run(name: &str, arguments: &[String]) -> i32 {
    // Those that have something to do at their end take the signal themselves.
    let own_end = match name {
        "app" => option(arguments, "at-end").is_some(),
        "istio-proxy" => arguments.first().is_some_and(|a| a == "proxy"),
        _ => false,
    };
    let signals = match own_end {
        true => sunup_sys::signal::hold_back_end(),
        false => sunup_sys::signal::exit_on_end(),
    };
    let done = signals.map_err(anyhow::Error::from).and_then(|()| match name {
        "app" => app::run(arguments),
        "server" => server::run(arguments),
        "vault" => vault::serve(arguments),
        "vault-agent" => vault::agent(arguments),
        "istio-proxy" => istio::run(arguments),
        _ => anyhow::bail!("the lab has no part {name}"),
    });
    done.unwrap_or_else(|error| {
        err(&format!("{error:#}"));
        2
    })
}

/// A line to standard output; a reader that has gone is no reason to stop.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn err(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// The value behind `--name`.
fn option<'a>(arguments: &'a [String], name: &str) -> Option<&'a str> {
    let at = arguments.iter().position(|a| a.strip_prefix("--") == Some(name))?;
    arguments.get(at + 1).map(String::as_str)
}

fn milliseconds(arguments: &[String], name: &str) -> anyhow::Result<Option<Duration>> {
    let Some(text) = option(arguments, name) else { return Ok(None) };
    Ok(Some(Duration::from_millis(text.parse()?)))
}

/// Connects to `host:port`. The error is in Go's words, which most of these programs speak.
fn connect(to: &str, timeout: Duration) -> Result<TcpStream, String> {
    let host = to.rsplit_once(':').map_or(to, |(host, _)| host);
    let first = to.to_socket_addrs().ok().and_then(|mut all| all.next());
    let Some(address) = first else {
        return Err(format!("dial tcp: lookup {host}: {}", unresolved(to)));
    };
    let mark = std::env::var("SUNUP_PROXY_MARK").ok().and_then(|m| m.parse().ok());
    sunup_sys::socket::connect(address, mark, timeout)
        .map_err(|error| format!("dial tcp {address}: {}", in_go(&error, "connect: ")))
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
fn get(to: &str, timeout: Duration) -> Result<(SocketAddr, u16), String> {
    let mut stream = connect(to, timeout)?;
    let peer = stream.peer_addr().map_err(|e| e.to_string())?;
    let failed = |error: &std::io::Error| {
        let local = stream.local_addr().map_or(String::new(), |a| a.to_string());
        format!("read tcp {local}->{peer}: {}", in_go(error, "read: "))
    };
    let request = format!("GET / HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\r\n");
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

fn in_go(error: &std::io::Error, doing: &str) -> String {
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
fn now() -> String {
    format!("{:.3}", jiff::Timestamp::now())
}
