//! What a process pays before its first TLS handshake: the first random number, which seeds the
//! generator, and the handshake itself, in memory.
//!
//! `cargo run --release -p sunup-webhook --example first_handshake`; with
//! `AWS_LC_SYS_NO_JITTER_ENTROPY=0` in the environment as it would be without this repository's
//! `.cargo/config.toml`.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measuring program")]

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};

/// Processes, each of which has a first time of its own.
const PROCESSES: usize = 20;

fn main() {
    if std::env::args().nth(1).as_deref() == Some("once") {
        return once();
    }
    let program = std::env::current_exe().unwrap();
    let mut times: [Vec<u64>; 3] = Default::default();
    for _ in 0..PROCESSES {
        let said = Command::new(&program).arg("once").output().unwrap().stdout;
        let said = String::from_utf8(said).unwrap();
        for (times, text) in times.iter_mut().zip(said.split_whitespace()) {
            times.push(text.parse().unwrap());
        }
    }
    let names = ["first random bytes", "first handshake", "second handshake"];
    for (name, mut times) in names.into_iter().zip(times) {
        times.sort_unstable();
        let (least, half) = (times[0], times[times.len() / 2]);
        let most = times[times.len() - 1];
        println!("{name:20} least {least:>7} µs   median {half:>7} µs   most {most:>7} µs");
    }
}

/// What it takes in this process, in microseconds.
fn once() {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let began = Instant::now();
    provider.secure_random.fill(&mut [0; 32]).unwrap();
    let random = began.elapsed();

    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = CertificateDer::from(made.cert.der().to_vec());
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let (client, server) = (Arc::new(client), Arc::new(server));
    let first = handshake(&client, &server);
    let second = handshake(&client, &server);
    println!("{} {} {}", random.as_micros(), first.as_micros(), second.as_micros());
}

fn handshake(client: &Arc<ClientConfig>, server: &Arc<ServerConfig>) -> Duration {
    let name = ServerName::try_from("localhost").unwrap();
    let began = Instant::now();
    let mut client = ClientConnection::new(Arc::clone(client), name).unwrap();
    let mut server = ServerConnection::new(Arc::clone(server)).unwrap();
    let mut wire = Vec::new();
    while client.is_handshaking() || server.is_handshaking() {
        wire.clear();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let mut sent = wire.as_slice();
        while !sent.is_empty() {
            server.read_tls(&mut sent).unwrap();
            server.process_new_packets().unwrap();
        }
        wire.clear();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut sent = wire.as_slice();
        while !sent.is_empty() {
            client.read_tls(&mut sent).unwrap();
            client.process_new_packets().unwrap();
        }
    }
    began.elapsed()
}
