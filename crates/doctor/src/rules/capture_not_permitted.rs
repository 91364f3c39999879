//! `capture-not-permitted`: istio-init runs and cannot program iptables: the kernel lacks the tables, or the
//! container may not.
//!
//! # Sources
//! istio/istio issues 44118, 23009, 28897, 10358, 13857; iptables `iptables-restore` messages, legacy and nft;
//! RULES.md C2.

use sunup_api::container;
use sunup_api::report::{Severity, Verdict};
use sunup_evidence::line::Sign;

use crate::judging::fault::{Fault, Judgements, Open};
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::Case;
use crate::judging::remedy::Remedy;
use crate::judging::rule::Rule;
use crate::judging::subject::{at, namespace_flag};
use crate::judging::texts::{Said, has};

/// The rule.
pub(crate) struct CaptureNotPermitted;

static META: Meta = Meta {
    id: "capture-not-permitted",
    title: "istio-init cannot program iptables: no kernel support, or no permission",
    stage: Stage::Init,
    severity: Severity::Error,
    status: Status::Preview { since: "0.1.0" },
    needs: &[&[Need::MeshInitLog, Need::PodObject]],
    helps: &[],
    hears: &[
        "initialize table",
        "initialize iptables table",
        "no loaded kernel support",
        "you must be root",
        "could not fetch rule set",
        "no chain/target/match",
    ],
    signs: &[Sign::CaptureSetup],
    explains: &[],
    doc: page!("capture_not_permitted", "doc.md"),
    fires: page!("capture_not_permitted", "fires.txtar"),
    quiet: page!("capture_not_permitted", "quiet.txtar"),
};

impl Rule for CaptureNotPermitted {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn pod(&self, case: &Case<'_>, out: &mut Judgements) {
        let status = case.status(container::INIT);
        if status.and_then(|s| s.state.terminated.as_ref()).is_some_and(|t| t.exit_code == 0) {
            return;
        }
        let is_it = |s: &Said<'_>| {
            s.container.is_none_or(|c| c == container::INIT) && cause(s.text).is_some()
        };
        let Some(heard) = case.heard(&META, is_it) else { return };
        let causes = || heard.said.iter().filter_map(|s| cause(s.text));
        let plain = causes().find(|c| *c != Cause::Target);
        let Some(why) = plain.or_else(|| causes().next()) else { return };
        if why == Cause::Target && !case.init_fails(container::INIT) {
            return out.unknown.extend(status.is_none().then(|| object_missing(case)));
        }
        // Rules of an earlier run are in the way: what is missing then is what that run tidied up.
        if why == Cause::Target && case.said(&META).any(|s| s.has("chain already exists")) {
            return;
        }
        let summary = match why {
            Cause::Kernel => "istio-init finds no iptables support in the node's kernel",
            Cause::Permission => "istio-init may not program iptables",
            Cause::Target => "iptables finds no REDIRECT in the node's kernel, so istio-init fails",
        };
        let mut fault = heard.fault(&META, Verdict::Confirmed, summary, "iptables refused");
        fault.subject = at(&case.subject, container::INIT);
        out.faults.push(explained(fault, why));
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    Kernel,
    Permission,
    /// The table is there, what the rule needs is not.
    Target,
}

/// Why iptables refused, by the text of its several releases. Permission is said beside the table
/// that it is about, so it is looked for first.
///
/// A lock that another program holds is no want of support, though istio-cni's check of the binary
/// puts "no loaded kernel support" before it.
fn cause(text: &str) -> Option<Cause> {
    let said = |part: &str| has(text, part);
    if said("xtables lock") || said("xtables.lock") {
        return None;
    }
    let about = ["table", "rule set", "iptables"].into_iter().any(said);
    if about && (said("permission denied") || said("you must be root")) {
        return Some(Cause::Permission);
    }
    let kernel = [
        "unable to initialize table",
        "can't initialize iptables table",
        "no loaded kernel support",
    ];
    // Of ip6tables the same words tell of a missing address family.
    let target = || said("iptables: no chain/target/match").then_some(Cause::Target);
    kernel.into_iter().any(said).then_some(Cause::Kernel).or_else(target)
}

/// iptables says the same where istio-init removes what is not there, before it sets up its rules.
fn object_missing(case: &Case<'_>) -> Open {
    let ns = namespace_flag(&case.subject);
    let pod = case.pod_word();
    Open {
        rule: META.id,
        subject: at(&case.subject, container::INIT),
        missing: vec!["whether istio-init failed: the pod object".to_owned()],
        get_it_with: Some(format!("kubectl {ns}get pod {pod} -o json")),
    }
}

fn explained(mut fault: Fault, cause: Cause) -> Fault {
    let cni = Remedy::advice(
        "install-cni",
        "let istio-cni set up the redirect from the node instead",
        "helm install istio-cni istio/cni -n istio-system; helm upgrade istiod istio/istiod -n \
         istio-system --reuse-values --set pilot.cni.enabled=true"
            .to_owned(),
    );
    let modules = Remedy::advice(
        "load-modules",
        "load the modules on the nodes",
        "modprobe -a iptable_nat iptable_mangle xt_REDIRECT xt_owner nf_nat".to_owned(),
    );
    let openshift = Remedy::advice(
        "openshift-platform",
        "on OpenShift install the mesh for that platform",
        "istioctl install --set values.global.platform=openshift".to_owned(),
    );
    match cause {
        Cause::Target => {
            fault.cause = Some("target");
            fault
                .because(
                    "The chain could be made, the rule in it not: the kernel has no REDIRECT (module \
                     xt_REDIRECT) or no match that the rule uses (xt_owner), and a container without \
                     privileges cannot have it loaded. It fails in the same way at every try.",
                )
                .offer([modules, cni, openshift])
        }
        Cause::Kernel => {
            fault.cause = Some("kernel");
            fault
                .because(
                    "The table that the rules go into does not exist: the kernel's modules are not \
                     loaded (nodes with nftables alone, minimal images), or the container's iptables \
                     speaks the other of the two dialects, legacy and nft.",
                )
                .offer([
                    modules,
                    Remedy::advice(
                        "native-nftables",
                        "let the mesh write nftables rules itself (Istio 1.27 and later)",
                        "helm upgrade istiod istio/istiod -n istio-system --reuse-values --set \
                         global.nativeNftables=true"
                            .to_owned(),
                    ),
                    cni,
                ])
        }
        Cause::Permission => {
            fault.cause = Some("permission");
            fault
                .because(
                    "The container was started and the kernel refuses it: NET_ADMIN and NET_RAW were \
                     dropped after admission, the pod runs in a user namespace, or SELinux or \
                     AppArmor forbid it.",
                )
                .offer([cni, openshift])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iptables_of_several_releases_is_understood() {
        for (text, want) in [
            (
                "iptables-restore v1.8.7 (legacy): iptables-restore: unable to initialize table 'nat'",
                Some(Cause::Kernel),
            ),
            (
                "iptables v1.6.1: can't initialize iptables table `nat': Permission denied (you must be root)",
                Some(Cause::Permission),
            ),
            (
                "iptables v1.8.4 (legacy): can't initialize iptables table `nat': Table does not exist (do you need to insmod?)",
                Some(Cause::Kernel),
            ),
            (
                "iptables v1.8.7 (nf_tables): Could not fetch rule set generation id: Permission denied (you must be root)",
                Some(Cause::Permission),
            ),
            (
                "iptables binary iptables-nft has no loaded kernel support and cannot be used, err: exit status 3",
                Some(Cause::Kernel),
            ),
            ("iptables: Chain already exists.", None),
            ("iptables: No chain/target/match by that name.", Some(Cause::Target)),
            ("ip6tables: No chain/target/match by that name.", None),
            (
                "iptables binary iptables has no loaded kernel support and cannot be used, err: exit status 4 out: Can't lock /run/xtables.lock: Resource temporarily unavailable",
                None,
            ),
            (
                "Another app is currently holding the xtables lock. Perhaps you want to use the -w option?",
                None,
            ),
            ("open /etc/istio/x: permission denied", None),
        ] {
            assert_eq!(cause(text), want, "{text}");
        }
    }
}
