//! Metrics and health over HTTP, for Prometheus and the kubelet: one request at a time, each bounded
//! in time and size.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::agent::Agent;

/// How long one request may take, and its answer.
const WITHIN: Duration = Duration::from_secs(1);
/// Bytes of a request that are read.
const HEAD_MAX: usize = 8192;

/// Status line and body of an answer.
pub type Answer = (&'static str, String);

/// Answers for as long as the process lives, by what `answer` makes of a path.
pub fn run(listener: &TcpListener, answer: impl Fn(&str) -> Answer) {
    for stream in listener.incoming() {
        match stream {
            Ok(stream) => {
                // Who breaks off has nothing to hear.
                let _ = one(stream, &answer);
            }
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

fn one(mut stream: TcpStream, answer: impl Fn(&str) -> Answer) -> io::Result<()> {
    let end = Instant::now() + WITHIN;
    stream.set_write_timeout(Some(WITHIN))?;
    let mut head = Vec::new();
    let mut buffer = [0; 1024];
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() || head.len() > HEAD_MAX {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => head.extend_from_slice(&buffer[..count]),
        }
    }
    let head = String::from_utf8_lossy(&head);
    let (status, body) = answer(head.split(' ').nth(1).unwrap_or_default());
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {length}\
         \r\nConnection: close\r\n\r\n{body}"
    )
}

/// What an agent says.
pub fn agent(path: &str, agent: &Agent) -> Answer {
    let good = |body: String| ("200 OK", body);
    match path {
        // Whoever owns the stand-ins answers, or the agent is started again.
        "/healthz/live" | "/healthz/ready" => match agent.counters() {
            Some(_) => good("ok\n".to_owned()),
            None => ("503 Service Unavailable", "the agent's thread does not answer\n".to_owned()),
        },
        "/metrics" => match agent.counters() {
            Some(counters) => good(counters.text()),
            None => ("503 Service Unavailable", String::new()),
        },
        _ => ("404 Not Found", String::new()),
    }
}
