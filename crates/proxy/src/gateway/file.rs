//! A gateway's file: listeners and routes, YAML or JSON. Pure.

use serde::Deserialize;

/// What a listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Protocol {
    /// Bytes to one destination.
    Tcp,
    /// TLS, passed through by the name in its greeting.
    Tls,
    /// Plain HTTP/1.1 by host and path prefix.
    Http,
}

/// One port.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Listener {
    pub(super) port: u16,
    pub(super) protocol: Protocol,
    /// For TCP: `host:port`.
    pub(super) to: Option<String>,
    #[serde(default)]
    pub(super) routes: Vec<Route>,
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
    /// `host:port`.
    pub(super) to: String,
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
            let targets = listener.routes.iter().map(|r| &r.to).chain(&listener.to);
            for to in targets {
                let port_of = to.rsplit_once(':').and_then(|(host, port)| {
                    (!host.is_empty()).then(|| port.parse::<u16>().ok()).flatten()
                });
                if port_of.is_none_or(|port| port == 0) {
                    return Err(format!(" port {port}: {to:?} is not host:port"));
                }
            }
            match (listener.protocol, &listener.to, listener.routes.is_empty()) {
                (Protocol::Tcp, Some(_), true) | (Protocol::Tls | Protocol::Http, None, false) => {}
                (Protocol::Tcp, ..) => {
                    return Err(format!(" port {port}: TCP needs `to` and no routes"));
                }
                _ => return Err(format!(" port {port}: TLS and HTTP need routes and no `to`")),
            }
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
        Route { hosts, path_prefix: path.to_owned(), to: "a:1".to_owned() }
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
            (
                "listeners: [{port: 1, protocol: TCP, to: 'a:1'}, {port: 1, protocol: TCP, to: 'a:1'}]",
                "twice",
            ),
        ] {
            assert!(refused(text).contains(word), "{text}: {}", refused(text));
        }
    }
}
