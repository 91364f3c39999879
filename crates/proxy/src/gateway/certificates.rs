//! A gateway's certificates: read from their files, read again when those change. A pair that is
//! wrong is told with its file, and the one that was in force stays.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sunup_limits::Validity;

use super::file::{Certificate, Listener, Protocol};
use crate::tls::{self, Ended, Pair};

/// What is known of one port's certificates.
#[derive(Debug, Default)]
struct Known {
    /// Digest of the files as they were read last; their keys aren't kept twice.
    seen: Option<u64>,
    ended: Option<Ended>,
    /// The certificates' files, as they were when these were taken.
    files: Vec<PathBuf>,
    problem: Option<String>,
    /// What was said of its dates last.
    told: Option<String>,
}

impl Known {
    fn in_force(&self) -> impl Iterator<Item = (&Path, Validity)> {
        let all = self.ended.iter().flat_map(|ended| ended.certificates.validities());
        self.files.iter().map(PathBuf::as_path).zip(all)
    }
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
        match read.and_then(|texts| ended(listener, &texts)) {
            Ok(ended) => {
                (known.ended, known.problem) = (Some(ended), None);
                known.files = listener.tls.iter().map(|f| f.certificate.clone()).collect();
                News::Taken
            }
            Err(why) => {
                known.problem = Some(why.clone());
                News::Refused(why)
            }
        }
    }

    /// What a port's listener speaks TLS with, or why it can't.
    pub(super) fn of(&self, port: u16) -> Result<Ended, String> {
        let known = self.0.get(&port);
        let ended = known.and_then(|known| known.ended.clone());
        let problem = || known.and_then(|known| known.problem.clone()).unwrap_or_default();
        ended.ok_or_else(problem)
    }

    /// When each certificate in force at a port ends, by its file, in seconds since 1970.
    pub(super) fn ends(&self, port: u16) -> impl Iterator<Item = (&Path, i64)> {
        let all = self.0.get(&port).into_iter().flat_map(Known::in_force);
        all.map(|(file, validity)| (file, validity.not_after))
    }

    /// Which of a port's certificates in force no client takes at this time, and whether that is
    /// news.
    pub(super) fn out_of_date(&mut self, port: u16, now: SystemTime) -> (Option<String>, bool) {
        let Some(known) = self.0.get_mut(&port) else { return (None, false) };
        let bad = known.in_force().filter_map(|(file, validity)| {
            let problem = validity.problem(now)?;
            Some(format!("the certificate {} is {problem}", file.display()))
        });
        let bad: Vec<String> = bad.collect();
        let bad = (!bad.is_empty()).then(|| bad.join("; "));
        let news = known.told != bad;
        known.told.clone_from(&bad);
        (bad, news)
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

fn ended(listener: &Listener, texts: &[Texts]) -> Result<Ended, String> {
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
