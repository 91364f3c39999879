//! What holds of a greeting and of a gateway's file, whatever the bytes are.

use rustls::server::Acceptor;

use super::file::File;
pub use super::http::fuzz::{chunks, request, response};
use super::sni::{Parsed, parse};

/// The name in a TLS greeting: known for good once it is known, and the one that a TLS server reads.
pub fn greeting(bytes: &[u8]) {
    let whole = parse(bytes);
    // Where it was cut doesn't matter: an answer that was given is not taken back.
    for cut in (0..bytes.len()).rev().take(64).chain(0..bytes.len().min(64)) {
        let part = parse(&bytes[..cut]);
        assert!(part == Parsed::More || part == whole, "{part:?} of {cut} bytes, then {whole:?}");
    }
    let Some(name) = rustls_name(bytes) else { return };
    match whole {
        Parsed::Name(ours) => {
            let ours = ours.map(|ours| ours.to_ascii_lowercase());
            assert_eq!(ours, name.map(|name| name.to_ascii_lowercase()), "read in two ways");
        }
        other => panic!("a TLS server reads {name:?}, we say {other:?}"),
    }
}

/// The name as rustls reads it; `None` where it is no greeting to it, or not yet.
fn rustls_name(bytes: &[u8]) -> Option<Option<String>> {
    let mut acceptor = Acceptor::default();
    let mut rest = bytes;
    while !rest.is_empty() {
        acceptor.read_tls(&mut rest).ok()?;
        match acceptor.accept() {
            Ok(Some(accepted)) => {
                return Some(accepted.client_hello().server_name().map(str::to_owned));
            }
            Ok(None) => {}
            Err(_) => return None,
        }
    }
    None
}

/// A gateway's file is read or refused; what is read leads every request somewhere or nowhere.
pub fn routes(text: &str) {
    let Ok(file) = File::parse(text) else { return };
    for listener in &file.listeners {
        assert_ne!(listener.port, 0);
        for route in &listener.routes {
            for host in [None, Some("shop.example.com"), Some("."), Some("")] {
                let _ = route.has_host(host);
            }
            for path in ["/", "/api/x", "*", ""] {
                let fits = route.has_path(path);
                assert!(!fits || route.weight() <= path.len(), "a prefix longer than {path:?}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greeting_is_read_as_a_tls_server_reads_it() {
        let mut config = rustls::ClientConfig::builder()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        for sni in [true, false] {
            config.enable_sni = sni;
            let name = "shop.example.com".try_into().expect("a name");
            let mut client =
                rustls::ClientConnection::new(config.clone().into(), name).expect("a client");
            let mut bytes = Vec::new();
            client.write_tls(&mut bytes).expect("written to memory");
            assert_eq!(rustls_name(&bytes).map(|name| name.is_some()), Some(sni));
            greeting(&bytes);
        }
        greeting(b"GET / HTTP/1.1\r\n");
    }

    #[test]
    fn work_grows_with_a_greeting() {
        let test = "gateway::fuzz::tests::work_grows_with_a_greeting";
        sunup_testkit::growth::inside(test, 4000, |size| {
            // In records of one byte each, of a length that doesn't come.
            let record = [22, 3, 1, 0, 1, 1];
            for _ in 0..8 {
                assert_eq!(parse(&record.repeat(size)), Parsed::More);
            }
        });
    }

    #[test]
    fn a_gateways_file_leads_somewhere() {
        routes(
            "listeners: [{port: 80, protocol: HTTP, routes: [{hosts: ['*'], pathPrefix: /, to: 'a:1'}]}]",
        );
        routes("listeners: [");
    }
}
