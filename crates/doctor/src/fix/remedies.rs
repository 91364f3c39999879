//! Which remedies fit which shape, each with its preconditions (RULES.md, "What the patcher must
//! respect"). One that would not help in this shape is not offered; [`remarks`] says so.

use std::net::IpAddr;

use serde_json::json;
use sunup_api::report::Safety;
use sunup_api::{annotation, container};
use sunup_evidence::object::{Map, PodTemplate};
use sunup_evidence::shape::Sidecar;

use crate::judging::mesh::{Version, Versions, inner_yaml};
use crate::judging::pod::Case;
use crate::judging::remedy::{AnnotationValue, Change, Remedy};
use crate::knowledge::agent;
use crate::knowledge::init_order::Cause;
use crate::knowledge::{injection, scripts};

/// The release that knows the annotation that holds the application (RULES.md 1.4).
const HOLD_SINCE: Version = Version(1, 8);

/// What is done by holding the application.
pub const HOLD: &str = "hold the application until istio-proxy is ready";
/// What is done by a native sidecar.
pub const NATIVE: &str = "run istio-proxy as a native sidecar, which starts first";

/// The address of a destination that start-up needs, and how it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Needed {
    pub(crate) ip: IpAddr,
    pub(crate) source: String,
}

fn annotate(key: &'static str, value: AnnotationValue) -> Change {
    Change::Annotation { key: key.into(), value }
}

/// The sidecar as a native one: offered as safe only where the versions carry it.
pub(crate) fn native(versions: Versions, template: Option<&PodTemplate>) -> Option<Remedy> {
    let set = template.and_then(|t| t.metadata.annotations.get(annotation::NATIVE_SIDECAR));
    if set.is_some_and(|v| v == "true") {
        return None;
    }
    let remedy = Remedy::new(
        "native-sidecar",
        NATIVE,
        vec![annotate(annotation::NATIVE_SIDECAR, AnnotationValue::Text("true".to_owned()))],
    );
    match versions.carries_native_sidecars() {
        Some(true) => Some(remedy),
        Some(false) => None,
        None => Some(remedy.unsafe_because(
            "needs Istio 1.24 and Kubernetes 1.29 on every node, which the inputs do not show",
        )),
    }
}

fn hold(template: Option<&PodTemplate>) -> Option<Remedy> {
    if template.is_some_and(|t| asks_to_hold(&t.metadata.annotations)) {
        return None;
    }
    Some(Remedy::new(
        "hold-application",
        HOLD,
        vec![annotate(
            annotation::PROXY_CONFIG,
            AnnotationValue::Field(annotation::HOLD, json!(true)),
        )],
    ))
}

fn asks_to_hold(annotations: &Map) -> bool {
    let config = annotations.get(annotation::PROXY_CONFIG).map(|t| inner_yaml(t));
    config.is_some_and(|c| c.get(annotation::HOLD) == Some(&json!(true)))
}

/// Remedies for an application that was refused while its proxy was not ready.
pub(crate) fn app_before_proxy(case: &Case<'_>, restarted: bool) -> Vec<Remedy> {
    // Neither hold nor a native sidecar keeps a running application from a proxy that went away.
    if restarted {
        return Vec::new();
    }
    let template = case.template();
    let template = template.as_ref();
    let live = case.pod().map(|p| &p.metadata.annotations);
    let mut found = Vec::new();
    if case.shape.sidecar != Sidecar::Native {
        let native = native(case.versions, template);
        let hold = hold_beside(case, template);
        match native {
            // A pod that ends is mended as a whole by a native sidecar only.
            Some(n) if n.safety == Safety::Safe || template.is_some_and(|t| outlived(case, t)) => {
                found.push(n);
                found.extend(hold);
            }
            native => {
                found.extend(hold);
                found.extend(native);
            }
        }
    }
    let agent = agent::port(template, case.mesh);
    let url = format!("http://localhost:{agent}/healthz/ready");
    let waits = format!("until curl -fsS -o /dev/null {url}; do sleep 1; done");
    let wait = match template.is_some_and(|t| outlived(case, t)) {
        false => Remedy::advice(
            "wait-endpoint",
            "let the application wait until its proxy is ready",
            waits,
        ),
        true => Remedy::advice(
            "wait-endpoint",
            "let the work wait until its proxy is ready, and tell the proxy when it is done",
            format!(
                "{waits}; YOUR-COMMAND; rc=$?; curl -fsS -X POST \
                 http://localhost:{agent}/quitquitquit; exit $rc"
            ),
        ),
    };
    // What the running pods cannot carry out must not come first.
    let first =
        if found.first().is_some_and(|r| r.safety == Safety::Unsafe) { 0 } else { found.len() };
    found.insert(first, wait);
    found.into_iter().map(|r| r.with_live(live)).collect()
}

/// Hold, unless the manifest or the live pod asks for it already.
fn hold_beside(case: &Case<'_>, template: Option<&PodTemplate>) -> Option<Remedy> {
    if case.shape.holds {
        return None;
    }
    let remedy = match case.manifest {
        // The manifest may carry it by now though the pod that failed did not: then the remedy is
        // there, and only a restart is missing.
        Some(_) => hold(None),
        None => hold(template),
    }?;
    let old = case.versions.istio_by_objects.is_some_and(|v| v < HOLD_SINCE);
    Some(match (old, template.is_some_and(|t| outlived(case, t))) {
        (true, _) => remedy.unsafe_because("takes an upgrade to Istio 1.8 first"),
        (_, true) => remedy.unsafe_because(
            "the work then runs, but the classic sidecar outlives it and the pod does not complete; \
             and a proxy that takes longer than 60 s is gone for good",
        ),
        _ => remedy,
    })
}

/// Whether the work of a pod comes to an end and its sidecar, if it is a classic one, does not.
fn outlived(case: &Case<'_>, template: &PodTemplate) -> bool {
    let namespace = case.subject.namespace.as_deref();
    injection::ends(template) && !scripts::quits(case.snapshot, namespace, template)
}

/// What a reader would expect among the remedies, and why it is not there.
pub(crate) fn remarks(case: &Case<'_>, restarted: bool) -> Vec<String> {
    let mut said = Vec::new();
    if restarted {
        said.push(
            "holdApplicationUntilProxyStarts and native sidecars act at the pod's start only: they \
             do not help against a proxy that is restarted later. What ended it is the fault to \
             mend."
                .to_owned(),
        );
        return said;
    }
    if case.template().is_some_and(|t| outlived(case, &t)) && case.shape.sidecar != Sidecar::Native
    {
        said.push(
            "The pod's work comes to an end, a classic sidecar's does not: holding the work lets it \
             run and leaves a pod that never completes. A native sidecar mends both."
                .to_owned(),
        );
    }
    if case.shape.holds {
        said.push(
            "The pod holds its application already (the hook gives up after 60 s): adding it again \
             would not help."
                .to_owned(),
        );
    }
    if let Some(version) = case.versions.istio.filter(|v| *v < HOLD_SINCE) {
        said.push(format!(
            "The proxy is of Istio {version}: the annotation that holds the application is known \
             to injectors from 1.8 on, so it takes an upgrade, or the application that waits."
        ));
    }
    if let Some(why) = case.versions.no_native_sidecars() {
        said.push(format!("A native sidecar is not offered: {why}."));
    }
    said
}

/// Remedies for an init container that runs behind the redirect before any proxy.
pub(crate) fn init_before_proxy(
    case: &Case<'_>,
    cause: Cause,
    init: &str,
    needed: &[Needed],
) -> Vec<Remedy> {
    let vault = init == container::VAULT_AGENT_INIT;
    let template = case.template();
    let template = template.as_ref();
    let live = case.pod().map(|p| &p.metadata.annotations);
    let mut found = Vec::new();
    let exclude = exclude_range(case, needed);
    let as_proxy = as_proxy_uid(case, init, vault);
    match cause {
        // A native sidecar is there when it asks; nothing else is.
        Cause::WaitsForProxy => {
            let agent = agent::port(template, case.mesh);
            let url = format!("http://localhost:{agent}/healthz/ready");
            found.extend(native(case.versions, template));
            found.push(Remedy::advice(
                "wait-endpoint",
                format!("take {init} away, and let the application's own command wait, or hold it"),
                format!("until curl -fsS -o /dev/null {url}; do sleep 1; done; YOUR-COMMAND"),
            ));
            return found.into_iter().map(|r| r.with_live(live)).collect();
        }
        Cause::WebhookOrder => {
            found.extend(exclude);
            if vault {
                let text = AnnotationValue::Text("true".to_owned());
                found.push(Remedy::new(
                    "agent-init-first",
                    "run Vault's init container before the redirect is set up",
                    vec![annotate(annotation::VAULT_INIT_FIRST, text)],
                ));
            }
            found.extend(native(case.versions, template));
            found.extend(as_proxy);
        }
        Cause::Cni => {
            let native = native(case.versions, template);
            let (sure, unsure): (Vec<_>, Vec<_>) =
                native.into_iter().partition(|n| n.safety == Safety::Safe);
            if vault {
                found.extend(exclude);
                found.extend(as_proxy);
                found.extend(sure);
            } else {
                found.extend(sure);
                found.extend(as_proxy);
                found.extend(exclude);
            }
            found.extend(unsure);
        }
        Cause::LeftOverWorkaround => {
            if vault {
                found.push(Remedy::new(
                    "remove-agent-init-first",
                    "let Vault's init container run after the native sidecar again",
                    vec![annotate(annotation::VAULT_INIT_FIRST, AnnotationValue::Removed)],
                ));
            }
            found.extend(as_proxy);
            found.extend(exclude);
        }
    }
    found.extend(operator_range(case, needed));
    found.into_iter().map(|r| r.with_live(live)).collect()
}

/// What a reader would expect for an init container, and why it is not there.
pub(crate) fn init_remarks(
    case: &Case<'_>,
    cause: Cause,
    init: &str,
    needed: &[Needed],
) -> Vec<String> {
    if cause == Cause::WaitsForProxy {
        return vec![
            "What waits for the proxy belongs into a container that runs beside it: the application's \
             own command, or holdApplicationUntilProxyStarts."
                .to_owned(),
        ];
    }
    let mut said = vec![
        "holdApplicationUntilProxyStarts does nothing for init containers: they run before \
         istio-proxy is started."
            .to_owned(),
    ];
    if init == container::VAULT_AGENT_INIT && cause == Cause::Cni {
        said.push(
            "agent-init-first does not help under CNI: the redirect is there before any container."
                .to_owned(),
        );
    }
    if needed.is_empty() {
        said.push(
            "The destination's address is not known from the inputs, so no range can be excluded \
             for it: hand over the Service, or the init container's log."
                .to_owned(),
        );
    } else if dns_capture(case) {
        said.push(
            "Excluding the address would not help: DNS is captured too, so its name does not \
             resolve before the proxy runs."
                .to_owned(),
        );
    }
    if case.mesh.managed {
        said.push(
            "The mesh is managed: it has no IstioOperator, so an exclusion goes on the pod \
             template."
                .to_owned(),
        );
    }
    said
}

fn dns_capture(case: &Case<'_>) -> bool {
    case.capture.plan.dns().is_on()
}

fn cidr(ip: IpAddr) -> String {
    let bits = if ip.is_ipv4() { 32 } else { 128 };
    format!("{ip}/{bits}")
}

pub(crate) fn exclude_range(case: &Case<'_>, needed: &[Needed]) -> Option<Remedy> {
    if needed.is_empty() || dns_capture(case) {
        return None;
    }
    let changes = needed
        .iter()
        .map(|n| {
            let item = AnnotationValue::Item(cidr(n.ip));
            annotate(annotation::EXCLUDE_OUTBOUND_RANGES, item)
        })
        .collect::<Vec<_>>();
    // One annotation holds the whole list, so several addresses are one change.
    let list = needed.iter().map(|n| cidr(n.ip)).collect::<Vec<_>>().join(",");
    let changes = match changes.len() {
        1 => changes,
        _ => {
            vec![annotate(annotation::EXCLUDE_OUTBOUND_RANGES, AnnotationValue::Item(list.clone()))]
        }
    };
    let title = format!("let {list} past the proxy ({})", needed[0].source);
    Some(Remedy::new("exclude-outbound-range", title, changes))
}

/// uid 1337 on that init container only. A container that another webhook injects is reached by
/// that webhook's annotations.
fn as_proxy_uid(case: &Case<'_>, init: &str, vault: bool) -> Option<Remedy> {
    if vault {
        let id = || AnnotationValue::Text(container::PROXY_UID.to_string());
        let changes = vec![
            annotate(annotation::VAULT_RUN_AS_USER, id()),
            annotate(annotation::VAULT_RUN_AS_GROUP, id()),
        ];
        let title = "run Vault's agent as uid 1337, which capture lets through";
        // The annotations are for both of Vault's containers, so the agent sidecar too leaves the
        // mesh; it talks to Vault only.
        return Some(Remedy::new("init-as-proxy-uid", title, changes));
    }
    let mut in_manifest = case
        .manifest
        .map(|template| &template.spec)
        .or_else(|| case.pod().map(|p| &p.spec))?
        .init_containers
        .iter();
    in_manifest.find(|c| c.name == init)?;
    let title = format!("run {init} as uid 1337, which capture lets through");
    let change = Change::InitRunAs { container: init.to_owned(), id: container::PROXY_UID };
    Some(Remedy::new("init-as-proxy-uid", title, vec![change]))
}

/// Mesh-wide, in the operator's file; only an in-cluster installation reads it.
fn operator_range(case: &Case<'_>, needed: &[Needed]) -> Option<Remedy> {
    if case.mesh.managed || dns_capture(case) {
        return None;
    }
    let needed = needed.first()?;
    let operator = case.snapshot.operators.iter().position(|(.., m)| m.is_editable())?;
    let title = format!(
        "let {} past every proxy of the mesh; then `istioctl install -f` with that file and \
         restart the workloads",
        cidr(needed.ip)
    );
    let change = Change::OperatorRange { operator, range: cidr(needed.ip) };
    Some(Remedy::new("exclude-range-operator", title, vec![change]))
}
