//! The effective configuration: MeshConfig and ProxyConfig as Istio has them, from a file, from
//! `PROXY_CONFIG` and from the environment that is handed in.
//!
//! Reads no file and no environment itself; unknown fields are for others and are left alone.

mod entry;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod ports;

use std::collections::BTreeMap;
use std::time::Duration;

pub use entry::Entry;
pub use ports::{ChosenPorts, Ports};
use serde::{Deserialize, Serialize};
use sunup_startup::Drain;

/// How inbound packets reach the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Mode {
    /// By a rewritten destination.
    #[default]
    Redirect,
    /// Untouched; the proxy needs `NET_ADMIN`.
    Tproxy,
    /// Not at all.
    None,
}

/// What happens to outbound connections to unknown destinations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Policy {
    /// They are let through.
    #[default]
    AllowAny,
    /// They are reset.
    RegistryOnly,
}

/// How access log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Encoding {
    /// Istio's default format.
    #[default]
    Text,
    /// One object a line, with Istio's field names.
    Json,
}

/// What is in force.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Config {
    /// `ISTIO_META_INTERCEPTION_MODE`, `interceptionMode`.
    pub mode: Mode,
    /// Ports. Those that a change names are bound beside the ones before it: capture and probes of
    /// this pod lead where they led at its start.
    pub ports: Ports,
    /// Every port that capture may lead to: what would come back here if the proxy connected to it.
    #[serde(skip)]
    pub(crate) captures: Vec<u16>,
    /// Every port of the agent: the one on the command line, and `statusPort`, where collectors of
    /// metrics are sent.
    #[serde(skip)]
    pub(crate) agents: Vec<u16>,
    /// Worker threads; fixed at start. Default 2, at most the cores there are; 0: all cores.
    pub concurrency: usize,
    /// `outboundTrafficPolicy.mode`.
    pub policy: Policy,
    /// Destinations that `REGISTRY_ONLY` lets through (`SUNUP_REGISTRY`, comma separated).
    pub registry: Vec<Entry>,
    /// `connectTimeout`, default 10 s.
    #[serde(serialize_with = "as_text")]
    pub connect_timeout: Duration,
    /// `SUNUP_IDLE_TIMEOUT`: a connection on which nothing moves ends; default 1 h, as Istio's.
    #[serde(serialize_with = "as_text")]
    pub idle_timeout: Duration,
    /// `accessLogFile`; empty: none.
    pub access_log_file: String,
    /// `accessLogEncoding`.
    pub access_log_encoding: Encoding,
    /// `terminationDrainDuration`, default 5 s.
    #[serde(serialize_with = "as_text")]
    pub termination_drain: Duration,
    /// `EXIT_ON_ZERO_ACTIVE_CONNECTIONS`.
    pub exit_on_zero_active_connections: bool,
    /// `MINIMUM_DRAIN_DURATION`, default 5 s.
    #[serde(serialize_with = "as_text")]
    pub minimum_drain: Duration,
    /// `SUNUP_MAX_CONNECTIONS`; 0: what the limit on open files allows. Inbound ones get seven in
    /// eight of them.
    pub max_connections: u64,
    /// `ISTIO_META_DNS_CAPTURE`.
    pub dns_capture: bool,
    /// `SUNUP_PROXY_MARK`: the socket mark by which capture knows the proxy, instead of its uid.
    pub mark: Option<u32>,
    /// `SUNUP_SHARE_PORTS`: captured connections are accepted with `SO_REUSEPORT`, as Envoy does, so
    /// that a node agent may stand in. Nobody needs it before a proxy that binds first.
    pub share_ports: bool,
    /// `ISTIO_PROMETHEUS_ANNOTATIONS`: where the application's own metrics are.
    pub scrape: Option<Scrape>,
    /// What this proxy speaks to its peers: none, until it has an identity.
    pub mtls: &'static str,
    /// What a reader should know about the above.
    pub notes: Vec<String>,
}

/// Where the application's metrics are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Scrape {
    /// Port on this host.
    pub port: u16,
    /// Path, default `/metrics`.
    pub path: String,
}

fn as_text<S: serde::Serializer>(time: &Duration, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_str(&format!("{}s", time.as_secs_f64()))
}

/// Where configuration comes from, read by the caller.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The environment; `PROXY_CONFIG` among it.
    pub env: BTreeMap<String, String>,
    /// Name and text of the MeshConfig file, where there is one.
    pub mesh: Option<(String, String)>,
    /// Ports chosen on the command line.
    pub ports: ChosenPorts,
}

/// A configuration that is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {reason}")]
pub struct ConfigError {
    /// File or variable, with the line where it is known.
    pub place: String,
    /// What is wrong.
    pub reason: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Mesh {
    default_config: Option<Proxy>,
    outbound_traffic_policy: Option<TrafficPolicy>,
    access_log_file: Option<String>,
    access_log_encoding: Option<String>,
    connect_timeout: Option<String>,
    proxy_listen_port: Option<u16>,
    proxy_inbound_listen_port: Option<u16>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct TrafficPolicy {
    mode: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Proxy {
    concurrency: Option<u16>,
    interception_mode: Option<String>,
    status_port: Option<u16>,
    termination_drain_duration: Option<String>,
    proxy_metadata: BTreeMap<String, String>,
}

impl Sources {
    /// Works out what is in force: defaults, then the file, then `PROXY_CONFIG`, then variables.
    ///
    /// # Errors
    /// The place and the reason; nothing of a wrong configuration is taken over.
    pub fn resolve(&self) -> Result<Config, ConfigError> {
        let mesh: Mesh = match &self.mesh {
            Some((name, text)) => parse(name, text)?,
            None => Mesh::default(),
        };
        let default = mesh.default_config.unwrap_or_default();
        let own: Proxy = match self.env.get("PROXY_CONFIG") {
            Some(text) => parse("PROXY_CONFIG", text)?,
            None => Proxy::default(),
        };
        let reader =
            Reader { env: &self.env, metadata: [own.proxy_metadata, default.proxy_metadata] };
        let told = |port: Option<u16>, standard| port.filter(|p| *p != 0).unwrap_or(standard);
        let standard = Ports::default();
        let ports = self.ports.over(Ports {
            outbound: told(mesh.proxy_listen_port, standard.outbound),
            inbound: told(mesh.proxy_inbound_listen_port, standard.inbound),
            agent: told(own.status_port.or(default.status_port), standard.agent),
            ..standard
        });
        let mut agents = vec![ports.agent];
        let status_port = own.status_port.or(default.status_port).filter(|port| *port != 0);
        agents.extend(status_port.filter(|port| *port != ports.agent));
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let concurrency = match own.concurrency.or(default.concurrency) {
            Some(0) => cores,
            Some(n) => usize::from(n).min(256),
            None => 2.min(cores),
        };
        let policy = mesh.outbound_traffic_policy.and_then(|p| p.mode);
        let policy = choice(
            "outboundTrafficPolicy.mode",
            policy.as_deref(),
            Policy::default(),
            &[("ALLOW_ANY", Policy::AllowAny), ("REGISTRY_ONLY", Policy::RegistryOnly)],
        )?;
        let encoding = mesh.access_log_encoding;
        let mode = reader.get("ISTIO_META_INTERCEPTION_MODE").map(str::to_owned);
        let mode = mode.or(own.interception_mode).or(default.interception_mode);
        let drain = own.termination_drain_duration.or(default.termination_drain_duration);
        let connect = reader.get("SUNUP_CONNECT_TIMEOUT").or(mesh.connect_timeout.as_deref());
        let mut config = Config {
            mode: choice(
                "interceptionMode",
                mode.as_deref(),
                Mode::default(),
                &[("REDIRECT", Mode::Redirect), ("TPROXY", Mode::Tproxy), ("NONE", Mode::None)],
            )?,
            ports,
            captures: vec![ports.outbound, ports.inbound],
            agents,
            concurrency,
            policy,
            registry: reader.registry()?,
            connect_timeout: duration("connectTimeout", connect, 10)?,
            idle_timeout: duration("SUNUP_IDLE_TIMEOUT", reader.get("SUNUP_IDLE_TIMEOUT"), 3600)?,
            access_log_file: mesh.access_log_file.unwrap_or_default(),
            access_log_encoding: choice(
                "accessLogEncoding",
                encoding.as_deref(),
                Encoding::default(),
                &[("TEXT", Encoding::Text), ("JSON", Encoding::Json)],
            )?,
            termination_drain: duration("terminationDrainDuration", drain.as_deref(), 5)?,
            exit_on_zero_active_connections: reader.flag("EXIT_ON_ZERO_ACTIVE_CONNECTIONS")?,
            minimum_drain: duration(
                "MINIMUM_DRAIN_DURATION",
                reader.get("MINIMUM_DRAIN_DURATION"),
                5,
            )?,
            max_connections: reader.number("SUNUP_MAX_CONNECTIONS")?.unwrap_or(0),
            dns_capture: reader.flag("ISTIO_META_DNS_CAPTURE")?,
            mark: match reader.number("SUNUP_PROXY_MARK")? {
                Some(mark) => Some(u32::try_from(mark).map_err(|_| ConfigError {
                    place: "SUNUP_PROXY_MARK".to_owned(),
                    reason: format!("{mark} is more than 32 bits"),
                })?),
                None => None,
            },
            share_ports: reader.flag("SUNUP_SHARE_PORTS")?,
            scrape: reader.scrape()?,
            mtls: "none",
            notes: Vec::new(),
        };
        config.notes = notes(&config, &reader);
        Ok(config)
    }
}

impl Config {
    /// How long the proxy goes on once it was asked to end.
    pub(crate) fn drain(&self) -> Drain {
        if self.exit_on_zero_active_connections {
            Drain::UntilIdle(self.minimum_drain)
        } else {
            Drain::For(self.termination_drain)
        }
    }
}

fn notes(config: &Config, reader: &Reader<'_>) -> Vec<String> {
    let strict = reader.get("SUNUP_MESH_MTLS").is_some_and(|v| v.eq_ignore_ascii_case("strict"));
    let mut notes = vec![if strict {
        "the mesh is STRICT: its workloads will refuse this proxy's connections, which carry no \
         mTLS; make PeerAuthentication PERMISSIVE for the peers of this workload"
            .to_owned()
    } else {
        "no mTLS to peers: workloads under a STRICT PeerAuthentication refuse this proxy".to_owned()
    }];
    if config.policy == Policy::RegistryOnly && config.registry.is_empty() {
        let note = "REGISTRY_ONLY with an empty registry: every outbound connection is reset; list \
                    destinations in SUNUP_REGISTRY";
        notes.push(note.to_owned());
    }
    notes
}

/// Variables: the process' own, then `proxyMetadata`.
struct Reader<'a> {
    env: &'a BTreeMap<String, String>,
    metadata: [BTreeMap<String, String>; 2],
}

impl Reader<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        let found = self.env.get(key).or_else(|| self.metadata.iter().find_map(|m| m.get(key)));
        found.map(String::as_str).filter(|value| !value.is_empty())
    }

    fn flag(&self, key: &str) -> Result<bool, ConfigError> {
        let values = [
            ("true", true),
            ("1", true),
            ("t", true),
            ("false", false),
            ("0", false),
            ("f", false),
        ];
        choice(key, self.get(key), false, &values)
    }

    fn number(&self, key: &str) -> Result<Option<u64>, ConfigError> {
        let Some(text) = self.get(key) else { return Ok(None) };
        let hex = text.strip_prefix("0x").map(|hex| u64::from_str_radix(hex, 16));
        hex.unwrap_or_else(|| text.parse()).map(Some).map_err(|_| ConfigError {
            place: key.to_owned(),
            reason: format!("{text:?} is not a whole number"),
        })
    }

    fn registry(&self) -> Result<Vec<Entry>, ConfigError> {
        let list = self.get("SUNUP_REGISTRY").unwrap_or_default();
        let entries = list.split(',').map(str::trim).filter(|e| !e.is_empty()).map(Entry::parse);
        entries
            .collect::<Result<_, _>>()
            .map_err(|reason| ConfigError { place: "SUNUP_REGISTRY".to_owned(), reason })
    }

    fn scrape(&self) -> Result<Option<Scrape>, ConfigError> {
        #[derive(Deserialize)]
        struct Told {
            #[serde(default)]
            scrape: String,
            #[serde(default)]
            path: String,
            #[serde(default)]
            port: String,
        }
        let key = "ISTIO_PROMETHEUS_ANNOTATIONS";
        let Some(text) = self.get(key) else { return Ok(None) };
        let told: Told = parse(key, text)?;
        if told.scrape == "false" {
            return Ok(None);
        }
        let port = if told.port.is_empty() { Ok(80) } else { told.port.parse() };
        let port = port.map_err(|_| ConfigError {
            place: key.to_owned(),
            reason: format!("port {:?} is not a port", told.port),
        })?;
        let path = if told.path.is_empty() { "/metrics".to_owned() } else { told.path };
        Ok(Some(Scrape { port, path }))
    }
}

fn choice<T: Copy>(
    place: &str,
    told: Option<&str>,
    default: T,
    values: &[(&str, T)],
) -> Result<T, ConfigError> {
    let Some(told) = told.filter(|t| !t.is_empty()) else { return Ok(default) };
    let found = values.iter().find(|(name, _)| name.eq_ignore_ascii_case(told));
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = values.iter().map(|(name, _)| *name).collect();
        ConfigError {
            place: place.to_owned(),
            reason: format!("{told:?} is not one of {}", names.join(", ")),
        }
    })
}

/// Durations as Go and protobuf write them: `5s`, `1m30s`, `250ms`, `1.5s`.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let units = [
        ("ms", 0.001),
        ("us", 1e-6),
        ("µs", 1e-6),
        ("ns", 1e-9),
        ("h", 3600.0),
        ("m", 60.0),
        ("s", 1.0),
    ];
    let mut rest = text.trim();
    let mut total = 0.0f64;
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let (unit, seconds) = units.iter().find(|(unit, _)| tail.starts_with(unit))?;
        total += number.parse::<f64>().ok()? * seconds;
        rest = &tail[unit.len()..];
    }
    // A century is for ever, and no deadline overflows.
    (total <= 3.2e9).then(|| Duration::from_secs_f64(total))
}

fn duration(place: &str, told: Option<&str>, default_s: u64) -> Result<Duration, ConfigError> {
    let Some(told) = told.filter(|t| !t.is_empty()) else {
        return Ok(Duration::from_secs(default_s));
    };
    parse_duration(told).ok_or_else(|| ConfigError {
        place: place.to_owned(),
        reason: format!("{told:?} is not a duration such as 5s, 1m30s or 250ms"),
    })
}

/// YAML or JSON; an empty text is an empty map.
fn parse<T: for<'de> Deserialize<'de>>(place: &str, text: &str) -> Result<T, ConfigError> {
    let text = if text.trim().is_empty() { "{}" } else { text };
    serde_saphyr::from_str(text).map_err(|error| {
        let line = error.location().map(|l| format!(":{}:{}", l.line(), l.column()));
        let reason = error.without_snippet().to_string();
        ConfigError { place: format!("{place}{}", line.unwrap_or_default()), reason }
    })
}

#[cfg(test)]
mod tests;
