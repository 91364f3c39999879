//! Who is answered by the server in front of an API server.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sunup_kube::front::{Callers, Desk, Reply, Token, listen, serve};

/// Answers everything itself, and counts what came to it.
#[derive(Default)]
struct Counting(AtomicUsize);

impl Desk for Counting {
    async fn reply(&self, _: &http::request::Parts) -> Reply {
        self.0.fetch_add(1, Ordering::Relaxed);
        Reply::Answer(http::Response::new("secret".into()))
    }
}

fn ask(address: SocketAddr, target: &str, fields: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {target} HTTP/1.1\r\n{fields}Connection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    (answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0), answer)
}

#[test]
fn only_who_holds_the_token_and_means_this_server_is_answered() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (listener, address) = runtime.block_on(listen()).unwrap();
    let nowhere = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
    let client = runtime.block_on(async { kube::Client::try_from(nowhere) }).unwrap();
    let (desk, token) = (Arc::new(Counting::default()), Arc::new(Token::new().unwrap()));
    let callers = Callers::Holding(Arc::clone(&token));
    runtime.spawn(serve(listener, client, Arc::clone(&desk), callers));
    let text = token.text();
    assert!(text.len() == 64 && *text != *Token::new().unwrap().text());
    let shown = format!("Authorization: Bearer {text}\r\n");
    let host = format!("Host: {address}\r\n");
    let port = address.port();
    for (fields, code) in [
        (host.clone(), 401),
        (format!("{host}Authorization: Bearer {}\r\n", &text[1..]), 401),
        (format!("{host}Authorization: Bearer {text}0\r\n"), 401),
        (format!("{host}Authorization: Basic {text}\r\n"), 401),
        (format!("{host}{shown}{shown}"), 401),
        // A name of somebody else's that leads here.
        (format!("Host: rebound.example:{port}\r\n{shown}"), 403),
        (format!("Host: rebound.example\r\n{shown}"), 403),
        (format!("Host: 127.0.0.1.rebound.example:{port}\r\n{shown}"), 403),
        (format!("Host: 127.0.0.1:1\r\n{shown}"), 403),
        (shown.clone(), 403),
    ] {
        let (said, answer) = ask(address, "/api/v1/secrets", &fields);
        assert!(said == code && !answer.ends_with("secret"), "{fields}: {answer}");
        let by_url = ask(address, "http://rebound.example/api", &fields).0;
        assert!([400, 401, 403].contains(&by_url), "{fields}: {by_url}");
    }
    assert_eq!(desk.0.load(Ordering::Relaxed), 0, "nothing came so far");
    for host in [host, format!("Host: localhost:{port}\r\n")] {
        let (code, answer) = ask(address, "/api/v1/secrets", &format!("{host}{shown}"));
        assert!(code == 200 && answer.ends_with("secret"), "{answer}");
    }
    assert_eq!(desk.0.load(Ordering::Relaxed), 2);
}
