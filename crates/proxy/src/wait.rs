//! Waiting for a proxy to be ready, and other requests of entrypoints and hooks to it.
//!
//! Plain blocking sockets: this runs in the application's container, alone.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

/// What to ask, and for how long.
#[derive(Debug, Clone)]
pub struct Wait {
    /// An `http://` URL; 200 means ready.
    pub url: String,
    /// When to give up.
    pub timeout: Duration,
    /// Between two questions.
    pub period: Duration,
    /// For one question.
    pub request_timeout: Duration,
}

/// Why waiting ended without a ready proxy.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    /// Not an URL that can be asked.
    #[error("{0:?} is not a URL such as http://localhost:15021/healthz/ready")]
    Url(String),
    /// The time was up.
    #[error("the proxy is not ready after {timeout:?}; last answer: {last}")]
    NotReady {
        /// The whole time.
        timeout: Duration,
        /// What the last question brought.
        last: String,
    },
}

impl Wait {
    /// Asks until the answer is 200.
    ///
    /// # Errors
    /// The URL is wrong, or the time was up: the last answer's words are part of the error.
    pub fn run(&self) -> Result<Duration, WaitError> {
        let (authority, path) = split(&self.url).ok_or_else(|| WaitError::Url(self.url.clone()))?;
        let begun = Instant::now();
        loop {
            let last = match self.ask(&authority, &path) {
                Ok(()) => return Ok(begun.elapsed()),
                Err(last) => last,
            };
            let left = self.timeout.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Err(WaitError::NotReady { timeout: self.timeout, last });
            }
            std::thread::sleep(self.period.min(left));
        }
    }

    fn ask(&self, authority: &str, path: &str) -> Result<(), String> {
        let addresses = authority.to_socket_addrs().map_err(|e| format!("{authority}: {e}"))?;
        let mut last = format!("{authority} has no address");
        for address in addresses {
            match self.ask_one(address, authority, path) {
                Ok(()) => return Ok(()),
                Err(why) => last = why,
            }
        }
        Err(last)
    }

    fn ask_one(&self, address: SocketAddr, host: &str, path: &str) -> Result<(), String> {
        let limit = self.request_timeout.max(Duration::from_millis(1));
        let ask = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect_timeout(&address, limit)?;
            stream.set_read_timeout(Some(limit))?;
            stream.set_write_timeout(Some(limit))?;
            let request =
                format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes())?;
            let mut answer = Vec::new();
            // The answer counts as far as it came.
            let _ = stream.take(8192).read_to_end(&mut answer);
            Ok(String::from_utf8_lossy(&answer).into_owned())
        };
        let answer = ask().map_err(|e| format!("{address}: {e}"))?;
        let status = answer.split(' ').nth(1).unwrap_or_default();
        if answer.starts_with("HTTP/1.") && status == "200" {
            return Ok(());
        }
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body).trim();
        Err(format!("{address}: status {status:?}: {}", body.replace('\n', "; ")))
    }
}

/// Sends one request without a body to a port of this pod's agent; status and body.
///
/// # Errors
/// In words: nobody listens, or the answer isn't HTTP.
pub fn request(port: u16, method: &str, path: &str) -> Result<(u16, String), String> {
    let token = |b: u8| b > b' ' && b != 0x7f;
    if method.is_empty() || !method.bytes().all(token) || !path.bytes().all(token) {
        return Err(format!("{method:?} {path:?} is not a request"));
    }
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let limit = Duration::from_secs(10);
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&address, limit)?;
        stream.set_read_timeout(Some(limit))?;
        let path = path.trim_start_matches('/');
        let head = "Host: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(format!("{method} /{path} HTTP/1.1\r\n{head}").as_bytes())?;
        let mut answer = Vec::new();
        stream.take(16 << 20).read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    let answer = ask().map_err(|e| format!("{address}: {e}"))?;
    let status = answer.split(' ').nth(1).and_then(|s| s.parse().ok());
    let status = status.filter(|_| answer.starts_with("HTTP/1."));
    let status = status.ok_or_else(|| format!("{address}: the answer is not HTTP"))?;
    Ok((status, answer.split_once("\r\n\r\n").map_or("", |(_, b)| b).to_owned()))
}

/// Authority with port, and path.
fn split(url: &str) -> Option<(String, String)> {
    let rest = url.strip_prefix("http://")?;
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, "/"),
    };
    let unsafe_byte = |b: u8| b <= b' ' || b == 0x7f;
    if authority.is_empty() || url.bytes().any(unsafe_byte) {
        return None;
    }
    let with_port = authority.rsplit_once(':').is_some_and(|(host, port)| {
        port.parse::<u16>().is_ok() && (!host.contains(':') || host.ends_with(']'))
    });
    let authority = if with_port { authority.to_owned() } else { format!("{authority}:80") };
    Some((authority, path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_split_or_refused() {
        let split = |url: &str| split(url).map(|(a, p)| format!("{a} {p}"));
        assert_eq!(
            split("http://localhost:15021/healthz/ready").unwrap(),
            "localhost:15021 /healthz/ready"
        );
        assert_eq!(split("http://[::1]:80").unwrap(), "[::1]:80 /");
        assert_eq!(split("http://[::1]/x").unwrap(), "[::1]:80 /x");
        assert_eq!(split("http://a").unwrap(), "a:80 /");
        for wrong in ["https://a/", "localhost:15021", "http:///x", "http://a/\r\nX: y"] {
            assert_eq!(split(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_request_brings_status_and_body() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = [0; 1024];
            let n = stream.read(&mut asked).unwrap();
            assert!(asked[..n].starts_with(b"POST /drain HTTP/1.1\r\n"));
            write!(stream, "HTTP/1.1 403 No\r\n\r\nwhy").unwrap();
        });
        assert_eq!(request(port, "POST", "drain").unwrap(), (403, "why".to_owned()));
        server.join().unwrap();
        assert!(request(port, "POST", "drain").is_err(), "nobody listens any more");
        assert!(request(port, "GET x", "/").is_err());
    }

    #[test]
    fn it_waits_for_200_and_tells_the_last_answer() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let wait = Wait {
            url: format!("http://{}/healthz/ready", listener.local_addr().unwrap()),
            timeout: Duration::from_secs(20),
            period: Duration::from_millis(5),
            request_timeout: Duration::from_secs(5),
        };
        let answers = ["503 No\r\n\r\nworkers: pending", "503 No\r\n\r\nstill", "200 OK\r\n\r\n"];
        let server = std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 1024];
                let n = stream.read(&mut request).unwrap();
                assert!(request[..n].starts_with(b"GET /healthz/ready HTTP/1.1\r\n"));
                write!(stream, "HTTP/1.1 {answer}").unwrap();
            }
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]).unwrap();
            write!(stream, "HTTP/1.1 503 No\r\n\r\nworkers: pending").unwrap();
        });
        wait.run().unwrap();
        let hurried = Wait { timeout: Duration::ZERO, ..wait };
        let error = hurried.run().unwrap_err().to_string();
        assert!(error.contains("workers: pending"), "{error}");
        server.join().unwrap();
    }
}
