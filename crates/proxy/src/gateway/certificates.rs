//! A gateway's certificates: read from their files, read again when those change. A pair that is
//! wrong is told with its file, and the one that was in force stays.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;

use super::file::{Certificate, Listener, Protocol};
use crate::tls::{self, Pair};

/// What is known of one port's certificates.
#[derive(Debug, Default)]
struct Known {
    /// Digest of the files as they were read last; their keys aren't kept twice.
    seen: Option<u64>,
    config: Option<Arc<ServerConfig>>,
    problem: Option<String>,
}

/// What a look at the files brought.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    Same,
    Taken,
    Refused(String),
}

/// The certificates of every port.
#[derive(Debug, Default)]
pub(super) struct Certificates(BTreeMap<u16, Known>);

impl Certificates {
    /// Reads a listener's files and takes them over where they changed and are right.
    pub(super) fn look(&mut self, listener: &Listener) -> News {
        let known = self.0.entry(listener.port).or_default();
        let read = listener.tls.iter().map(texts).collect::<Result<Vec<_>, _>>();
        let mut digest = DefaultHasher::new();
        (&read, listener.protocol == Protocol::Https).hash(&mut digest);
        let seen = Some(digest.finish());
        if known.seen == seen {
            return News::Same;
        }
        known.seen = seen;
        match read.and_then(|texts| config(listener, &texts)) {
            Ok(config) => {
                (known.config, known.problem) = (Some(config), None);
                News::Taken
            }
            Err(why) => {
                known.problem = Some(why.clone());
                News::Refused(why)
            }
        }
    }

    /// What a port's listener speaks TLS with, or why it can't.
    pub(super) fn of(&self, port: u16) -> Result<Arc<ServerConfig>, String> {
        let known = self.0.get(&port);
        let config = known.and_then(|known| known.config.clone());
        let problem = || known.and_then(|known| known.problem.clone()).unwrap_or_default();
        config.ok_or_else(problem)
    }

    /// Forgets ports that the file has no more; which they were.
    pub(super) fn keep(&mut self, has: impl Fn(u16) -> bool) -> Vec<u16> {
        let gone = self.0.keys().copied().filter(|port| !has(*port)).collect();
        self.0.retain(|port, _| has(*port));
        gone
    }
}

type Texts = (Vec<u8>, Vec<u8>);

fn texts(files: &Certificate) -> Result<Texts, String> {
    let read =
        |path: &Path| std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
    Ok((read(&files.certificate)?, read(&files.key)?))
}

fn config(listener: &Listener, texts: &[Texts]) -> Result<Arc<ServerConfig>, String> {
    let pairs: Vec<Pair<'_>> = texts.iter().map(|(chain, key)| Pair { chain, key }).collect();
    let protocols: &[&[u8]] = match listener.protocol {
        Protocol::Https => &[b"http/1.1"],
        // What is spoken within is between the client and the destination.
        _ => &[],
    };
    tls::server(&pairs, protocols).map_err(|(n, why)| {
        let files = listener.tls.get(n).map(|files| &files.certificate);
        format!("{}: {why}", files.map_or_else(String::new, |path| path.display().to_string()))
    })
}
