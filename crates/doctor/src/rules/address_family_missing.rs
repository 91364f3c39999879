//! `address-family-missing`: the mesh uses IPv6 (or IPv4) where the node or the pod has none.
//!
//! # Sources
//! istio/istio issues 16763, 45970, 47463, 50660, 54100; Envoy `utility.cc` ("IPv6 addresses are not
//! supported on this machine"); RULES.md D7.

use sunup_api::container;
use sunup_api::report::{Severity, Verdict};
use sunup_evidence::line::Sign;
use sunup_evidence::log::{ContainerLog, Sample};

use crate::judging::fault::Judgements;
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::Case;
use crate::judging::remedy::Remedy;
use crate::judging::rule::Rule;
use crate::judging::subject::at;
use crate::knowledge::proxy;

/// The rule.
pub(crate) struct AddressFamilyMissing;

static META: Meta = Meta {
    id: "address-family-missing",
    title: "The mesh uses an address family that the node or the pod does not have",
    stage: Stage::Proxy,
    severity: Severity::Error,
    status: Status::Preview { since: "0.1.0" },
    needs: &[&[Need::ProxyLog, Need::MeshInitLog]],
    helps: &[Need::PodObject, Need::PodEvents, Need::ProxyLog, Need::MeshInitLog],
    hears: &[],
    signs: &[Sign::AddressFamily],
    explains: &[
        "app-before-proxy",
        "hold-timed-out",
        "proxy-restarted-by-startup-probe",
        "start-gate-expired",
    ],
    doc: page!("address_family_missing", "doc.md"),
    fires: page!("address_family_missing", "fires.txtar"),
    quiet: page!("address_family_missing", "quiet.txtar"),
};

impl Rule for AddressFamilyMissing {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn pod(&self, case: &Case<'_>, out: &mut Judgements) {
        for name in [container::INIT, container::VALIDATION] {
            let Some(log) = case.facts.log(name) else { continue };
            let ended = case.status(name).and_then(|s| s.state.terminated.as_ref());
            if ended.is_none_or(|t| t.exit_code != 0) {
                judge(case, name, log, is_iptables, out);
            }
        }
        if let Some(unready) = proxy::unready(case) {
            judge(case, container::PROXY, unready.log, is_listener, out);
        }
    }
}

fn judge(
    case: &Case<'_>,
    name: &str,
    log: &ContainerLog,
    mine: impl Fn(&str) -> bool,
    out: &mut Judgements,
) {
    let told = proxy::lines(log, Sign::AddressFamily).filter(|s| mine(&s.text));
    let lines: Vec<&Sample> = told.filter(|s| proxy::before_ready(case, s)).collect();
    if lines.is_empty() {
        return;
    }
    let v4 = lines.iter().all(|s| !mentions_v6(&s.text));
    let family = if v4 { "an address" } else { "IPv6" };
    let summary = format!("{name} uses {family}, which the node or the pod does not have");
    let what = "address family missing";
    let mut fault = proxy::fault(&META, case, Verdict::Confirmed, summary, lines, what)
        .because(
            "The mesh's settings and the node disagree: the kernel of the node has IPv6 switched off \
             or not built in (or the pod has an address of the other family only), and the mesh \
             listens or redirects on it all the same.",
        )
        .because(
            "Istio decides by the pod's addresses and by ISTIO_DUAL_STACK, which has to be the same \
             for istiod and for the proxies.",
        );
    fault.subject = at(&case.subject, name);
    if let Some(pod) = case.pod() {
        let ips: Vec<&str> = pod.status.pod_ips.iter().map(|p| p.ip.as_str()).collect();
        let ips =
            if ips.is_empty() { pod.status.pod_ip.as_deref().into_iter().collect() } else { ips };
        if !ips.is_empty() {
            fault.evidence.push(proxy::field(case, format!("podIPs: {}", ips.join(", "))));
        }
    }
    out.faults.push(
        fault.offer([
            Remedy::advice(
                "match-dual-stack",
                "make ISTIO_DUAL_STACK of istiod and of the proxies what the cluster is",
                "istioctl install --set values.pilot.env.ISTIO_DUAL_STACK=false --set \
             meshConfig.defaultConfig.proxyMetadata.ISTIO_DUAL_STACK=false"
                    .to_owned(),
            ),
            Remedy::advice(
                "enable-ipv6",
                "give the nodes IPv6",
                "sysctl -w net.ipv6.conf.all.disable_ipv6=0; modprobe ip6table_nat".to_owned(),
            ),
        ]),
    );
}

fn mentions_v6(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    lower.contains("ipv6")
        || lower.contains("ip6")
        || lower.contains("[::")
        || lower.contains("tcp6")
        || lower.contains("::1")
}

/// A listener or the agent's server that could not be bound. `connect: cannot assign requested
/// address` is another matter: no local port was left, or no source address.
fn is_listener(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let binds =
        ["cannot bind", "bind:", "failed to bind", "listen tcp", "adding/updating", "listen udp"];
    let family = lower.contains("address family not supported")
        || lower.contains("ipv6 addresses are not supported")
        || lower.contains("cannot assign requested address");
    let v6_unsupported = lower.contains("ipv6 addresses are not supported");
    family
        && (v6_unsupported || binds.iter().any(|b| lower.contains(b)))
        && !lower.contains("connect:")
}

/// `ip6tables` that fails for want of IPv6 in the kernel.
fn is_iptables(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let failed = [
        "address family not supported",
        "unable to initialize table",
        "can't initialize",
        "no chain/target",
        "table does not exist",
        "not supported",
    ];
    lower.contains("ip6tables") && failed.iter().any(|f| lower.contains(f))
}
