//! `proxy-cannot-run-on-node`: the proxy or its agent is started and cannot run there at all: built for another
//! processor, refused its threads, or given too small an address space.
//!
//! # Sources
//! istio/istio issues 44244, 55570, 49792, 51708; envoyproxy/envoy issues 15235, 23339; Envoy
//! `source/common/common/posix/thread_impl.cc`; tcmalloc `system-alloc.cc`.

use sunup_api::container;
use sunup_api::report::{Severity, Verdict};
use sunup_evidence::line::Sign;
use sunup_evidence::shape::is_mesh_container;

use crate::judging::fault::{Fault, Judgements};
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::Case;
use crate::judging::remedy::Remedy;
use crate::judging::rule::Rule;
use crate::judging::subject::{at, namespace_flag};
use crate::judging::texts::{Said, has};
use crate::knowledge::proxy;

/// The rule.
pub(crate) struct ProxyCannotRunOnNode;

static META: Meta = Meta {
    id: "proxy-cannot-run-on-node",
    title: "The proxy cannot run on this node: processor, system calls or address space",
    stage: Stage::Proxy,
    severity: Severity::Error,
    status: Status::Stable { since: "0.1.0" },
    needs: &[&[Need::ProxyLog, Need::MeshInitLog, Need::PodObject, Need::PodEvents]],
    helps: &[],
    hears: &["exec format error"],
    signs: &[Sign::CannotRun],
    explains: &[
        "app-before-proxy",
        "hold-timed-out",
        "proxy-restarted-by-startup-probe",
        "start-gate-expired",
    ],
    doc: page!("proxy_cannot_run_on_node", "doc.md"),
    fires: page!("proxy_cannot_run_on_node", "fires.txtar"),
    quiet: page!("proxy_cannot_run_on_node", "quiet.txtar"),
};

/// What the program lacks there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lack {
    /// The image is for another processor.
    Architecture,
    /// It may not make a thread.
    Threads,
    /// The allocator's addresses are beyond what the kernel gives.
    AddressSpace,
}

impl Rule for ProxyCannotRunOnNode {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn pod(&self, case: &Case<'_>, out: &mut Judgements) {
        let last = case.windows.instances.last();
        let ready =
            last.is_some_and(|i| i.ready.is_some()) || proxy::status(case).is_some_and(|s| s.ready);
        let ran = |name: &str| {
            let status = case.status(name);
            status.and_then(|s| s.state.terminated.as_ref()).is_some_and(|t| t.exit_code == 0)
        };
        // An instance that is ready now shows that the node can.
        if ready {
            return;
        }
        let is_it = |s: &Said<'_>| {
            lack(s.text).is_some()
                && match s.container {
                    Some(name) => is_mesh_container(name) && !ran(name),
                    None => names_the_proxy(s.text),
                }
        };
        let Some(heard) = case.heard(&META, is_it) else { return };
        let Some(what) = heard.said.iter().find_map(|s| lack(s.text)) else { return };
        let name = heard.said.iter().find_map(|s| s.container).unwrap_or(container::PROXY);
        let node = case.pod().and_then(|p| p.spec.node_name.as_deref());
        let node = node.map_or_else(|| "its node".to_owned(), |n| format!("node {n}"));
        let seccomp = what == Lack::Threads && filtered(case, name);
        let summary = match what {
            Lack::Architecture => {
                format!("{name}'s image is for another processor than {node} has")
            }
            Lack::Threads => format!("{name} may not make a thread on {node}, and aborts"),
            Lack::AddressSpace => {
                format!("{name} needs more address space than the kernel of {node} gives")
            }
        };
        // A thread can be refused for other reasons than a filter of system calls.
        let sure = what != Lack::Threads || seccomp;
        let verdict = if sure { Verdict::Confirmed } else { Verdict::Likely };
        let mut fault = heard.fault(&META, verdict, summary, "the program cannot run here");
        fault.subject = at(&case.subject, name);
        out.faults.push(match what {
            Lack::Architecture => architecture(fault, case, name),
            Lack::Threads => threads(fault, seccomp),
            Lack::AddressSpace => address_space(fault),
        });
    }
}

fn lack(text: &str) -> Option<Lack> {
    if has(text, "exec format error") {
        Some(Lack::Architecture)
    } else if has(text, "thread_impl.cc") && has(text, "assert failure: rc == 0") {
        Some(Lack::Threads)
    } else {
        has(text, "mmapaligned() failed").then_some(Lack::AddressSpace)
    }
}

/// Whether a text of which nothing says whose it is tells that itself.
fn names_the_proxy(text: &str) -> bool {
    ["pilot-agent", "bin/envoy", "thread_impl.cc"].iter().any(|p| has(text, p))
}

/// Whether the pod or the container asks for a filter of system calls.
fn filtered(case: &Case<'_>, name: &str) -> bool {
    let own = case.container(name).and_then(|c| c.security_context.seccomp_profile.as_ref());
    let pods = case.pod().and_then(|p| p.spec.security_context.seccomp_profile.as_ref());
    own.or(pods).is_some_and(|p| p.kind == "RuntimeDefault" || p.kind == "Localhost")
}

fn architecture(mut fault: Fault, case: &Case<'_>, name: &str) -> Fault {
    fault.cause = Some("architecture");
    let image = case.container(name).map_or("docker.io/istio/proxyv2:TAG", |c| c.image.as_str());
    fault
        .because(
            "The kernel does not know the format of the image's program. Mirroring an image with a \
             tool that takes one architecture only, or pulling it on another machine and pushing it \
             anew, leaves out the others; in rare cases the node's copy of the layer is damaged.",
        )
        .offer([
            Remedy::advice(
                "mirror-all-architectures",
                "mirror the image with all its architectures (the first command lists them)",
                format!(
                    "docker buildx imagetools inspect {image}; crane copy docker.io/istio/proxyv2:TAG \
                     MIRROR/istio/proxyv2:TAG"
                ),
            ),
            Remedy::advice(
                "matching-nodes",
                "keep the pod to nodes that the image is for",
                format!(
                    "kubectl get nodes -L kubernetes.io/arch; kubectl {}edit …  # spec.template.spec.\
                     nodeSelector: {{kubernetes.io/arch: amd64}}",
                    namespace_flag(&case.subject)
                ),
            ),
        ])
}

fn threads(mut fault: Fault, seccomp: bool) -> Fault {
    fault.cause = Some(if seccomp { "seccomp" } else { "threads" });
    let why = if seccomp {
        "The pod asks for the container runtime's seccomp profile, and that of an old runtime knows \
         nothing of clone3, by which a new C library makes threads: it answers EPERM, which the \
         library does not take for \"not there\". Envoy's first thread fails, and it aborts at every \
         start."
    } else {
        "Envoy's first thread could not be made. Nothing that was handed over says why: a seccomp \
         profile of an old container runtime (which refuses clone3), or a limit of processes that the \
         pod or the node has reached."
    };
    fault.because(why).offer([
        Remedy::advice(
            "newer-runtime",
            "a container runtime whose profile knows clone3: Docker 20.10.10 or later, or a containerd \
             and runc of that time with libseccomp 2.5",
            "kubectl get nodes -o wide".to_owned(),
        ),
        Remedy::advice(
            "proxy-unconfined",
            "until then take the profile from the proxy alone: a container of that name in the pod \
             template is merged with the injected one",
            "{name: istio-proxy, image: auto, securityContext: {seccompProfile: {type: Unconfined}}}"
                .to_owned(),
        ),
    ])
}

fn address_space(mut fault: Fault) -> Fault {
    fault.cause = Some("address-space");
    fault
        .because(
            "Envoy's allocator expects 48 bits of address space. Kernels of single-board computers are \
             often built for 39, and then its first allocation fails, however much memory is free; the \
             words \"out of memory\" behind it do not mean the container's limit.",
        )
        .offer([Remedy::advice(
            "larger-address-space",
            "a kernel built with CONFIG_ARM64_VA_BITS=48 on these nodes, or other nodes",
            "zgrep CONFIG_ARM64_VA_BITS /proc/config.gz; kubectl get nodes -o wide".to_owned(),
        )])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lack_is_read_from_what_several_programs_print() {
        for (text, want) in [
            ("exec /usr/local/bin/pilot-agent: exec format error", Some(Lack::Architecture)),
            (
                "standard_init_linux.go:228: exec user process caused: exec format error",
                Some(Lack::Architecture),
            ),
            (
                "critical\tenvoy assert external/envoy/source/common/common/posix/thread_impl.cc:53\tassert failure: rc == 0.\tthread=32",
                Some(Lack::Threads),
            ),
            (
                "external/com_github_google_tcmalloc/tcmalloc/system-alloc.cc:550] MmapAligned() failed (size, alignment) 1073741824 1073741824 @ 0x55867b9470",
                Some(Lack::AddressSpace),
            ),
            ("assert failure: rc == 0. in somebody else's thread_pool.cc", None),
            ("critical assert external/envoy/source/common/stats/x.cc:1 assert failure: y", None),
        ] {
            assert_eq!(lack(text), want, "{text}");
        }
    }
}
