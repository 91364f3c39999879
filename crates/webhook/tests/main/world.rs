//! A server of this process, and clients at addresses of their own.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use sunup_inject::{Injector, NativeSidecars, Options, ProxyKind, Sources};
use sunup_limits::Times;
use sunup_webhook::{Authority, Reviewer, Stop, TIMES, serve, serve_health};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct World {
    pub(crate) reviewer: Arc<Reviewer>,
    authority: Authority,
    reviews: SocketAddr,
    health: SocketAddr,
}

impl World {
    /// A server that is ready.
    pub(crate) async fn start() -> Self {
        Self::with(TIMES).await
    }

    /// The same with other times.
    pub(crate) async fn with(times: Times) -> Self {
        let reviewer = Arc::new(Reviewer::default());
        let options = Options {
            proxy: ProxyKind::Sunup,
            native: NativeSidecars::Always,
            ..Options::default()
        };
        let settings = Sources::default().build(options).unwrap();
        reviewer.use_settings(Injector::new(settings).unwrap());
        let authority = Authority::make(SystemTime::now()).unwrap();
        let leaf = authority.issue(&["localhost".to_owned()], SystemTime::now()).unwrap();
        let installed = reviewer.certificates.install(leaf.chain.as_bytes(), leaf.key.as_bytes());
        installed.unwrap();
        let [of_reviews, of_health] =
            [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
        let [reviews, health] = [&of_reviews, &of_health].map(|l| l.local_addr().unwrap());
        let listener = |l: std::net::TcpListener| {
            l.set_nonblocking(true).unwrap();
            TcpListener::from_std(l).unwrap()
        };
        let server = serve(
            listener(of_reviews),
            Arc::clone(&reviewer),
            std::future::pending(),
            Stop::default(),
            times,
        );
        tokio::spawn(server);
        tokio::spawn(serve_health(listener(of_health), Arc::clone(&reviewer)));
        Self { reviewer, authority, reviews, health }
    }

    /// A connection to where reviews are taken, from this address.
    pub(crate) async fn connect(&self, from: [u8; 4]) -> TcpStream {
        connect(from, self.reviews).await
    }

    /// The same to where probes are answered.
    pub(crate) async fn connect_to_health(&self, from: [u8; 4]) -> TcpStream {
        connect(from, self.health).await
    }

    /// TLS by one protocol, with a certificate of the caller's or without.
    pub(crate) async fn tls(
        &self,
        from: [u8; 4],
        protocol: &str,
        identity: Option<&(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        for der in CertificateDer::pem_slice_iter(self.authority.bundle().as_bytes()) {
            roots.add(der.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match identity {
            Some((chain, key)) => {
                config.with_client_auth_cert(chain.clone(), key.clone_key()).unwrap()
            }
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let name = ServerName::try_from("localhost").unwrap();
        let stream = self.connect(from).await;
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    /// A small review by a new connection; its status.
    pub(crate) async fn review(&self, from: [u8; 4]) -> std::io::Result<u16> {
        self.review_as(from, None).await
    }

    /// The same, with a certificate.
    pub(crate) async fn review_as(
        &self,
        from: [u8; 4],
        identity: Option<&(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    ) -> std::io::Result<u16> {
        let mut stream = self.tls(from, "http/1.1", identity).await?;
        let body = br#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":
            {"uid":"u-1","resource":{"group":"","version":"v1","resource":"pods"},
            "operation":"CREATE","namespace":"shop","object":{"metadata":{"name":"web"},
            "spec":{"containers":[{"name":"web","image":"web:1"}]}}}}"#;
        stream.write_all(&post(body.len())).await?;
        stream.write_all(body).await?;
        let mut answer = [0; 12];
        tokio::time::timeout(PATIENCE, stream.read_exact(&mut answer)).await??;
        Ok(std::str::from_utf8(&answer[9..]).unwrap().parse().unwrap())
    }

    /// Asks for health or metrics.
    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let mut stream = self.connect_to_health([127, 0, 0, 1]).await;
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
    }

    /// One metric's value, with its labels.
    pub(crate) async fn metric(&self, name: &str) -> i64 {
        let text = self.get("/metrics").await.1;
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("{name} in {text}")).parse().unwrap()
    }

    /// Waits until something has come true.
    pub(crate) async fn until(&self, what: &str, mut done: impl AsyncFnMut() -> bool) {
        let end = tokio::time::Instant::now() + PATIENCE;
        while !done().await {
            assert!(tokio::time::Instant::now() < end, "never: {what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// The head of a review of so many bytes.
pub(crate) fn post(length: usize) -> Vec<u8> {
    format!(
        "POST /inject HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: \
         {length}\r\n\r\n"
    )
    .into_bytes()
}

async fn connect(from: [u8; 4], to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(IpAddr::from(from), 0)).unwrap();
    tokio::time::timeout(PATIENCE, socket.connect(to)).await.unwrap().unwrap()
}

/// A certificate of its own for these dates, and its key, PEM.
pub(crate) fn dated(from: (i32, u8, u8), until: (i32, u8, u8)) -> (String, String) {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_before = date_time_ymd(from.0, from.1, from.2);
    params.not_after = date_time_ymd(until.0, until.1, until.2);
    let key = KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}
