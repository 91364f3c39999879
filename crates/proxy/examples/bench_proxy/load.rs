//! Load generator and origin in one thread, as lean as they can be, so that the proxy bounds what
//! is measured: one write and one read a request on either side, answers of one size, nothing
//! parsed. Knows no proxy.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Connections at a time.
const CLIENTS: usize = 64;
/// Connections that stream.
const STREAMS: usize = 4;
const BLOCK: usize = 64 * 1024;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const LAST_REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
const STREAM: &[u8] = b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const END: &[u8] = b"\r\n\r\nok";

/// What the clients do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// Request after request on connections that stay.
    KeepAlive,
    /// A connection for each request; the origin closes.
    Fresh,
    /// Bytes from the origin as fast as they come.
    Stream,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Requests, or for [`Pattern::Stream`] bytes.
    pub(crate) served: f64,
    pub(crate) wall: Duration,
    /// Of each request, in microseconds, sorted.
    pub(crate) times: Vec<u32>,
    /// How much of its core this thread needed, 0 to 1.
    pub(crate) busy: f64,
}

/// Answers for ever.
pub(crate) async fn origin(listener: TcpListener) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        tokio::spawn(answer(stream));
    }
}

/// Answers one connection's requests, none of which is sent before the last one's answer is there.
async fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut buffer, mut filled) = ([0; 512], 0);
    loop {
        filled += match stream.read(&mut buffer[filled..]).await? {
            0 => return Ok(()),
            n => n,
        };
        let request = &buffer[..filled];
        if !request.ends_with(b"\r\n\r\n") {
            continue;
        }
        if request.starts_with(b"GET /stream") {
            let block = vec![b'x'; BLOCK];
            loop {
                stream.write_all(&block).await?;
            }
        }
        stream.write_all(ANSWER).await?;
        if request.windows(5).any(|word| word == b"close") {
            return Ok(());
        }
        filled = 0;
    }
}

/// Lets the clients at it for so long.
pub(crate) async fn run(at: SocketAddr, pattern: Pattern, time: Duration) -> Outcome {
    let (begun, cpu) = (Instant::now(), crate::cpu("thread-self/schedstat"));
    let until = begun + time;
    let mut clients = JoinSet::new();
    let count = if pattern == Pattern::Stream { STREAMS } else { CLIENTS };
    for _ in 0..count {
        clients.spawn(client(at, pattern, until));
    }
    let mut outcome = Outcome::default();
    for (served, times) in clients.join_all().await {
        outcome.served += served;
        outcome.times.extend(times);
    }
    outcome.wall = begun.elapsed();
    outcome.times.sort_unstable();
    let used = crate::cpu("thread-self/schedstat").saturating_sub(cpu);
    outcome.busy = used.as_secs_f64() / outcome.wall.as_secs_f64();
    outcome
}

async fn client(at: SocketAddr, pattern: Pattern, until: Instant) -> (f64, Vec<u32>) {
    let (mut served, mut times) = (0.0, Vec::new());
    if pattern == Pattern::Stream {
        let mut stream = connect(at).await;
        stream.write_all(STREAM).await.unwrap();
        let mut buffer = vec![0; BLOCK];
        while Instant::now() < until {
            let n = u32::try_from(stream.read(&mut buffer).await.unwrap()).unwrap();
            assert!(n > 0, "the stream broke off");
            served += f64::from(n);
        }
        return (served, times);
    }
    let mut kept = None;
    loop {
        let begun = Instant::now();
        if begun >= until {
            return (served, times);
        }
        let mut stream = match kept.take() {
            Some(stream) => stream,
            None => connect(at).await,
        };
        if pattern == Pattern::KeepAlive {
            ask(&mut stream, REQUEST, false).await;
            kept = Some(stream);
        } else {
            ask(&mut stream, LAST_REQUEST, true).await;
        }
        served += 1.0;
        times.push(u32::try_from(begun.elapsed().as_micros()).unwrap());
    }
}

async fn connect(at: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(at).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// One request and its answer; `last`: the connection has to end behind it.
async fn ask(stream: &mut TcpStream, request: &[u8], last: bool) {
    stream.write_all(request).await.unwrap();
    let (mut buffer, mut filled) = ([0; 1024], 0);
    loop {
        let n = stream.read(&mut buffer[filled..]).await.unwrap();
        filled += n;
        let whole = buffer[..filled].ends_with(END);
        if whole && (!last || n == 0) {
            return;
        }
        assert!(n > 0, "no answer: {}", String::from_utf8_lossy(&buffer[..filled]));
    }
}

/// Whether one request is answered.
pub(crate) async fn is_answered(at: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect(at).await else { return false };
    let mut answer = Vec::new();
    let asked = stream.write_all(LAST_REQUEST).await;
    asked.is_ok() && stream.read_to_end(&mut answer).await.is_ok() && answer.ends_with(END)
}

/// Connections that have had one answer and then lie idle.
pub(crate) async fn idle(at: SocketAddr, count: usize) -> Vec<TcpStream> {
    let mut openers = JoinSet::new();
    for n in 0..CLIENTS {
        openers.spawn(async move {
            let mut streams = Vec::new();
            for _ in (n..count).step_by(CLIENTS) {
                let mut stream = connect(at).await;
                ask(&mut stream, REQUEST, false).await;
                streams.push(stream);
            }
            streams
        });
    }
    openers.join_all().await.into_iter().flatten().collect()
}
