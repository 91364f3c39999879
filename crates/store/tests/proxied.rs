//! TLS and a proxy on the way to a store: a name that only the proxy knows is reached through it, its
//! certificate is asked for, and NO_PROXY goes straight there.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use sunup_store::{
    Ask, CloudLogging, Names, Page, Place, Proxies, Store as _, Trouble, Watch, Web, What, Window,
};

struct Quiet;

impl Watch for Quiet {
    fn entries(&self, _: u64) {}
    fn waiting(&self, _: std::time::Duration) {}
}

/// A server for `logs.test` and 127.0.0.1 that answers every request with one entry.
fn server() -> (SocketAddr, CertificateDer<'static>) {
    let key = rcgen::KeyPair::generate().expect("a key");
    let names = vec!["logs.test".to_owned(), "127.0.0.1".to_owned()];
    let params = rcgen::CertificateParams::new(names).expect("names");
    let certificate = params.self_signed(&key).expect("signed").der().clone();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.clone()],
            PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        )
        .expect("a pair");
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let config = Arc::clone(&config);
            std::thread::spawn(move || answers(stream, config));
        }
    });
    (at, certificate)
}

/// Answers until the connection ends; `None` is how it ends.
fn answers(mut stream: TcpStream, config: Arc<rustls::ServerConfig>) -> Option<()> {
    let mut tls = rustls::ServerConnection::new(config).ok()?;
    let mut stream = rustls::Stream::new(&mut tls, &mut stream);
    let body = r#"{"entries":[{}]}"#;
    let mut seen = Vec::new();
    loop {
        let mut buffer = [0; 16 << 10];
        match stream.read(&mut buffer).ok()? {
            0 => return None,
            n => seen.extend_from_slice(&buffer[..n]),
        }
        // The question is JSON, and ends as it began.
        if seen.ends_with(b"}") {
            seen.clear();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.write_all(format!("{head}{body}").as_bytes()).ok()?;
        }
    }
}

/// A proxy that leads every CONNECT to `to`, and keeps what was asked for and as whom.
fn proxy(to: SocketAddr) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let kept = Arc::clone(&asked);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let kept = Arc::clone(&kept);
            std::thread::spawn(move || tunnel(stream, to, &kept));
        }
    });
    (at, asked)
}

fn tunnel(mut near: TcpStream, to: SocketAddr, kept: &Mutex<Vec<String>>) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        near.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    kept.lock().expect("no panic while it was held").push(String::from_utf8(head).ok()?);
    let mut far = TcpStream::connect(to).ok()?;
    near.write_all(b"HTTP/1.1 200 OK\r\n\r\n").ok()?;
    let (mut back, mut front) = (far.try_clone().ok()?, near.try_clone().ok()?);
    std::thread::spawn(move || std::io::copy(&mut back, &mut front));
    std::io::copy(&mut near, &mut far).ok().map(drop)
}

fn asked(
    endpoint: &str,
    proxies: &Proxies,
    trusted: Option<&CertificateDer<'static>>,
) -> Vec<Result<Page, Trouble>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(trusted.cloned());
    let web = Web::new(proxies, Some(roots)).expect("a way into the web");
    let store = CloudLogging::new(web, None, Some(endpoint), "p", None, Names::Current);
    let store = store.expect("a good endpoint");
    let at = |text: &str| text.parse().expect("a time");
    let within = Window { from: at("2026-11-02T08:00:00Z"), until: at("2026-11-02T09:00:00Z") };
    let ask = Ask {
        place: Place::default(),
        within,
        what: What::Events { warnings: true },
        except: Vec::new(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a thread").block_on(async {
        vec![store.page(&ask, None, &Quiet).await, store.page(&ask, None, &Quiet).await]
    })
}

#[test]
fn a_proxy_leads_to_the_store_and_its_connection_is_kept() {
    let (at, certificate) = server();
    let (by, seen) = proxy(at);
    let https = format!("http://me:pass%40word@{by}");
    let proxies = Proxies { https, no: "127.0.0.1".to_owned() };
    // Nobody but the proxy knows the name.
    let pages = asked("https://logs.test", &proxies, Some(&certificate));
    assert!(pages.iter().all(|page| page.as_ref().is_ok_and(|p| p.entries == 1)), "{pages:?}");
    let seen = |_: ()| seen.lock().expect("no panic while it was held").clone();
    let heads = seen(());
    assert_eq!(heads.len(), 1, "both questions over one connection: {heads:?}");
    assert!(heads[0].starts_with("CONNECT logs.test:443 HTTP/1.1\r\n"), "{heads:?}");
    // `me:pass@word`
    assert!(heads[0].to_ascii_lowercase().contains("proxy-authorization: basic "), "{heads:?}");
    assert!(heads[0].contains("bWU6cGFzc0B3b3Jk"), "{heads:?}");
    // And who is not to be asked through it, isn't.
    let straight = asked(&format!("https://127.0.0.1:{}", at.port()), &proxies, Some(&certificate));
    assert!(straight.iter().all(Result::is_ok), "{straight:?}");
    assert_eq!(seen(()).len(), 1);
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_refused() {
    let (at, _) = server();
    let pages = asked(&format!("https://127.0.0.1:{}", at.port()), &Proxies::default(), None);
    let error = pages[0].as_ref().expect_err("refused").to_string();
    assert!(
        error.contains("127.0.0.1 can't be reached") && error.contains("certificate"),
        "{error}"
    );
}
