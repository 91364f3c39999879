//! The paths that reviews come on. What a webhook is asked to do stands in its configuration's
//! path, so that the API server's selectors choose it.
//!
//! # Sources
//! `parseInjectEnvs` of istio/istio `pkg/kube/inject/webhook.go` (86c9f01).

use std::collections::BTreeMap;

/// What is asked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Path {
    /// Inject, with variables that the URL sets: `/inject/cluster/CLUSTER/net/NETWORK`.
    Inject(BTreeMap<String, String>),
    /// Put right what other webhooks did to a pod that Istio's injector injected.
    Guard,
    /// Check the final pod.
    Validate {
        /// Whether errors are refused, and not only warned about.
        deny: bool,
    },
}

impl Path {
    pub(crate) fn parse(path: &str) -> Option<Path> {
        let path = path.trim_end_matches('/');
        match path {
            "/inject" => return Some(Path::Inject(BTreeMap::new())),
            "/guard" => return Some(Path::Guard),
            "/validate" => return Some(Path::Validate { deny: false }),
            "/validate/deny" => return Some(Path::Validate { deny: true }),
            _ => {}
        }
        path.strip_prefix("/inject/").map(|rest| Path::Inject(variables(rest)))
    }

    /// The variables, where the path has any.
    pub(crate) fn env(&self) -> Option<&BTreeMap<String, String>> {
        match self {
            Path::Inject(env) if !env.is_empty() => Some(env),
            _ => None,
        }
    }
}

fn variables(rest: &str) -> BTreeMap<String, String> {
    let rest = decoded(rest);
    if let Some(pairs) = rest.strip_prefix(":ENV:") {
        let pairs = pairs.split(":ENV:").filter_map(|pair| pair.split_once('='));
        let named = pairs.filter(|(name, _)| !name.is_empty());
        return named.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    }
    let words: Vec<&str> = rest.split('/').collect();
    // A last name without a value says nothing.
    let pairs = words.chunks_exact(2).map(|pair| {
        let name = match pair[0] {
            "cluster" => "ISTIO_META_CLUSTER_ID".to_owned(),
            "net" => "ISTIO_META_NETWORK".to_owned(),
            other => other.to_uppercase(),
        };
        (name, pair[1].replace("--slash--", "/"))
    });
    pairs.filter(|(name, _)| !name.is_empty()).collect()
}

/// A URL's path without its percent signs; what is none stays as it is.
fn decoded(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).filter(|_| *first == b'%');
        let byte = hex.and_then(|h| u8::from_str_radix(std::str::from_utf8(h).ok()?, 16).ok());
        match byte {
            Some(byte) => {
                out.push(byte);
                rest = &after[2..];
            }
            None => {
                out.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(path: &str) -> Vec<(String, String)> {
        let Some(Path::Inject(env)) = Path::parse(path) else { panic!("{path}") };
        env.into_iter().collect()
    }

    #[test]
    fn the_url_sets_cluster_and_network_as_istios_does() {
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(env("/inject"), []);
        assert_eq!(env("/inject/"), []);
        let both = [pair("ISTIO_META_CLUSTER_ID", "c1"), pair("ISTIO_META_NETWORK", "n1")];
        assert_eq!(env("/inject/cluster/c1/net/n1"), both);
        assert_eq!(env("/inject/net/n1/cluster/c1/"), both);
        assert_eq!(env("/inject/a_b/x--slash--y/odd"), [pair("A_B", "x/y")]);
        assert_eq!(env("/inject/:ENV:net=n:ENV:=x:ENV:E="), [pair("E", ""), pair("net", "n")]);
        assert_eq!(env("/inject/net/a%20b%"), [pair("ISTIO_META_NETWORK", "a b%")]);
    }

    #[test]
    fn other_paths_are_none() {
        for path in ["", "/", "/injects", "/guard/x", "/validate/warn"] {
            assert_eq!(Path::parse(path), None, "{path}");
        }
        assert_eq!(Path::parse("/validate/deny/"), Some(Path::Validate { deny: true }));
    }
}
