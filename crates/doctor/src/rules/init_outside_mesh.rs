//! `init-outside-mesh`: an init container runs before the redirect, so it talks plaintext, and a peer that
//! demands mutual TLS hangs up on it.
//!
//! # Sources
//! istio/istio issues 32039, 27997, 34032, 32775; GoogleCloudPlatform/bank-of-anthos issue 42; RULES.md C5.

use sunup_api::container;
use sunup_api::report::{Severity, Verdict};
use sunup_api::shell;
use sunup_evidence::line::Sign;
use sunup_evidence::shape::{CaptureBy, Sidecar, is_mesh_container};

use crate::fix::remedies;
use crate::judging::fault::{Fault, Judgements, Open};
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::Case;
use crate::judging::remedy::Remedy;
use crate::judging::rule::Rule;
use crate::judging::subject::{at, namespace_flag};
use crate::judging::texts::Said;

/// The rule.
pub(crate) struct InitOutsideMesh;

static META: Meta = Meta {
    id: "init-outside-mesh",
    title: "An init container runs before the redirect and is cut off by peers that demand mTLS",
    stage: Stage::Init,
    severity: Severity::Error,
    status: Status::Stable { since: "0.1.0" },
    needs: &[&[Need::PodObject], &[Need::InitLog]],
    helps: &[Need::Nodes, Need::Workload, Need::MeshConfig],
    hears: &[],
    signs: &[Sign::Reset, Sign::TlsBytes],
    explains: &[],
    doc: page!("init_outside_mesh", "doc.md"),
    fires: page!("init_outside_mesh", "fires.txtar"),
    quiet: page!("init_outside_mesh", "quiet.txtar"),
};

impl Rule for InitOutsideMesh {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn pod(&self, case: &Case<'_>, out: &mut Judgements) {
        let shape = &case.shape;
        let classic = shape.capture == CaptureBy::Init && shape.sidecar == Sidecar::Classic;
        let Some(redirect) = shape.position(container::INIT) else { return };
        if !classic || shape.gateway || shape.host_network {
            return;
        }
        for name in shape.init_order[..redirect].iter().filter(|n| !is_mesh_container(n)) {
            if case.init_fails(name) {
                judge(case, name, out);
            }
        }
    }
}

fn judge(case: &Case<'_>, name: &str, out: &mut Judgements) {
    let subject = at(&case.subject, name);
    let log = case.facts.log(name);
    let Some(log) = log.filter(|l| !l.files.is_empty()) else {
        let ns = namespace_flag(&case.subject);
        let pod = case.pod_word();
        out.unknown.push(Open {
            rule: META.id,
            subject,
            missing: vec![format!("the log of the init container {name}")],
            get_it_with: Some(format!(
                "kubectl {ns}logs {pod} -c {} --timestamps --previous",
                shell::name(name)
            )),
        });
        return;
    };
    // Refused before the redirect: the destination itself does it, whatever else it said.
    if !log.refusals.is_empty() {
        return;
    }
    let Some(heard) = case.heard(&META, |s: &Said<'_>| s.container == Some(name)) else { return };
    let summary = format!(
        "init container {name} runs before the redirect, outside the mesh, and was cut off"
    );
    let mut fault = heard.fault(&META, Verdict::Likely, summary, "connection cut off");
    fault.subject = subject;
    out.faults.push(explained(case, name, fault));
}

fn explained(case: &Case<'_>, name: &str, fault: Fault) -> Fault {
    let template = case.template();
    let live = case.pod().map(|p| &p.metadata.annotations);
    let native = remedies::native(case.versions, template.as_ref()).map(|r| r.with_live(live));
    fault
        .because(format!(
            "The init containers run in the order {}: {name} talks before istio-init has set up the \
             redirect, so what it sends is not encrypted. A peer whose PeerAuthentication is STRICT \
             ends such a connection at once, with a reset or with bytes of TLS.",
            case.shape.init_order.join(", ")
        ))
        .because("Likely, not confirmed: a peer that crashes ends connections too. Its proxy would log filter_chain_not_found.")
        .offer(native)
        .offer([
            Remedy::advice(
                "wait-in-application",
                "do what the init container does in the application's own container",
                format!("# move the command of {name} to the start of the application's entrypoint"),
            ),
            Remedy::advice(
                "permissive-port",
                "let the peer take plaintext on that port, which weakens its policy",
                "kubectl get peerauthentications -A".to_owned(),
            ),
        ])
}
