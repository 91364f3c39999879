//! The raw settings, under the names Istio's own configuration object gives them.
//!
//! Values are as typed. Arguments, annotations and files all fill in a [`Config`]; only
//! [`Config::resolve`] judges them, so one check serves every source.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::checked::{DnsServers, Include, Mode, OwnerGroups, Settings, StartGate};
use super::error::SettingsError;
use super::host::Host;
use super::parse;
use crate::fixed::{PROXY_UID, TPROXY_OUTBOUND_MARK};

/// Settings as typed. Missing fields take Istio's defaults. Field names are those of Istio's Go
/// structure (`OutboundIPRangesInclude` …); the names of its printed JSON
/// (`OUTBOUND_IPRANGES_INCLUDE` …) are understood too.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "PascalCase")]
pub struct Config {
    /// Outbound port of the proxy.
    #[serde(alias = "PROXY_PORT")]
    pub proxy_port: Option<String>,
    /// Inbound port of the proxy.
    #[serde(alias = "INBOUND_CAPTURE_PORT")]
    pub inbound_capture_port: Option<String>,
    /// Tunnel port.
    #[serde(alias = "INBOUND_TUNNEL_PORT")]
    pub inbound_tunnel_port: Option<String>,
    /// Users of the proxy, comma separated.
    #[serde(rename = "ProxyUID", alias = "PROXY_UID")]
    pub proxy_uid: Option<String>,
    /// Groups of the proxy, comma separated.
    #[serde(rename = "ProxyGID", alias = "PROXY_GID")]
    pub proxy_gid: Option<String>,
    /// REDIRECT or TPROXY.
    #[serde(alias = "INBOUND_INTERCEPTION_MODE")]
    pub inbound_interception_mode: Option<String>,
    /// Packet mark of TPROXY mode.
    #[serde(rename = "InboundTProxyMark", alias = "INBOUND_TPROXY_MARK")]
    pub inbound_tproxy_mark: Option<String>,
    /// Routing table of TPROXY mode.
    #[serde(rename = "InboundTProxyRouteTable", alias = "INBOUND_TPROXY_ROUTE_TABLE")]
    pub inbound_tproxy_route_table: Option<String>,
    /// Inbound ports, or `*`.
    #[serde(alias = "INBOUND_PORTS_INCLUDE")]
    pub inbound_ports_include: Option<String>,
    /// Inbound ports left alone.
    #[serde(alias = "INBOUND_PORTS_EXCLUDE")]
    pub inbound_ports_exclude: Option<String>,
    /// Captured owner groups, or `*`.
    #[serde(alias = "OUTBOUND_OWNER_GROUPS_INCLUDE")]
    pub owner_groups_include: Option<String>,
    /// Owner groups left alone.
    #[serde(alias = "OUTBOUND_OWNER_GROUPS_EXCLUDE")]
    pub owner_groups_exclude: Option<String>,
    /// Outbound ports captured whatever the address.
    #[serde(alias = "OUTBOUND_PORTS_INCLUDE")]
    pub outbound_ports_include: Option<String>,
    /// Outbound ports left alone.
    #[serde(alias = "OUTBOUND_PORTS_EXCLUDE")]
    pub outbound_ports_exclude: Option<String>,
    /// Outbound ranges, or `*`.
    #[serde(rename = "OutboundIPRangesInclude", alias = "OUTBOUND_IPRANGES_INCLUDE")]
    pub outbound_ip_ranges_include: Option<String>,
    /// Outbound ranges left alone.
    #[serde(rename = "OutboundIPRangesExclude", alias = "OUTBOUND_IPRANGES_EXCLUDE")]
    pub outbound_ip_ranges_exclude: Option<String>,
    /// Interfaces whose incoming traffic is outbound.
    #[serde(alias = "KUBE_VIRT_INTERFACES", alias = "KubeVirtInterfaces")]
    pub reroute_virtual_interfaces: Option<String>,
    /// Interfaces left alone.
    #[serde(alias = "EXCLUDE_INTERFACES")]
    pub exclude_interfaces: Option<String>,
    /// DNS capture.
    #[serde(rename = "RedirectDNS", alias = "REDIRECT_DNS")]
    pub redirect_dns: Option<bool>,
    /// All of port 53.
    #[serde(rename = "CaptureAllDNS", alias = "CAPTURE_ALL_DNS")]
    pub capture_all_dns: Option<bool>,
    /// Drop invalid packets.
    #[serde(alias = "DROP_INVALID")]
    pub drop_invalid: Option<bool>,
    /// Capture IPv6; derived from the host's addresses where it isn't said.
    #[serde(rename = "EnableIPv6", alias = "ENABLE_INBOUND_IPV6")]
    pub enable_ipv6: Option<bool>,
    /// IPv4 resolvers; read from resolv.conf where neither list is given.
    #[serde(rename = "DNSServersV4", alias = "DNS_SERVERS_V4")]
    pub dns_servers_v4: Option<Vec<String>>,
    /// IPv6 resolvers.
    #[serde(rename = "DNSServersV6", alias = "DNS_SERVERS_V6")]
    pub dns_servers_v6: Option<Vec<String>>,
    /// IPv6 as soon as any address is IPv6, not just the first.
    #[serde(alias = "DUAL_STACK")]
    pub dual_stack: Option<bool>,
    /// IPv4 range of the application's loopback.
    #[serde(rename = "HostIPv4LoopbackCidr", alias = "HOST_IPV4_LOOPBACK_CIDR")]
    pub host_ipv4_loopback_cidr: Option<String>,
    /// Namespace to act in, as a path.
    #[serde(alias = "NETWORK_NAMESPACE")]
    pub network_namespace: Option<String>,
    /// Sunup: socket mark of the proxy's own connections, instead of uid and gid.
    pub proxy_mark: Option<String>,
    /// Sunup: outbound start gate.
    pub start_gate: Option<bool>,
    /// Sunup: inbound start gate.
    pub start_gate_inbound: Option<bool>,
    /// Sunup: deadline of the gate.
    pub start_gate_deadline: Option<String>,

    /// Where a value came from (argument, annotation …), by field name: what errors say.
    #[serde(skip)]
    pub labels: BTreeMap<&'static str, String>,
}

/// Fields of Istio's object that steer its own program, not the packets: a whole object of
/// Istio's is accepted while a misspelt name isn't.
const INERT: &[&str] = &[
    "IptablesProbePort",
    "ProbeTimeout",
    "DryRun",
    "SkipRuleApply",
    "RunValidation",
    "HostFilesystemPodNetwork",
    "CNIMode",
    "HostIP",
    "Reconcile",
    "CleanupOnly",
    "ForceApply",
    "NativeNftables",
    "ForceIptablesBinary",
    "TraceLogging",
    "RestoreFormat",
    "IPTABLES_PROBE_PORT",
    "PROBE_TIMEOUT",
    "DRY_RUN",
    "SKIP_RULE_APPLY",
    "RUN_VALIDATION",
    "CNI_MODE",
    "HOST_IP",
    "RECONCILE",
    "CLEANUP_ONLY",
    "FORCE_APPLY",
    "NATIVE_NFTABLES",
    "FORCE_IPTABLES_BINARY",
];

impl Config {
    /// Reads a JSON object with Istio's field names.
    ///
    /// # Errors
    /// Text that is no JSON object, an unknown field, a value of the wrong type.
    pub fn from_json(source: &str, text: &str) -> Result<Self, SettingsError> {
        let fail = |e: serde_json::Error| SettingsError::new(source, e.to_string());
        let mut value: serde_json::Value = serde_json::from_str(text).map_err(fail)?;
        let Some(fields) = value.as_object_mut() else {
            return Err(SettingsError::new(source, "not a JSON object with settings"));
        };
        fields.retain(|name, _| !INERT.contains(&name.as_str()));
        serde_json::from_value(value).map_err(fail)
    }

    /// Reads the object as Istio's program holds it: complete. What istio-init would ask the
    /// host is then in the object or isn't so: absent `EnableIPv6` is false, absent resolvers are
    /// none.
    ///
    /// # Errors
    /// As [`Config::from_json`].
    pub fn from_object(source: &str, text: &str) -> Result<Self, SettingsError> {
        let mut config = Self::from_json(source, text)?;
        if config.dual_stack != Some(true) {
            config.enable_ipv6.get_or_insert(false);
        }
        if config.redirect_dns.is_some() && config.dns_servers_v6.is_none() {
            config.dns_servers_v4.get_or_insert_default();
        }
        Ok(config)
    }

    /// These settings, with those of another source taking precedence where it says something.
    #[must_use]
    pub fn overridden_by(mut self, other: Self) -> Self {
        macro_rules! take {
            ($($field:ident),* $(,)?) => {
                $(if other.$field.is_some() { self.$field = other.$field; })*
            };
        }
        take!(
            proxy_port,
            inbound_capture_port,
            inbound_tunnel_port,
            proxy_uid,
            proxy_gid,
            inbound_interception_mode,
            inbound_tproxy_mark,
            inbound_tproxy_route_table,
            inbound_ports_include,
            inbound_ports_exclude,
            owner_groups_include,
            owner_groups_exclude,
            outbound_ports_include,
            outbound_ports_exclude,
            outbound_ip_ranges_include,
            outbound_ip_ranges_exclude,
            reroute_virtual_interfaces,
            exclude_interfaces,
            redirect_dns,
            capture_all_dns,
            drop_invalid,
            enable_ipv6,
            dns_servers_v4,
            dns_servers_v6,
            dual_stack,
            host_ipv4_loopback_cidr,
            network_namespace,
            proxy_mark,
            start_gate,
            start_gate_inbound,
            start_gate_deadline,
        );
        if other.dual_stack == Some(true) && other.enable_ipv6.is_none() {
            self.enable_ipv6 = None;
        }
        self.labels.extend(other.labels);
        self
    }

    /// Judges every value.
    ///
    /// # Errors
    /// The first value that can't be used, with the argument or field it came from.
    pub fn resolve(&self, host: &Host) -> Result<Settings, SettingsError> {
        let defaults = Settings::default();
        let mode = self.mode()?;
        let proxy_uids = match self.text("ProxyUID", &self.proxy_uid) {
            Some((label, list)) => parse::uids(&label, list, host)?,
            None => vec![host.uid("istio-proxy").unwrap_or(PROXY_UID)],
        };
        let proxy_gids = match self.text("ProxyGID", &self.proxy_gid) {
            Some((label, list)) => parse::gids(&label, list, host)?,
            // "For TPROXY as its uid and gid are same": istio's default for gid is the uid.
            None => proxy_uids.clone(),
        };
        let port = |name, field, default| match self.text(name, field) {
            Some((label, value)) => parse::port(&label, value),
            None => Ok(default),
        };
        let ports = |name, field| match self.text(name, field) {
            Some((label, list)) => parse::ports(&label, list),
            None => Ok(Vec::new()),
        };
        let interfaces = |name, field| match self.text(name, field) {
            Some((label, list)) => parse::interfaces(&label, list),
            None => Ok(Vec::new()),
        };
        let number = |name, field, default| match self.text(name, field) {
            Some((label, value)) => parse::number(&label, value),
            None => Ok(default),
        };
        let settings = Settings {
            proxy_port: port("ProxyPort", &self.proxy_port, defaults.proxy_port)?,
            inbound_capture_port: port(
                "InboundCapturePort",
                &self.inbound_capture_port,
                defaults.inbound_capture_port,
            )?,
            inbound_tunnel_port: port(
                "InboundTunnelPort",
                &self.inbound_tunnel_port,
                defaults.inbound_tunnel_port,
            )?,
            proxy_uids,
            proxy_gids,
            proxy_mark: match self.text("ProxyMark", &self.proxy_mark) {
                Some((label, value)) => Some(parse::number(&label, value)?),
                None => None,
            },
            mode,
            tproxy_mark: number(
                "InboundTProxyMark",
                &self.inbound_tproxy_mark,
                defaults.tproxy_mark,
            )?,
            tproxy_route_table: number(
                "InboundTProxyRouteTable",
                &self.inbound_tproxy_route_table,
                defaults.tproxy_route_table,
            )?,
            inbound_ports_include: match self
                .text("InboundPortsInclude", &self.inbound_ports_include)
            {
                Some((label, list)) => parse::ports_or_all(&label, list)?,
                None => Include::default(),
            },
            inbound_ports_exclude: ports("InboundPortsExclude", &self.inbound_ports_exclude)?,
            outbound_ports_include: ports("OutboundPortsInclude", &self.outbound_ports_include)?,
            outbound_ports_exclude: ports("OutboundPortsExclude", &self.outbound_ports_exclude)?,
            outbound_ranges_include: match self
                .text("OutboundIPRangesInclude", &self.outbound_ip_ranges_include)
            {
                Some((_, "*")) => Include::All,
                Some((label, list)) => Include::Only(parse::ranges(&label, list)?),
                None => Include::default(),
            },
            outbound_ranges_exclude: match self
                .text("OutboundIPRangesExclude", &self.outbound_ip_ranges_exclude)
            {
                Some((label, "*")) => {
                    let why = "\"*\" is not possible here: to capture nothing, empty the included \
                               ranges";
                    return Err(SettingsError::new(label, why));
                }
                Some((label, list)) => parse::ranges(&label, list)?,
                None => Vec::new(),
            },
            reroute_virtual_interfaces: interfaces(
                "RerouteVirtualInterfaces",
                &self.reroute_virtual_interfaces,
            )?,
            exclude_interfaces: interfaces("ExcludeInterfaces", &self.exclude_interfaces)?,
            owner_groups: self.owner_groups(host)?,
            redirect_dns: self.redirect_dns.unwrap_or(false),
            capture_all_dns: self.capture_all_dns.unwrap_or(false),
            dns_servers: self.dns_servers(host)?,
            drop_invalid: self.drop_invalid.unwrap_or(false),
            enable_ipv6: self
                .enable_ipv6
                .or_else(|| host.ipv6(self.dual_stack.unwrap_or(false)))
                .unwrap_or(false),
            host_ipv4_loopback: match self
                .text("HostIPv4LoopbackCidr", &self.host_ipv4_loopback_cidr)
            {
                Some((label, value)) => parse::loopback(&label, value)?,
                None => defaults.host_ipv4_loopback,
            },
            start_gate: self.start_gate()?,
        };
        self.consistent(settings)
    }

    /// The value of a field and the name to blame for it; empty text counts as absent.
    fn text<'a>(
        &'a self,
        name: &'static str,
        field: &'a Option<String>,
    ) -> Option<(String, &'a str)> {
        let value = field.as_deref().filter(|text| !text.is_empty())?;
        Some((self.label(name), value))
    }

    fn label(&self, name: &'static str) -> String {
        self.labels.get(name).cloned().unwrap_or_else(|| name.to_owned())
    }

    fn mode(&self) -> Result<Mode, SettingsError> {
        match self.text("InboundInterceptionMode", &self.inbound_interception_mode) {
            None | Some((_, "REDIRECT")) => Ok(Mode::Redirect),
            Some((_, "TPROXY")) => Ok(Mode::Tproxy),
            Some((_, "NONE")) => Ok(Mode::None),
            Some((label, other)) => Err(SettingsError::new(
                label,
                format!("\"{other}\" is not a mode: REDIRECT or TPROXY (NONE captures nothing)"),
            )),
        }
    }

    fn owner_groups(&self, host: &Host) -> Result<OwnerGroups, SettingsError> {
        /// Istio's own limit, kept so that a pod behaves alike under both.
        const MAX: usize = 64;
        let include = self.owner_groups_include.as_deref().unwrap_or("*");
        if include == "*" {
            let exclude = self.owner_groups_exclude.as_deref().unwrap_or("");
            return Ok(OwnerGroups::AllExcept(parse::groups(exclude, host)));
        }
        let groups = parse::groups(include, host);
        if groups.len() > MAX {
            let label = self.label("OwnerGroupsInclude");
            let why = format!("{} groups; at most {MAX} can be listed", groups.len());
            return Err(SettingsError::new(label, why));
        }
        Ok(OwnerGroups::Only(groups))
    }

    fn dns_servers(&self, host: &Host) -> Result<DnsServers, SettingsError> {
        let given = self.dns_servers_v4.is_some() || self.dns_servers_v6.is_some();
        if !given {
            return Ok(host.dns_servers().map_or(DnsServers::Unknown, DnsServers::Known));
        }
        let of = |name, list: &Option<Vec<String>>| {
            parse::servers(&self.label(name), list.as_deref().unwrap_or_default())
        };
        let mut servers = of("DNSServersV4", &self.dns_servers_v4)?;
        servers.extend(of("DNSServersV6", &self.dns_servers_v6)?);
        Ok(DnsServers::Known(servers))
    }

    fn start_gate(&self) -> Result<StartGate, SettingsError> {
        let defaults = StartGate::default();
        Ok(StartGate {
            outbound: self.start_gate.unwrap_or(defaults.outbound),
            inbound: self.start_gate_inbound.unwrap_or(defaults.inbound),
            deadline: match self.text("StartGateDeadline", &self.start_gate_deadline) {
                Some((label, value)) => parse::parse_duration(&label, value)?,
                None => defaults.deadline,
            },
        })
    }

    /// Checks between fields.
    fn consistent(&self, settings: Settings) -> Result<Settings, SettingsError> {
        if settings.proxy_port == settings.inbound_capture_port {
            let why = format!(
                "{} is the outbound port too: inbound and outbound need ports of their own",
                settings.inbound_capture_port
            );
            return Err(SettingsError::new(self.label("InboundCapturePort"), why));
        }
        if settings.mode == Mode::Tproxy {
            let taken = [settings.tproxy_mark, TPROXY_OUTBOUND_MARK];
            if settings.proxy_mark.is_some_and(|mark| taken.contains(&mark)) {
                let why =
                    format!("marks {} and {} are TPROXY's own: choose another", taken[0], taken[1]);
                return Err(SettingsError::new(self.label("ProxyMark"), why));
            }
        }
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn istios_object_is_read_and_misspellings_are_not() {
        let config = Config::from_json(
            "config.json",
            r#"{"ProxyPort":"15001","OutboundIPRangesInclude":"*","RedirectDNS":true,
                "DNSServersV4":["127.0.0.53"],"DryRun":false,"HostIP":"","EnableIPv6":true}"#,
        )
        .unwrap();
        let settings = config.resolve(&Host::default()).unwrap();
        assert_eq!(settings.outbound_ranges_include, Include::All);
        assert!(settings.enable_ipv6 && settings.redirect_dns);
        let err = Config::from_json("c.json", r#"{"OutboundIPRangeInclude":"*"}"#).unwrap_err();
        assert!(err.to_string().contains("OutboundIPRangeInclude"), "{err}");
        assert!(Config::from_json("c.json", "[]").is_err());
    }

    #[test]
    fn errors_name_the_field() {
        let bad = |json: &str| {
            Config::from_json("c", json).unwrap().resolve(&Host::default()).unwrap_err().field
        };
        assert_eq!(bad(r#"{"ProxyPort":"0"}"#), "ProxyPort");
        assert_eq!(bad(r#"{"ProxyUID":"nobody-here"}"#), "ProxyUID");
        assert_eq!(bad(r#"{"OutboundIPRangesExclude":"*"}"#), "OutboundIPRangesExclude");
        assert_eq!(bad(r#"{"HostIPv4LoopbackCidr":"10.0.0.0/8"}"#), "HostIPv4LoopbackCidr");
        assert_eq!(bad(r#"{"InboundInterceptionMode":"tproxy"}"#), "InboundInterceptionMode");
        assert_eq!(bad(r#"{"ProxyPort":"15006"}"#), "InboundCapturePort");
        assert_eq!(bad(r#"{"InboundInterceptionMode":"TPROXY","ProxyMark":"1338"}"#), "ProxyMark");
        assert_eq!(bad(r#"{"StartGateDeadline":"soon"}"#), "StartGateDeadline");
    }

    #[test]
    fn a_whole_object_leaves_nothing_to_the_host() {
        let host = Host {
            resolv_conf: Some("nameserver 10.96.0.10".into()),
            addresses: Some(vec!["fd00::2".parse().unwrap()]),
            ..Host::default()
        };
        let object = Config::from_object("c", r#"{"RedirectDNS":true}"#).unwrap();
        let settings = object.clone().resolve(&host).unwrap();
        assert!(!settings.enable_ipv6);
        assert_eq!(settings.dns_servers, DnsServers::Known(Vec::new()));
        let asks = Config { dual_stack: Some(true), ..Config::default() };
        assert!(object.overridden_by(asks).resolve(&host).unwrap().enable_ipv6);
        let arguments = Config { redirect_dns: Some(true), ..Config::default() };
        let settings = arguments.resolve(&host).unwrap();
        assert!(settings.enable_ipv6);
        assert_ne!(settings.dns_servers, DnsServers::Known(Vec::new()));
    }

    #[test]
    fn gid_follows_uid() {
        let config = Config { proxy_uid: Some("3,4".into()), ..Config::default() };
        assert_eq!(config.resolve(&Host::default()).unwrap().proxy_gids, [3, 4]);
    }
}
