//! TLS that ends at the gateway: by name, with certificates that change under way.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, StreamOwned};

use crate::gateway::{destinations, file, named, until_ready};
use crate::world::{World, with_world};

/// A certificate and its key.
#[derive(Clone)]
pub(crate) struct Identity {
    certificate: String,
    key: String,
}

impl Identity {
    pub(crate) fn new(names: &[&str]) -> Self {
        let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        Self { certificate: made.cert.pem(), key: made.signing_key.serialize_pem() }
    }

    /// The same for other dates.
    pub(crate) fn dated(names: &[&str], from: i32, until: i32) -> Self {
        let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        let mut params = rcgen::CertificateParams::new(names).unwrap();
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        let made = params.self_signed(&key).unwrap();
        Self { certificate: made.pem(), key: key.serialize_pem() }
    }

    fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap()
    }

    /// Speaks TLS with whoever connected, showing this certificate.
    pub(crate) fn serve(
        &self,
        stream: TcpStream,
    ) -> StreamOwned<rustls::ServerConnection, TcpStream> {
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.der()], key)
            .unwrap();
        let server = rustls::ServerConnection::new(Arc::new(config)).unwrap();
        StreamOwned::new(server, stream)
    }

    /// In files of a directory, replaced in one step each.
    pub(crate) fn write(&self, dir: &Path, name: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        for (kind, text) in [("key", &self.key), ("crt", &self.certificate)] {
            let new = dir.join("new");
            std::fs::write(&new, text).unwrap();
            std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o644)).unwrap();
            std::fs::rename(new, dir.join(format!("{name}.{kind}"))).unwrap();
        }
    }
}

pub(crate) type Tls = StreamOwned<ClientConnection, TcpStream>;

/// A client that trusts this identity alone.
pub(crate) fn connect(
    world: &World,
    port: u16,
    name: &str,
    trusts: &Identity,
) -> std::io::Result<Tls> {
    let mut roots = RootCertStore::empty();
    roots.add(trusts.der()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let client = ClientConnection::new(Arc::new(config), name.to_owned().try_into().unwrap());
    let stream = world.connect_from_outside(&format!("127.0.0.1:{port}"))?;
    let mut tls = StreamOwned::new(client.unwrap(), stream);
    while tls.conn.is_handshaking() {
        tls.conn.complete_io(&mut tls.sock)?;
    }
    Ok(tls)
}

fn says(tls: &mut Tls, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    tls.write_all(bytes)?;
    let mut back = vec![0; bytes.len()];
    tls.read_exact(&mut back)?;
    Ok(back)
}

fn get(world: &World, name: &str, trusts: &Identity) -> std::io::Result<String> {
    let mut tls = connect(world, 443, name, trusts)?;
    write!(tls, "GET /x HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    tls.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn tls_ends_at_the_gateway_and_its_certificates_change_under_way() {
    let test = "tls::tls_ends_at_the_gateway_and_its_certificates_change_under_way";
    with_world(test, |world| {
        destinations(world);
        world.application("10.0.0.2:7003", named("other"));
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let text = "
listeners:
- port: 443
  protocol: HTTPS
  tls: [{certificate: DIR/a.crt, key: DIR/a.key}, {certificate: DIR/b.crt, key: DIR/b.key}]
  routes:
  - {hosts: [a.example.com], to: '10.0.0.2:7002'}
  - {hosts: [b.example.com], to: '10.0.0.2:7003'}
- port: 6380
  protocol: TLS
  tls: [{certificate: DIR/a.crt, key: DIR/a.key}]
  to: '10.0.0.2:7000'
";
        let routes = file(&text.replace("DIR", dir.to_str().unwrap()));
        let (a, b) = (Identity::new(&["a.example.com"]), Identity::new(&["*.example.com"]));
        a.write(dir, "a");
        let proxy = world.gateway(None, routes.path());
        let mut said = String::new();
        world.until("a 503 that names the file", || {
            said = world.gateway_ready().1;
            said.contains("port 443: pending") && said.contains("b.crt: No such file")
        });
        assert!(!said.contains("port 6380"), "{said}");
        // What doesn't need that certificate works meanwhile.
        let mut kept = connect(world, 6380, "a.example.com", &a).unwrap();
        assert_eq!(says(&mut kept, b"redis").unwrap(), b"redis");
        b.write(dir, "b");
        until_ready(world);
        let answer = get(world, "a.example.com", &a).unwrap();
        assert!(answer.contains("web /x x-forwarded-for: 127.0.0.1"), "{answer}");
        let answer = get(world, "b.example.com", &b).unwrap();
        assert!(answer.contains("other /x"), "{answer}");

        // A key that isn't the certificate's is refused; nobody notices.
        std::fs::write(dir.join("a.key"), &b.key).unwrap();
        world.until("refused", || proxy.log().contains("a.crt: the key is another certificate's"));
        assert!(get(world, "a.example.com", &a).is_ok());
        assert_eq!(world.gateway_ready().0, 200);

        // A new one holds for new connections; old ones go on.
        let next = Identity::new(&["a.example.com"]);
        next.write(dir, "a");
        world.until("the new one", || get(world, "a.example.com", &next).is_ok());
        assert!(get(world, "a.example.com", &a).is_err(), "the old one was shown");
        assert_eq!(says(&mut kept, b"still").unwrap(), b"still");

        // Bytes, many of them, and the end of one direction.
        let mut tls = connect(world, 6380, "a.example.com", &next).unwrap();
        let big: Vec<u8> = (0..700_000u32).map(|n| (n % 251) as u8).collect();
        for part in big.chunks(70_000) {
            assert_eq!(says(&mut tls, part).unwrap(), part);
        }
        tls.conn.send_close_notify();
        tls.flush().unwrap();
        assert_eq!(tls.read(&mut [0; 1]).unwrap(), 0);

        // Garbage ends at the handshake.
        let mut garbage = world.connect_from_outside("127.0.0.1:443").unwrap();
        garbage.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        let _ = garbage.read_to_end(&mut Vec::new());
        world.until("counted", || proxy.log().contains("to port 443: tls-handshake"));
    });
}
