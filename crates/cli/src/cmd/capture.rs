//! `sunup capture`: sets, shows, checks, explains and removes traffic capture.
//!
//! Reads arguments and prints; what the rules are is `sunup-capture`'s, carrying them out is
//! `sunup-sys`'. The settings are istio-init's own arguments, taken as they come, so that this
//! command can stand where istio-init stood.

mod help;
mod report;

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use sunup_capture::ruleset::{Family, iptables};
use sunup_capture::settings::{Config, Invocation};
use sunup_capture::{Direction, Host, Packet, Plan, Protocol, Ruleset, Verdict};
use sunup_sys::capture::{self as kernel, Applied, Binary};
use sunup_sys::probe::{self, Probed};

use crate::global::{Color, FINDINGS, Global, TROUBLE};
use crate::out;
use help::{AFTER_HELP, APPLY, CHECK, CLEAN, EXPLAIN, SHOW, help};

/// Exit code of `--run-validation`, by which Istio's CNI repair knows a broken pod.
const NOT_IN_FORCE: u8 = 126;

/// Sets, shows, checks, explains and removes traffic capture
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Puts capture in force, all or nothing; applied twice it changes nothing
    #[command(override_help = help("apply", APPLY))]
    Apply(Settings),
    /// Prints the rules that apply would set
    #[command(override_help = help("show", SHOW))]
    Show(Settings),
    /// Says whether capture is in force, and what the start gate does
    #[command(override_help = help("check", CHECK))]
    Check(Settings),
    /// Says what happens to one packet, by which rule, and why
    #[command(override_help = help("explain", EXPLAIN))]
    Explain(Settings),
    /// Removes Sunup's own rules and nothing else
    #[command(override_help = help("clean", CLEAN))]
    Clean(Settings),
}

/// Arguments as they come; see [`Line`].
#[derive(Debug, clap::Args)]
pub(crate) struct Settings {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    raw: Vec<String>,
}

/// Runs `sunup capture ACTION …` and `sunup istio-iptables …` without building the whole command
/// tree, which costs more memory than the work itself: istio-init's stand-in runs in every pod.
/// `None` for anything that isn't plainly that; the tree then says what is wrong.
pub(crate) fn shortcut() -> Option<(Global, anyhow::Result<ExitCode>)> {
    let mut args = std::env::args_os().skip(1).map(std::ffi::OsString::into_string);
    let mut next = || args.next()?.ok();
    let first = next()?;
    let name = match first.as_str() {
        "istio-iptables" => "apply".to_owned(),
        "capture" => next()?,
        _ => return None,
    };
    let raw = args.collect::<Result<Vec<String>, _>>().ok()?;
    if raw.iter().any(|arg| arg.starts_with("--color")) {
        return None;
    }
    let settings = Settings { raw };
    let action = match name.as_str() {
        "apply" => Action::Apply(settings),
        "show" => Action::Show(settings),
        "check" => Action::Check(settings),
        "explain" => Action::Explain(settings),
        "clean" => Action::Clean(settings),
        _ => return None,
    };
    let global = Global { color: Color::Auto };
    Some((global, run(Args { action }, &global)))
}

pub(crate) fn run(args: Args, global: &Global) -> anyhow::Result<ExitCode> {
    match args.action {
        Action::Apply(settings) => apply(settings, global),
        Action::Show(settings) => action(settings, global, "show", SHOW, show),
        Action::Check(settings) => action(settings, global, "check", CHECK, check),
        Action::Explain(settings) => action(settings, global, "explain", EXPLAIN, explain),
        Action::Clean(settings) => action(settings, global, "clean", CLEAN, clean),
    }
}

/// Help of `sunup istio-iptables`, the name under which istio-init's arguments come.
pub(crate) fn apply_help() -> String {
    help("apply", APPLY)
}

pub(crate) fn apply(settings: Settings, global: &Global) -> anyhow::Result<ExitCode> {
    action(settings, global, "apply", APPLY, set)
}

type Do = fn(Line, &Global) -> anyhow::Result<ExitCode>;

fn action(
    settings: Settings,
    global: &Global,
    name: &str,
    words: &str,
    work: Do,
) -> anyhow::Result<ExitCode> {
    if settings.raw.iter().any(|arg| arg == "--help" || arg == "-h") {
        out::print(global, &help(name, words))?;
        return Ok(ExitCode::SUCCESS);
    }
    work(Line::read(settings.raw, name == "explain")?, global)
}

/// A command line, taken apart: our own options out, istio-init's arguments parsed.
struct Line {
    invocation: Invocation,
    /// Whether any setting was given at all.
    any: bool,
    json: bool,
    packet: Option<PacketOptions>,
}

#[derive(Default)]
struct PacketOptions {
    to: Option<String>,
    inbound: bool,
    udp: bool,
    uid: Option<u32>,
    gid: Option<u32>,
    from: Option<IpAddr>,
    interface: Option<String>,
    mark: Option<u32>,
}

impl Line {
    fn read(mut raw: Vec<String>, explain: bool) -> anyhow::Result<Self> {
        let json = match take(&mut raw, "--format")?.as_deref() {
            None | Some("text") => false,
            Some("json") => true,
            Some(other) => bail!("--format: \"{other}\" is not a format: text or json"),
        };
        let packet = if explain { Some(PacketOptions::take(&mut raw)?) } else { None };
        let file = take(&mut raw, "--config")?;
        let env: Vec<(String, String)> = std::env::vars_os()
            .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
            .collect();
        let mut invocation = Invocation::parse(&raw, &env)?;
        let any = file.is_some() || invocation.config != Config::default();
        if let Some(file) = file {
            let text =
                std::fs::read_to_string(&file).with_context(|| format!("--config {file}"))?;
            let config = Config::from_object(&file, &text)?;
            invocation.config = config.overridden_by(invocation.config);
        }
        Ok(Self { invocation, any, json, packet })
    }

    /// The plan, in the namespace it is for: host facts are read after entering it.
    fn plan(&self, global: &Global) -> anyhow::Result<(Plan, Host)> {
        self.enter()?;
        let host = sunup_sys::host::facts();
        let plan = Plan::new(self.invocation.config.resolve(&host)?);
        for warning in plan.warnings() {
            out::note(global, &warning);
        }
        let s = plan.settings();
        let nothing_out =
            s.outbound_ranges_include.is_empty() && s.outbound_ports_include.is_empty();
        if nothing_out && s.inbound_ports_include.is_empty() && !plan.dns().is_on() {
            out::note(
                global,
                "nothing is captured by these settings: -i and -b are empty (a default mesh has \
                 -i '*' -b '*' -d 15090,15021,15020)",
            );
        }
        Ok((plan, host))
    }

    fn enter(&self) -> anyhow::Result<()> {
        let Some(path) = self.invocation.config.network_namespace.as_deref() else {
            return Ok(());
        };
        if path.is_empty() {
            return Ok(());
        }
        sunup_sys::ns::Namespace::at(Path::new(path))
            .and_then(|namespace| namespace.enter())
            .with_context(|| format!("--network-namespace {path}"))
    }

    /// `None` for nftables.
    fn iptables(&self) -> Option<Binary> {
        (self.invocation.backend.as_deref() == Some("iptables")).then_some(
            match self.invocation.iptables_binary.as_deref() {
                Some("legacy") => Binary::Legacy,
                Some("nft") => Binary::Nft,
                _ => Binary::Default,
            },
        )
    }
}

/// Takes `--name value` or `--name=value` out of a command line; the last one wins.
fn take(raw: &mut Vec<String>, name: &str) -> anyhow::Result<Option<String>> {
    let joined = format!("{name}=");
    let mut found = None;
    while let Some(at) = raw.iter().position(|arg| arg == name || arg.starts_with(&joined)) {
        let arg = raw.remove(at);
        found = match arg.strip_prefix(&joined) {
            Some(value) => Some(value.to_owned()),
            None if at < raw.len() => Some(raw.remove(at)),
            None => bail!("{name}: a value must follow"),
        };
    }
    Ok(found)
}

fn take_switch(raw: &mut Vec<String>, name: &str) -> bool {
    let before = raw.len();
    raw.retain(|arg| arg != name);
    raw.len() < before
}

impl PacketOptions {
    fn take(raw: &mut Vec<String>) -> anyhow::Result<Self> {
        fn parsed<T: std::str::FromStr>(
            raw: &mut Vec<String>,
            name: &str,
            what: &str,
        ) -> anyhow::Result<Option<T>> {
            let Some(text) = take(raw, name)? else { return Ok(None) };
            let value = text.parse().map_err(|_| anyhow!("{name}: \"{text}\" is not {what}"))?;
            Ok(Some(value))
        }
        let (inbound, outbound) = (take_switch(raw, "--in"), take_switch(raw, "--out"));
        if inbound && outbound {
            bail!("--in and --out: it is one or the other");
        }
        Ok(Self {
            to: take(raw, "--to")?,
            inbound,
            udp: take_switch(raw, "--udp"),
            uid: parsed(raw, "--uid", "a number")?.or(parsed(raw, "--from-uid", "a number")?),
            gid: parsed(raw, "--gid", "a number")?.or(parsed(raw, "--from-gid", "a number")?),
            from: parsed(raw, "--from", "an IP address")?,
            interface: take(raw, "--interface")?,
            mark: parsed(raw, "--mark", "a number")?,
        })
    }

    fn packet(self, host: &Host) -> anyhow::Result<Packet> {
        let Some(to) = self.to else {
            bail!("--to is missing: say where the packet goes, such as --to 10.0.0.5:6379");
        };
        let (destination, port) = match to.parse::<SocketAddr>() {
            Ok(address) => (address.ip(), Some(address.port())),
            Err(_) => match to.trim_matches(['[', ']']).parse::<IpAddr>() {
                Ok(ip) => (ip, None),
                Err(_) => bail!(
                    "--to: \"{to}\" is not an address with or without port, such as 10.0.0.5:6379 \
                     or [fd00::1]:80 (names are not resolved)"
                ),
            },
        };
        let own = host.addresses.as_deref().unwrap_or_default().contains(&destination);
        let interface = self.interface.or((own && !self.inbound).then(|| "lo".to_owned()));
        Ok(Packet {
            direction: if self.inbound { Direction::Inbound } else { Direction::Outbound },
            protocol: if self.udp { Protocol::Udp } else { Protocol::Tcp },
            source: self.from,
            destination,
            port,
            interface,
            uid: self.uid,
            gid: self.gid,
            mark: self.mark,
        })
    }
}

fn set(line: Line, global: &Global) -> anyhow::Result<ExitCode> {
    if line.invocation.cleanup_only {
        return clean(line, global);
    }
    if line.invocation.dry_run {
        return show(line, global);
    }
    let (plan, host) = line.plan(global)?;
    let s = plan.settings();
    let unknown = s.proxy_uids.iter().find(|uid| !sunup_sys::host::uid_exists(**uid));
    if let Some(uid) = unknown.filter(|_| s.proxy_mark.is_none()) {
        let text = format!(
            "uid {uid} doesn't exist in this user namespace: no process can be the proxy; tell it \
             by a socket mark (--proxy-mark)"
        );
        out::note(global, &text);
    }
    if !line.invocation.skip_apply {
        let done = match line.iptables() {
            Some(binary) => {
                kernel::apply_iptables(&plan, binary)?;
                "set through iptables-restore"
            }
            None => match kernel::apply(&Ruleset::new(&plan)?)? {
                Applied::Created => "set",
                Applied::Replaced => "set anew: earlier rules of other settings were replaced",
                Applied::Unchanged => "in force already: nothing was changed",
                Applied::Nothing => "off: these settings capture nothing",
            },
        };
        out::print(global, &format!("capture is {done}\n{}", summary(&plan)))?;
    }
    if line.invocation.validate {
        return validate(&plan, &host, global);
    }
    Ok(ExitCode::SUCCESS)
}

/// `--run-validation`: by behaviour, since the rules may be a CNI plugin's and reading them takes
/// a privilege that the validation container lacks.
fn validate(plan: &Plan, host: &Host, global: &Global) -> anyhow::Result<ExitCode> {
    /// Istio's default of `--probe-timeout`.
    const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);
    let own = host.addresses.as_deref().unwrap_or_default();
    let probed = probe::probe(plan, own, PATIENCE)
        .context("--run-validation: listening in the proxy's place (is the proxy up already?)")?;
    match probed {
        Probed::InForce => out::print(global, "validation: a connection was redirected\n")?,
        Probed::Nothing => {
            let text = "validation: these settings redirect nothing that this process could send\n";
            out::print(global, text)?;
        }
        Probed::NotInForce(why) => {
            let text = format!(
                "validation: capture is not in force: {why}\n  With a CNI plugin this happens to \
                 pods scheduled before the plugin was ready: delete the pod\n"
            );
            out::print(global, &text)?;
            return Ok(ExitCode::from(NOT_IN_FORCE));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What the plan does, in a few lines.
fn summary(plan: &Plan) -> String {
    let s = plan.settings();
    let mut out = String::new();
    if !plan.is_active() {
        return out;
    }
    let families = if s.enable_ipv6 { "IPv4 and IPv6" } else { "IPv4" };
    let (outbound, inbound) = (s.proxy_port, s.inbound_capture_port);
    let _ = writeln!(out, "  {families}: outbound to {outbound}, inbound to {inbound}");
    if s.start_gate.outbound {
        let deadline = match s.start_gate.deadline.as_millis() {
            0 => "without a deadline".to_owned(),
            ms => format!("for up to {} s after the first", ms as f64 / 1000.0),
        };
        let _ = writeln!(
            out,
            "  start gate: connections made before the proxy listens wait, {deadline}"
        );
    }
    out
}

fn show(line: Line, global: &Global) -> anyhow::Result<ExitCode> {
    let (plan, _) = line.plan(global)?;
    let text = if line.json {
        serde_json::to_string_pretty(plan.settings())? + "\n"
    } else if line.iptables().is_some() {
        let mut text = iptables::apply(&plan, Family::Ip, "");
        let six = iptables::apply(&plan, Family::Ip6, "");
        if !six.is_empty() {
            text += &format!("# IPv6, for ip6tables-restore:\n{six}");
        }
        text
    } else {
        let ruleset = Ruleset::new(&plan)?;
        let mut text = ruleset.to_nft();
        if let Some((mark, table)) = ruleset.routing.tproxy {
            text += &format!(
                "# beside the tables: ip rule add fwmark {mark} lookup {table}; \
                 ip route add local default dev lo table {table}\n"
            );
        }
        if ruleset.routing.ipv6 {
            text += "# beside the tables: ip -6 addr add ::6/128 dev lo\n";
        }
        text
    };
    out::print(global, &text)?;
    Ok(ExitCode::SUCCESS)
}

fn clean(line: Line, global: &Global) -> anyhow::Result<ExitCode> {
    line.enter()?;
    let found = match line.iptables() {
        Some(binary) => {
            let plan = Plan::new(line.invocation.config.resolve(&sunup_sys::host::facts())?);
            kernel::clean_iptables(Ruleset::new(&plan)?.routing, binary)?
        }
        None => kernel::clean()?,
    };
    let text = if found { "capture is removed\n" } else { "there was no capture of Sunup's\n" };
    out::print(global, text)?;
    Ok(ExitCode::SUCCESS)
}

fn check(line: Line, global: &Global) -> anyhow::Result<ExitCode> {
    if line.iptables().is_some() {
        bail!("--backend iptables: check reads nftables; use iptables-save to see these rules");
    }
    let report = if line.any {
        let (plan, _) = line.plan(global)?;
        kernel::check(Some(&Ruleset::new(&plan)?))?
    } else {
        line.enter()?;
        kernel::check(None)?
    };
    let text = if line.json { report::json(&report)? } else { report::text(&report) };
    out::print(global, &text)?;
    Ok(if report.is_whole() { ExitCode::SUCCESS } else { ExitCode::from(FINDINGS) })
}

fn explain(line: Line, global: &Global) -> anyhow::Result<ExitCode> {
    let (plan, host) = line.plan(global)?;
    let Some(options) = line.packet else { return Ok(ExitCode::from(TROUBLE)) };
    let packet = options.packet(&host)?;
    let decision = plan.decide(&packet);
    let verdict = match decision.verdict {
        Verdict::Captured { port } => format!("captured: to the proxy's port {port}"),
        Verdict::Direct => "direct: past the proxy".to_owned(),
        Verdict::Dropped => "dropped".to_owned(),
    };
    if line.json {
        let port = match decision.verdict {
            Verdict::Captured { port } => Some(port),
            _ => None,
        };
        let value = serde_json::json!({"captured": decision.is_captured(), "port": port,
            "rule": decision.rule, "why": decision.why, "assumed": decision.assumed});
        out::print(global, &(serde_json::to_string_pretty(&value)? + "\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = format!("{verdict}\n  rule: {}\n  why: {}\n", decision.rule, decision.why);
    for assumed in &decision.assumed {
        let _ = writeln!(text, "  assumed: {assumed}");
    }
    let gated = plan.settings().start_gate.outbound && packet.direction == Direction::Outbound;
    if decision.is_captured() && gated {
        text.push_str("  before the proxy listens: it waits at the start gate\n");
    }
    if let Ok(ruleset) = Ruleset::new(&plan) {
        let family = if packet.destination.is_ipv4() { Family::Ip } else { Family::Ip6 };
        for (chain, rule) in ruleset.rules_named(family, decision.rule) {
            let _ = writeln!(text, "  in chain {chain}: {rule}");
        }
    }
    out::print(global, &text)?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn our_options_are_taken_out_wherever_they_stand() {
        let line = Line::read(raw("-i * --to 10.0.0.5:80 -b * --udp --uid=7 -x 10.9.0.0/16"), true);
        let line = line.unwrap();
        let packet = line.packet.unwrap().packet(&Host::default()).unwrap();
        assert_eq!((packet.port, packet.uid, packet.protocol), (Some(80), Some(7), Protocol::Udp));
        let config = line.invocation.config;
        assert_eq!(config.outbound_ip_ranges_exclude.as_deref(), Some("10.9.0.0/16"));
        assert_eq!(config.inbound_ports_include.as_deref(), Some("*"));
    }

    #[test]
    fn a_bad_line_names_the_argument() {
        for (line, name) in [
            ("--to", "--to"),
            ("--to 10.0.0.5 --uid root", "--uid"),
            ("--to 10.0.0.5 --format yaml", "--format"),
            ("--to 10.0.0.5 --config /nonexistent.json", "--config"),
            ("--to 10.0.0.5 --frobnicate", "--frobnicate"),
        ] {
            let error = Line::read(raw(line), true).err().unwrap().to_string();
            assert!(error.starts_with(name), "{line}: {error}");
        }
        for to in ["db", "10.0.0.5:http", "10.0.0", "::1:x"] {
            let line = Line::read(raw(&format!("--to {to}")), true).unwrap();
            assert!(line.packet.unwrap().packet(&Host::default()).is_err(), "{to}");
        }
    }

    #[test]
    fn the_pods_own_address_is_reached_over_lo() {
        let own: IpAddr = "10.0.0.7".parse().unwrap();
        let host = Host { addresses: Some(vec![own]), ..Host::default() };
        let packet = |text: &str| {
            Line::read(raw(text), true).unwrap().packet.unwrap().packet(&host).unwrap()
        };
        assert_eq!(packet("--to 10.0.0.7:80").interface.as_deref(), Some("lo"));
        assert_eq!(packet("--to 10.0.0.8:80").interface, None);
        assert_eq!(packet("--to 10.0.0.7:80 --in").interface, None);
        assert_eq!(packet("--to [fd00::1]:80").port, Some(80));
        assert_eq!(packet("--to fd00::1").port, None);
    }

    #[test]
    fn arguments_win_over_the_file() {
        let file = Config {
            proxy_port: Some("1".into()),
            proxy_uid: Some("2".into()),
            ..Config::default()
        };
        let line = Config { proxy_port: Some("3".into()), ..Config::default() };
        let both = file.overridden_by(line);
        assert_eq!((both.proxy_port.as_deref(), both.proxy_uid.as_deref()), (Some("3"), Some("2")));
    }
}
