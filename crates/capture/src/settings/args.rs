//! istio-init's own arguments, so that Sunup can stand where `istio-init` stood.
//!
//! One table ([`FLAGS`]) serves parsing, environment variables and the help text. Forms are
//! those of Go's pflag: `-p 15001`, `-p15001`, `-p=15001`, `--envoy-port 15001`,
//! `--envoy-port=15001`, `--redirect-dns`, `--redirect-dns=false`; the last one wins.
//!
//! # Sources
//! istio `tools/istio-iptables/pkg/cmd/root.go`, `pkg/flag/flag.go`.

use super::checked::Settings;
use super::config::Config;
use super::error::SettingsError;
use super::host::Host;
use super::parse;

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlagKind {
    /// A value.
    Value,
    /// Nothing, or `=true|false`.
    Switch,
}

/// One argument.
#[derive(Debug, Clone, Copy)]
pub struct Flag {
    /// Long name, without dashes.
    pub long: &'static str,
    /// One-letter name.
    pub short: Option<char>,
    /// What it takes.
    pub kind: FlagKind,
    /// Variables that set it when the argument is absent, in Istio's order (the last one wins).
    pub env: &'static [&'static str],
    /// For `--help`; empty for arguments that are accepted and have no effect.
    pub help: &'static str,
    target: Target,
}

type TextSlot = fn(&mut Config) -> &mut Option<String>;

#[derive(Debug, Clone, Copy)]
enum Target {
    Text(&'static str, TextSlot),
    Bool(&'static str, fn(&mut Config) -> &mut Option<bool>),
    DryRun,
    SkipApply,
    Validate,
    CleanupOnly,
    Backend,
    ForceBinary,
    Inert,
}

/// A parsed command line: the settings, and what to do with them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Invocation {
    /// The settings, not judged yet.
    pub config: Config,
    /// `--dry-run`: print, change nothing.
    pub dry_run: bool,
    /// `--skip-rule-apply`: change nothing (the validation container of the CNI).
    pub skip_apply: bool,
    /// `--run-validation`: check that the rules are in force.
    pub validate: bool,
    /// `--cleanup-only`: remove the rules.
    pub cleanup_only: bool,
    /// `--backend`.
    pub backend: Option<String>,
    /// `--force-iptables-binary`: `legacy` or `nft`.
    pub iptables_binary: Option<String>,
}

macro_rules! text {
    ($long:literal, $short:expr, $env:expr, $name:literal, $field:ident, $help:literal) => {
        Flag {
            long: $long,
            short: $short,
            kind: FlagKind::Value,
            env: $env,
            help: $help,
            target: Target::Text($name, |c| &mut c.$field),
        }
    };
}

macro_rules! switch {
    ($long:literal, $env:expr, $name:literal, $field:ident, $help:literal) => {
        Flag {
            long: $long,
            short: None,
            kind: FlagKind::Switch,
            env: $env,
            help: $help,
            target: Target::Bool($name, |c| &mut c.$field),
        }
    };
}

macro_rules! other {
    ($long:literal, $short:expr, $kind:ident, $env:expr, $target:ident, $help:literal) => {
        Flag {
            long: $long,
            short: $short,
            kind: FlagKind::$kind,
            env: $env,
            help: $help,
            target: Target::$target,
        }
    };
}

/// Every argument that is understood.
pub const FLAGS: &[Flag] = &[
    text!(
        "envoy-port",
        Some('p'),
        &[],
        "ProxyPort",
        proxy_port,
        "Port of the proxy that outbound TCP is sent to [15001]"
    ),
    text!(
        "inbound-capture-port",
        Some('z'),
        &["INBOUND_CAPTURE_PORT"],
        "InboundCapturePort",
        inbound_capture_port,
        "Port of the proxy that inbound TCP is sent to [15006]"
    ),
    text!(
        "inbound-tunnel-port",
        Some('e'),
        &["INBOUND_TUNNEL_PORT"],
        "InboundTunnelPort",
        inbound_tunnel_port,
        "Tunnel port, never redirected [15008]"
    ),
    text!(
        "proxy-uid",
        Some('u'),
        &["PROXY_UID"],
        "ProxyUID",
        proxy_uid,
        "Users of the proxy, whose own connections stay alone [1337]"
    ),
    text!(
        "proxy-gid",
        Some('g'),
        &["PROXY_GID"],
        "ProxyGID",
        proxy_gid,
        "Groups of the proxy [same as -u]"
    ),
    text!(
        "istio-inbound-interception-mode",
        Some('m'),
        &["ISTIO_INBOUND_INTERCEPTION_MODE"],
        "InboundInterceptionMode",
        inbound_interception_mode,
        "REDIRECT or TPROXY, for inbound connections [REDIRECT]"
    ),
    text!(
        "istio-inbound-ports",
        Some('b'),
        &["ISTIO_INBOUND_PORTS"],
        "InboundPortsInclude",
        inbound_ports_include,
        "Inbound ports to capture, comma separated, or \"*\" [none]"
    ),
    text!(
        "istio-local-exclude-ports",
        Some('d'),
        &["ISTIO_LOCAL_EXCLUDE_PORTS"],
        "InboundPortsExclude",
        inbound_ports_exclude,
        "Inbound ports to leave alone when all are captured"
    ),
    text!(
        "istio-exclude-interfaces",
        Some('c'),
        &["ISTIO_EXCLUDE_INTERFACES"],
        "ExcludeInterfaces",
        exclude_interfaces,
        "Interfaces to leave alone, inbound and outbound"
    ),
    text!(
        "istio-service-cidr",
        Some('i'),
        &["ISTIO_SERVICE_CIDR"],
        "OutboundIPRangesInclude",
        outbound_ip_ranges_include,
        "Outbound address ranges to capture (CIDR), or \"*\" [none]"
    ),
    text!(
        "istio-service-exclude-cidr",
        Some('x'),
        &["ISTIO_SERVICE_EXCLUDE_CIDR"],
        "OutboundIPRangesExclude",
        outbound_ip_ranges_exclude,
        "Outbound address ranges to leave alone (CIDR)"
    ),
    text!(
        "istio-outbound-ports",
        Some('q'),
        &["ISTIO_OUTBOUND_PORTS"],
        "OutboundPortsInclude",
        outbound_ports_include,
        "Outbound ports to capture whatever the address"
    ),
    text!(
        "istio-local-outbound-ports-exclude",
        Some('o'),
        &["ISTIO_LOCAL_OUTBOUND_PORTS_EXCLUDE"],
        "OutboundPortsExclude",
        outbound_ports_exclude,
        "Outbound ports to leave alone"
    ),
    text!(
        "kube-virt-interfaces",
        Some('k'),
        &["KUBE_VIRT_INTERFACES"],
        "RerouteVirtualInterfaces",
        reroute_virtual_interfaces,
        "Virtual interfaces whose incoming traffic (from a VM) is outbound"
    ),
    text!(
        "istio-inbound-tproxy-mark",
        Some('t'),
        &["ISTIO_INBOUND_TPROXY_MARK"],
        "InboundTProxyMark",
        inbound_tproxy_mark,
        "Packet mark of TPROXY mode [1337]"
    ),
    text!(
        "istio-inbound-tproxy-route-table",
        Some('r'),
        &["ISTIO_INBOUND_TPROXY_ROUTE_TABLE"],
        "InboundTProxyRouteTable",
        inbound_tproxy_route_table,
        "Routing table of TPROXY mode [133]"
    ),
    switch!(
        "redirect-dns",
        &["REDIRECT_DNS", "ISTIO_META_DNS_CAPTURE"],
        "RedirectDNS",
        redirect_dns,
        "Send DNS queries to the proxy's port 15053"
    ),
    switch!(
        "capture-all-dns",
        &["CAPTURE_ALL_DNS"],
        "CaptureAllDNS",
        capture_all_dns,
        "With --redirect-dns: all of port 53, not just the servers of /etc/resolv.conf"
    ),
    switch!(
        "drop-invalid",
        &["DROP_INVALID", "INVALID_DROP"],
        "DropInvalid",
        drop_invalid,
        "Drop packets that connection tracking calls invalid"
    ),
    switch!(
        "dual-stack",
        &["DUAL_STACK", "ISTIO_DUAL_STACK"],
        "DualStack",
        dual_stack,
        "Capture IPv6 as soon as any address is IPv6, not just the first"
    ),
    text!(
        "network-namespace",
        None,
        &["NETWORK_NAMESPACE"],
        "NetworkNamespace",
        network_namespace,
        "Act in the network namespace at this path"
    ),
    text!(
        "proxy-mark",
        None,
        &["SUNUP_PROXY_MARK"],
        "ProxyMark",
        proxy_mark,
        "Know the proxy by the mark of its sockets (SO_MARK) instead of uid and gid, for user \
         namespaces that map no uid 1337"
    ),
    switch!(
        "start-gate",
        &["SUNUP_START_GATE"],
        "StartGate",
        start_gate,
        "Hold outbound connections and DNS while the proxy isn't listening (on or off) [on]"
    ),
    text!(
        "start-gate-deadline",
        None,
        &["SUNUP_START_GATE_DEADLINE"],
        "StartGateDeadline",
        start_gate_deadline,
        "Refuse after all, so long after the first held connection; 0 is never [60s]"
    ),
    switch!(
        "start-gate-inbound",
        &["SUNUP_START_GATE_INBOUND"],
        "StartGateInbound",
        start_gate_inbound,
        "The same for inbound connections (on or off) [off]"
    ),
    other!(
        "backend",
        None,
        Value,
        &["SUNUP_CAPTURE_BACKEND"],
        Backend,
        "nftables (over netlink, one transaction) or iptables (through iptables-restore) \
         [nftables]"
    ),
    other!("dry-run", Some('n'), Switch, &["DRY_RUN"], DryRun, "Print the rules, change nothing"),
    other!(
        "skip-rule-apply",
        None,
        Switch,
        &["SKIP_RULE_APPLY"],
        SkipApply,
        "Change nothing (for --run-validation)"
    ),
    other!(
        "run-validation",
        None,
        Switch,
        &["RUN_VALIDATION"],
        Validate,
        "Try a connection that must be redirected; exit 126 if it isn't"
    ),
    other!(
        "cleanup-only",
        None,
        Switch,
        &["CLEANUP_ONLY"],
        CleanupOnly,
        "Remove the rules, set none"
    ),
    other!(
        "force-iptables-binary",
        None,
        Value,
        &["FORCE_IPTABLES_BINARY"],
        ForceBinary,
        "legacy or nft, with --backend iptables"
    ),
    // Accepted for istio-init's sake; they steer its own program.
    other!("reconcile", None, Switch, &["RECONCILE"], Inert, ""),
    other!("force-apply", None, Switch, &["FORCE_APPLY"], Inert, ""),
    other!("native-nftables", None, Switch, &["NATIVE_NFTABLES"], Inert, ""),
    other!("cni-mode", None, Switch, &[], Inert, ""),
    other!("iptables-trace-logging", None, Switch, &[], Inert, ""),
    other!("restore-format", Some('f'), Switch, &[], Inert, ""),
    other!("iptables-probe-port", None, Value, &[], Inert, ""),
    other!("probe-timeout", None, Value, &[], Inert, ""),
    other!("host-nsenter-exec", None, Switch, &[], Inert, ""),
    other!("log_output_level", None, Value, &[], Inert, ""),
    other!("log_caller", None, Value, &[], Inert, ""),
    other!("log_stacktrace_level", None, Value, &[], Inert, ""),
    other!("log_target", None, Value, &[], Inert, ""),
    other!("log_rotate", None, Value, &[], Inert, ""),
    other!("log_rotate_max_age", None, Value, &[], Inert, ""),
    other!("log_rotate_max_backups", None, Value, &[], Inert, ""),
    other!("log_rotate_max_size", None, Value, &[], Inert, ""),
    other!("log_as_json", None, Switch, &[], Inert, ""),
    other!("vklog", None, Value, &[], Inert, ""),
];

/// Variables that have no argument.
const ENV_ONLY: &[(&str, &str, TextSlot)] = &[
    ("ISTIO_OUTBOUND_OWNER_GROUPS", "OwnerGroupsInclude", |c| &mut c.owner_groups_include),
    ("ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE", "OwnerGroupsExclude", |c| &mut c.owner_groups_exclude),
    ("ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR", "HostIPv4LoopbackCidr", |c| {
        &mut c.host_ipv4_loopback_cidr
    }),
];

impl Invocation {
    /// Parses arguments over environment variables, as istio-init does; a leading
    /// `istio-iptables` is skipped.
    ///
    /// # Errors
    /// An unknown argument, a missing value, a switch that is neither true nor false.
    pub fn parse<S: AsRef<str>>(
        args: &[S],
        env: &[(String, String)],
    ) -> Result<Self, SettingsError> {
        let mut out = Self::default();
        out.read_env(env)?;
        let mut args = args.iter().map(AsRef::as_ref).peekable();
        args.next_if_eq(&"istio-iptables");
        while let Some(arg) = args.next() {
            let (label, flag, attached) = split_arg(arg)?;
            let value = match (flag.kind, attached) {
                (_, Some(value)) => value.to_owned(),
                (FlagKind::Switch, None) => "true".to_owned(),
                (FlagKind::Value, None) => match args.next() {
                    Some(value) => value.to_owned(),
                    None => return Err(SettingsError::new(label, "a value must follow")),
                },
            };
            out.set(flag, &label, &value)?;
        }
        Ok(out)
    }

    fn read_env(&mut self, env: &[(String, String)]) -> Result<(), SettingsError> {
        let value_of = |name: &str| env.iter().rev().find(|(key, _)| key == name);
        for flag in FLAGS {
            for (name, value) in flag.env.iter().filter_map(|name| value_of(name)) {
                self.set(flag, name, value)?;
            }
        }
        for (name, field, slot) in ENV_ONLY {
            if let Some((_, value)) = value_of(name) {
                *slot(&mut self.config) = Some(value.clone());
                self.config.labels.insert(field, (*name).to_owned());
            }
        }
        Ok(())
    }

    fn set(&mut self, flag: &Flag, label: &str, value: &str) -> Result<(), SettingsError> {
        let as_bool = || parse::boolean(label, value);
        match flag.target {
            Target::Text(name, slot) => {
                *slot(&mut self.config) = Some(value.to_owned());
                self.config.labels.insert(name, label.to_owned());
            }
            Target::Bool(name, slot) => {
                *slot(&mut self.config) = Some(as_bool()?);
                self.config.labels.insert(name, label.to_owned());
            }
            Target::DryRun => self.dry_run = as_bool()?,
            Target::SkipApply => self.skip_apply = as_bool()?,
            Target::Validate => self.validate = as_bool()?,
            Target::CleanupOnly => self.cleanup_only = as_bool()?,
            Target::Backend => match value {
                "nftables" | "iptables" => self.backend = Some(value.to_owned()),
                _ => {
                    let why = format!("\"{value}\" is not a backend: nftables or iptables");
                    return Err(SettingsError::new(label, why));
                }
            },
            Target::ForceBinary => match value {
                "" => self.iptables_binary = None,
                "legacy" | "nft" => self.iptables_binary = Some(value.to_owned()),
                _ => {
                    let why = format!("\"{value}\" is not possible: legacy or nft");
                    return Err(SettingsError::new(label, why));
                }
            },
            Target::Inert if flag.kind == FlagKind::Switch => _ = as_bool()?,
            Target::Inert => {}
        }
        Ok(())
    }
}

/// The label to blame, the flag, and the value attached by `=` or directly to a short name.
fn split_arg(arg: &str) -> Result<(String, &'static Flag, Option<&str>), SettingsError> {
    if let Some(long) = arg.strip_prefix("--") {
        let (name, value) = match long.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (long, None),
        };
        return match FLAGS.iter().find(|flag| flag.long == name) {
            Some(flag) => Ok((format!("--{name}"), flag, value)),
            None => Err(unknown(&format!("--{name}"))),
        };
    }
    let mut letters = arg.chars();
    if letters.next() != Some('-') || arg.len() < 2 {
        return Err(SettingsError::new(
            format!("\"{arg}\""),
            "is not an argument (a value follows its argument; a list has no spaces)",
        ));
    }
    let letter = letters.next().unwrap_or_default();
    let Some(flag) = FLAGS.iter().find(|flag| flag.short == Some(letter)) else {
        return Err(unknown(&format!("-{letter}")));
    };
    let rest = letters.as_str();
    let value = match rest.strip_prefix('=') {
        Some(value) => Some(value),
        None => (!rest.is_empty()).then_some(rest),
    };
    Ok((format!("-{letter}"), flag, value))
}

fn unknown(name: &str) -> SettingsError {
    let wanted = name.trim_start_matches('-');
    let near = FLAGS
        .iter()
        .filter(|flag| !flag.help.is_empty() && wanted.len() > 2)
        .find(|flag| flag.long.starts_with(wanted) || wanted.starts_with(flag.long));
    let hint = near.map_or(String::new(), |flag| format!("; did you mean --{}?", flag.long));
    SettingsError::new(name, format!("unknown argument{hint}"))
}

impl Settings {
    /// Settings from istio-init's arguments (a leading `istio-iptables` is skipped) and the
    /// environment variables of its container.
    ///
    /// # Errors
    /// An unknown argument or a bad value, named.
    pub fn from_args<S: AsRef<str>>(
        args: &[S],
        env: &[(String, String)],
        host: &Host,
    ) -> Result<Self, SettingsError> {
        Invocation::parse(args, env)?.config.resolve(host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Host, Include, Mode, Settings};

    fn settings(args: &[&str]) -> Result<Settings, SettingsError> {
        Settings::from_args(args, &[], &Host::default())
    }

    #[test]
    fn the_injectors_own_line_is_understood() {
        let line = "istio-iptables -p 15001 -z 15006 -u 1337 -m REDIRECT -i * -x  -b * \
                    -d 15090,15021,15020 --log_output_level=default:info";
        let args: Vec<&str> = line.split(' ').filter(|w| !w.is_empty()).collect();
        // `-x` with an empty value, as the injector writes it.
        let mut args: Vec<&str> = args;
        let at = args.iter().position(|a| *a == "-x").unwrap();
        args.insert(at + 1, "");
        let settings = settings(&args).unwrap();
        assert_eq!(settings, Settings::mesh_default());
    }

    #[test]
    fn every_form_of_an_argument() {
        for form in
            [&["-p", "1"][..], &["-p1"], &["-p=1"], &["--envoy-port", "1"], &["--envoy-port=1"]]
        {
            assert_eq!(settings(form).unwrap().proxy_port, 1, "{form:?}");
        }
        assert!(settings(&["--redirect-dns"]).unwrap().redirect_dns);
        assert!(!settings(&["--redirect-dns=false"]).unwrap().redirect_dns);
        assert!(!settings(&["--start-gate=off"]).unwrap().start_gate.outbound);
        assert_eq!(settings(&["-m", "TPROXY"]).unwrap().mode, Mode::Tproxy);
        assert_eq!(settings(&["-p", "7", "-p", "9"]).unwrap().proxy_port, 9);
    }

    #[test]
    fn errors_name_the_argument() {
        for (args, field) in [
            (&["-p", "http"][..], "-p"),
            (&["--envoy-port=x"], "--envoy-port"),
            (&["-i", "10.0.0.1"], "-i"),
            (&["-x", "*"], "-x"),
            (&["-m", "BOTH"], "-m"),
            (&["-q"], "-q"),
            (&["-y"], "-y"),
            (&["--drop-invalid=perhaps"], "--drop-invalid"),
            (&["--backend=ebpf"], "--backend"),
            (&["--start-gate-deadline", "-5s"], "--start-gate-deadline"),
            (&["-c", "a/b"], "-c"),
        ] {
            assert_eq!(settings(args).unwrap_err().field, field, "{args:?}");
        }
        let err = settings(&["--envoy"]).unwrap_err().to_string();
        assert!(err.contains("did you mean --envoy-port?"), "{err}");
        assert!(settings(&["stray"]).is_err());
    }

    #[test]
    fn arguments_override_variables() {
        let env = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
        };
        let host = Host { group: Some("java:x:202:".into()), ..Host::default() };
        let vars = env(&[
            ("ISTIO_SERVICE_CIDR", "*"),
            ("ISTIO_META_DNS_CAPTURE", "true"),
            ("ISTIO_OUTBOUND_OWNER_GROUPS", "java,7"),
            ("ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR", "127.0.0.1/8"),
            ("ENVOY_PORT", "7"),
        ]);
        let settings = Settings::from_args(&["-i", "10.0.0.0/8"], &vars, &host).unwrap();
        assert_eq!(
            settings.outbound_ranges_include,
            Include::Only(vec!["10.0.0.0/8".parse().unwrap()])
        );
        assert!(settings.redirect_dns);
        assert_eq!(settings.host_ipv4_loopback.prefix_len(), 8);
        assert_eq!(settings.proxy_port, 15001, "istio binds no variable to -p");
        let bad = env(&[("ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR", "127.0.0.1")]);
        let err = Settings::from_args::<&str>(&[], &bad, &host).unwrap_err();
        assert_eq!(err.field, "ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR");
    }

    #[test]
    fn flag_names_are_unique() {
        for (i, a) in FLAGS.iter().enumerate() {
            for b in &FLAGS[i + 1..] {
                assert_ne!(a.long, b.long);
                assert!(a.short.is_none() || a.short != b.short, "{}", a.long);
            }
        }
    }
}
