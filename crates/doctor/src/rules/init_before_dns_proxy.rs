//! `init-before-dns-proxy`: DNS is captured too, and an init container asks for a name before the proxy that
//! would answer runs.
//!
//! # Sources
//! istio/istio issues 36453, 29639; istio.io pull request 15117; RULES.md C8.

use sunup_api::container;
use sunup_api::report::{Severity, Verdict};
use sunup_api::shell;
use sunup_evidence::line::Sign;
use sunup_evidence::shape::is_mesh_container;

use crate::fix::remedies;
use crate::judging::fault::{Fault, Judgements, Open};
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::Case;
use crate::judging::rule::Rule;
use crate::judging::subject::{at, namespace_flag};
use crate::judging::texts::Said;
use crate::knowledge::init_order;

/// The rule.
pub(crate) struct InitBeforeDnsProxy;

static META: Meta = Meta {
    id: "init-before-dns-proxy",
    title: "DNS capture leaves an init container without name resolution before the proxy runs",
    stage: Stage::Init,
    severity: Severity::Error,
    status: Status::Stable { since: "0.1.0" },
    needs: &[&[Need::PodObject], &[Need::InitLog]],
    helps: &[Need::Nodes, Need::Workload, Need::MeshConfig],
    hears: &[],
    signs: &[Sign::NameFailure],
    explains: &[],
    doc: page!("init_before_dns_proxy", "doc.md"),
    fires: page!("init_before_dns_proxy", "fires.txtar"),
    quiet: page!("init_before_dns_proxy", "quiet.txtar"),
};

impl Rule for InitBeforeDnsProxy {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn passes(&self) -> bool {
        true
    }

    fn pod(&self, case: &Case<'_>, out: &mut Judgements) {
        if case.shape.gateway || case.shape.host_network || !captures_dns(case) {
            return;
        }
        for name in case.shape.init_order.iter().filter(|n| !is_mesh_container(n)) {
            let proxy = case.uid(name) == Some(container::PROXY_UID);
            if !proxy && init_order::cause(&case.shape, name).is_some() && case.init_fails(name) {
                judge(case, name, out);
            }
        }
    }
}

fn captures_dns(case: &Case<'_>) -> bool {
    let asked =
        |c: &str| case.container(c).and_then(|c| c.env("ISTIO_META_DNS_CAPTURE")) == Some("true");
    case.capture.plan.dns().is_on() || asked(container::PROXY)
}

fn judge(case: &Case<'_>, name: &str, out: &mut Judgements) {
    let subject = at(&case.subject, name);
    let log = case.facts.log(name);
    if log.is_none_or(|l| l.files.is_empty()) {
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
    }
    let Some(heard) = case.heard(&META, |s: &Said<'_>| s.container == Some(name)) else { return };
    let summary = format!(
        "init container {name} cannot resolve names: DNS is captured and no proxy answers yet"
    );
    let mut fault = heard.fault(&META, Verdict::Confirmed, summary, "a name could not be resolved");
    fault.subject = subject;
    out.faults.push(explained(case, name, fault));
}

fn explained(case: &Case<'_>, name: &str, mut fault: Fault) -> Fault {
    let Some(cause) = init_order::cause(&case.shape, name) else { return fault };
    fault.cause = Some(cause.id());
    fault
        .because(format!(
            "The pod's settings send DNS to istio-proxy (ISTIO_META_DNS_CAPTURE), and in the order {} \
             {name} runs behind the redirect before it: every question goes unanswered.",
            case.shape.init_order.join(", ")
        ))
        .because(
            "Excluding an address does not help, as the name never resolves; holding the application \
             does nothing for init containers.",
        )
        .offer(remedies::init_before_proxy(case, cause, name, &[]))
}
