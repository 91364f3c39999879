//! A gateway's file: listeners and routes, YAML or JSON. Pure.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;

/// What a listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Protocol {
    /// Bytes to one destination.
    Tcp,
    /// TLS by the name in its greeting: passed through, or ended here where there are certificates.
    Tls,
    /// Plain HTTP/1.1 by host and path prefix.
    Http,
    /// The same within TLS that ends here.
    Https,
}

/// Where connections go: an address, or a name that is looked up.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Target {
    /// `host:port`, as written.
    pub(super) name: Arc<str>,
    /// The address, where the host is one.
    pub(super) literal: Option<Arc<[SocketAddr]>>,
}

impl TryFrom<String> for Target {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let port = name.rsplit_once(':').and_then(|(host, port)| {
            (!host.is_empty()).then(|| port.parse::<u16>().ok()).flatten()
        });
        if port.is_none_or(|port| port == 0) {
            return Err(format!("{name:?} is not host:port"));
        }
        let literal = name.parse().ok().map(|address: SocketAddr| Arc::from([address]));
        Ok(Self { literal, name: name.into() })
    }
}

/// Files of one certificate, PEM.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Certificate {
    /// The chain, the server's own first.
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

/// One port.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Listener {
    pub(super) port: u16,
    pub(super) protocol: Protocol,
    /// For TCP, and for TLS that ends here: all of it goes there.
    pub(super) to: Option<Target>,
    #[serde(default)]
    pub(super) routes: Vec<Route>,
    /// Certificates for TLS that ends here; which one is shown depends on the name asked for.
    #[serde(default)]
    pub(super) tls: Vec<Certificate>,
}

/// One way on.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Route {
    /// `a.example.com`, `*.example.com` or `*`; none means all.
    #[serde(default)]
    hosts: Vec<String>,
    /// For HTTP; whole segments, as the Gateway API's `PathPrefix`.
    #[serde(default)]
    path_prefix: String,
    pub(super) to: Target,
}

impl Listener {
    fn check(&self) -> Result<(), &'static str> {
        let (to, routes, tls) = (self.to.is_some(), !self.routes.is_empty(), !self.tls.is_empty());
        match self.protocol {
            Protocol::Tcp if !to || routes => Err("TCP needs `to` and no routes"),
            Protocol::Http | Protocol::Https if to || !routes => {
                Err("HTTP and HTTPS need routes and no `to`")
            }
            Protocol::Https if !tls => Err("HTTPS needs a certificate under `tls`"),
            Protocol::Tls if to == routes => Err("TLS needs either routes or `to`"),
            Protocol::Tls if to && !tls => Err("TLS that is passed through needs routes, not `to`"),
            Protocol::Tcp | Protocol::Http if tls => Err("`tls` is for TLS and HTTPS"),
            _ => Ok(()),
        }
    }
}

impl Route {
    /// Whether a host name belongs here; a connection without a name fits routes for all.
    pub(super) fn has_host(&self, name: Option<&str>) -> bool {
        if self.hosts.is_empty() {
            return true;
        }
        let Some(name) = name else { return self.hosts.iter().any(|h| h == "*") };
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        self.hosts.iter().any(|host| {
            let host = host.to_ascii_lowercase();
            match host.strip_prefix('*') {
                Some("") => true,
                Some(rest) => name.strip_suffix(rest).is_some_and(|before| !before.is_empty()),
                None => host == name,
            }
        })
    }

    /// Whether a path belongs here.
    pub(super) fn has_path(&self, path: &str) -> bool {
        let prefix = self.path_prefix.trim_end_matches('/');
        path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// How long its path prefix is: the longest wins.
    pub(super) fn weight(&self) -> usize {
        self.path_prefix.trim_end_matches('/').len()
    }
}

/// The whole file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) listeners: Vec<Listener>,
}

impl File {
    /// # Errors
    /// `line:column: reason`, or ` reason` where no line is at fault alone.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let file: Self = serde_saphyr::from_str(text).map_err(|e| {
            let at = e.location().map(|l| format!("{}:{}:", l.line(), l.column()));
            format!("{} {}", at.unwrap_or_default(), e.without_snippet())
        })?;
        let mut ports = std::collections::BTreeSet::new();
        for listener in &file.listeners {
            let port = listener.port;
            if port == 0 || !ports.insert(port) {
                return Err(format!(" port {port} is given twice or is 0"));
            }
            listener.check().map_err(|why| format!(" port {port}: {why}"))?;
        }
        if file.listeners.is_empty() {
            return Err(" there is no listener".to_owned());
        }
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(hosts: &[&str], path: &str) -> Route {
        let hosts = hosts.iter().map(|h| (*h).to_owned()).collect();
        Route { hosts, path_prefix: path.to_owned(), to: "a:1".to_owned().try_into().unwrap() }
    }

    #[test]
    fn hosts_and_paths_match_as_the_gateway_api_says() {
        let wild = route(&["*.Example.com"], "/api/");
        assert!(wild.has_host(Some("a.b.EXAMPLE.com.")) && !wild.has_host(Some("example.com")));
        assert!(!wild.has_host(Some("notexample.com")) && !wild.has_host(None));
        assert!(wild.has_path("/api") && wild.has_path("/api/x") && !wild.has_path("/apix"));
        assert!(route(&[], "").has_path("/") && route(&[], "/").has_path("/x"));
        assert!(route(&["*"], "").has_host(None) && route(&[], "").has_host(None));
        assert!(route(&["a"], "").has_host(Some("A")) && !route(&["a"], "").has_host(Some("b.a")));
    }

    #[test]
    fn a_wrong_file_is_refused_with_line_or_port() {
        let refused = |text: &str| File::parse(text).unwrap_err();
        assert!(refused("listeners:\n- port: 80\n  protocol: MAGIC\n").starts_with("3:"));
        assert!(refused("listeners:\n- port: 80\n  protocol: HTTP\n  tls: {}\n").starts_with("4:"));
        for (text, word) in [
            ("listeners: []", "no listener"),
            ("listeners: [{port: 80, protocol: TCP}]", "`to`"),
            ("listeners: [{port: 80, protocol: HTTP, to: 'a:1'}]", "routes"),
            ("listeners: [{port: 80, protocol: TCP, to: a}]", "host:port"),
            ("listeners: [{port: 80, protocol: TCP, to: 'a:0'}]", "host:port"),
            ("listeners: [{port: 80, protocol: TLS, to: 'a:1'}]", "passed through"),
            ("listeners: [{port: 80, protocol: HTTPS, routes: [{to: 'a:1'}]}]", "certificate"),
            (
                "listeners: [{port: 80, protocol: TCP, to: 'a:1', tls: [{certificate: c, key: k}]}]",
                "for TLS and HTTPS",
            ),
            (
                "listeners: [{port: 1, protocol: TCP, to: 'a:1'}, {port: 1, protocol: TCP, to: 'a:1'}]",
                "twice",
            ),
        ] {
            assert!(refused(text).contains(word), "{text}: {}", refused(text));
        }
    }
}
