//! A small HTTP/1.1 server on loopback whose answers a test gives, and that misbehaves on order.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// What was asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `POST` …
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Request {
    /// The first header of that name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A parameter of the query, or of a form in the body, decoded.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<String> {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        let pairs = query.split('&').chain(self.body.split('&'));
        let value = pairs.filter_map(|pair| pair.split_once('=')).find(|(n, _)| *n == name)?.1;
        let mut out = Vec::new();
        let mut bytes = value.bytes();
        while let Some(b) = bytes.next() {
            out.push(match b {
                b'+' => b' ',
                b'%' => {
                    let hex = [bytes.next()?, bytes.next()?];
                    u8::from_str_radix(std::str::from_utf8(&hex).ok()?, 16).ok()?
                }
                b => b,
            });
        }
        String::from_utf8(out).ok()
    }
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Status.
    pub code: u16,
    /// Headers beside the length.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// What is waited first.
    pub after: Duration,
    /// The connection ends within the body.
    pub cut: bool,
}

impl Answer {
    /// An answer at once and in full.
    #[must_use]
    pub fn new(code: u16, body: impl Into<Vec<u8>>) -> Answer {
        let body = body.into();
        Answer { code, headers: Vec::new(), body, after: Duration::ZERO, cut: false }
    }
}

/// A server; it ends with the process.
#[derive(Debug, Clone, Copy)]
pub struct Web {
    /// Where it listens.
    pub at: SocketAddr,
}

impl Web {
    /// Starts one whose answers `handler` gives, for each connection on a thread of its own.
    ///
    /// # Panics
    /// Where no port can be had.
    #[must_use]
    pub fn new(handler: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Web {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
        let at = listener.local_addr().expect("bound");
        let handler = Arc::new(handler);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let handler = Arc::clone(&handler);
                std::thread::spawn(move || serve(stream, &*handler));
            }
        });
        Web { at }
    }

    /// Its address as a URL without a path.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.at)
    }
}

/// Serves one connection until it ends; `None` is how it ends.
fn serve(stream: TcpStream, handler: &dyn Fn(&Request) -> Answer) -> Option<()> {
    let mut writer = stream.try_clone().ok()?;
    let mut reader = BufReader::new(stream);
    loop {
        let request = request(&mut reader)?;
        let answer = handler(&request);
        std::thread::sleep(answer.after);
        let mut head =
            format!("HTTP/1.1 {} x\r\ncontent-length: {}\r\n", answer.code, answer.body.len());
        for (name, value) in &answer.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        let whole = if answer.cut { answer.body.len() / 2 } else { answer.body.len() };
        writer.write_all(head.as_bytes()).ok()?;
        writer.write_all(&answer.body[..whole]).ok()?;
        if answer.cut {
            let _ = writer.shutdown(std::net::Shutdown::Both);
            return None;
        }
    }
}

fn request(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split(' ');
    let mut request = Request {
        method: words.next()?.to_owned(),
        target: words.next()?.to_owned(),
        ..Request::default()
    };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':')?;
        request.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = request.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    request.body = String::from_utf8(body).ok()?;
    Some(request)
}
