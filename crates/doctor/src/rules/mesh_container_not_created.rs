//! `mesh-container-not-created`: the kubelet refuses to create a container that injection put into the pod, as
//! its settings contradict the pod's.
//!
//! # Sources
//! Kubernetes `pkg/kubelet/kuberuntime/security_context.go` (`container has runAsNonRoot and image will run as
//! root`, `container's runAsUser breaks non-root policy`); banzaicloud/istio-operator issue 249; istio/istio
//! issues 10358, 23705.

use sunup_api::container;
use sunup_api::report::{Severity, Verdict};
use sunup_evidence::object::ContainerState;
use sunup_evidence::shape::is_mesh_container;

use crate::judging::fault::{Fault, Judgements};
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::Case;
use crate::judging::remedy::Remedy;
use crate::judging::rule::Rule;
use crate::judging::subject::at;
use crate::judging::texts::{From, Said};

/// The rule.
pub(crate) struct MeshContainerNotCreated;

static META: Meta = Meta {
    id: "mesh-container-not-created",
    title: "The kubelet refuses to create a container of the mesh (CreateContainerConfigError)",
    stage: Stage::Init,
    severity: Severity::Error,
    status: Status::Stable { since: "0.1.0" },
    needs: &[&[Need::PodObject, Need::PodEvents]],
    helps: &[],
    hears: &["createcontainerconfigerror", ROOT_IMAGE, ROOT_UID, "non-numeric user"],
    signs: &[],
    explains: &[],
    doc: page!("mesh_container_not_created", "doc.md"),
    fires: page!("mesh_container_not_created", "fires.txtar"),
    quiet: page!("mesh_container_not_created", "quiet.txtar"),
};

const ROOT_IMAGE: &str = "runasnonroot and image will run as root";
const ROOT_UID: &str = "runasuser breaks non-root policy";

impl Rule for MeshContainerNotCreated {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn pod(&self, case: &Case<'_>, out: &mut Judgements) {
        let is_it = |s: &Said<'_>| {
            let refused = s.reason == "CreateContainerConfigError"
                || s.has_any(&[ROOT_IMAGE, ROOT_UID, "non-numeric user"]);
            let mine = |name| is_mesh_container(name) && !has_run(case, name);
            s.from != From::Log && refused && whose(s).is_some_and(mine)
        };
        let Some(heard) = case.heard(&META, is_it) else { return };
        let Some(name) = heard.said.iter().find_map(|s| whose(s)) else { return };
        let root =
            heard.said.iter().any(|s| s.has_any(&[ROOT_IMAGE, ROOT_UID, "non-numeric user"]));
        let summary = if root {
            format!("{name} has to run as root, or may, and the pod forbids it: it is not created")
        } else {
            format!("the kubelet cannot create {name}: something that its settings name is missing")
        };
        let mut fault = heard.fault(&META, Verdict::Confirmed, summary, "not created");
        fault.subject = at(&case.subject, name);
        out.faults.push(explained(fault, case, name, root));
    }
}

/// The container that a text is about: the event's own, or as the kubelet writes it behind the pod.
fn whose<'a>(said: &Said<'a>) -> Option<&'a str> {
    said.container.or_else(|| {
        let (_, rest) = said.text.split_once("container: ")?;
        rest.split([')', ',', ' ']).next()
    })
}

/// Whether it was created since, by what the status says.
fn has_run(case: &Case<'_>, name: &str) -> bool {
    let Some(status) = case.status(name) else { return false };
    let ran = |s: &ContainerState| s.running.is_some() || s.terminated.is_some();
    ran(&status.state)
}

fn explained(mut fault: Fault, case: &Case<'_>, name: &str, root: bool) -> Fault {
    let pods = case.pod().and_then(|p| p.spec.security_context.run_as_non_root) == Some(true);
    fault.cause = Some(if root { "run-as-non-root" } else { "missing-reference" });
    if !root {
        return fault
            .because(
                "A ConfigMap, a Secret or a key that an environment variable of the container names is \
                 not in the pod's namespace, or a field that it takes its value from is not there.",
            )
            .offer([Remedy::advice(
                "see-reference",
                "create what the text names, or take it out of the injector's template",
                "kubectl -n istio-system get configmap istio-sidecar-injector -o yaml".to_owned(),
            )]);
    }
    let of_pod = if pods {
        " The pod sets runAsNonRoot for all of its containers; one that says nothing of its own \
         inherits it."
    } else {
        ""
    };
    let why = if name == container::INIT {
        "istio-init writes iptables rules, which takes uid 0."
    } else {
        "The image names no uid, or a user by name, and nothing in the container says which it is: then \
         the kubelet cannot know that it is not root."
    };
    fault.because(format!("{why}{of_pod}")).offer([
        Remedy::advice(
            "non-root-per-container",
            "set runAsNonRoot at the application's own containers instead of at the pod",
            "spec.template.spec.containers[*].securityContext: {runAsNonRoot: true}".to_owned(),
        ),
        Remedy::advice(
            "install-cni",
            "let istio-cni set up the redirect: then no container of the mesh needs root",
            "helm install istio-cni istio/cni -n istio-system; helm upgrade istiod istio/istiod -n \
             istio-system --reuse-values --set pilot.cni.enabled=true"
                .to_owned(),
        ),
    ])
}
