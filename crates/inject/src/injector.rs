//! The injection of one pod: settings compiled once, then pod in, pod and patch out.
//!
//! # Sources
//! `injectPod` and `RunTemplate` of istio/istio `pkg/kube/inject` (86c9f01).

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Map, Value};
use sunup_api::{annotation as keys, container};

use crate::build::{self, Way};
use crate::decide::{Decision, Subject};
use crate::error::{InjectError, SettingsError};
use crate::image;
use crate::memo::Memo;
use crate::merge;
use crate::mutate::overrides::{self, Hooks};
use crate::mutate::status::{self, Status};
use crate::mutate::{order, probes, prometheus, vault};
use crate::owner::Owner;
use crate::patch::{JsonPatchOp, diff};
use crate::reason::Reason;
use crate::settings::{NativeSidecars, ProxyKind, Settings, proxy_config};
use crate::template::{Base, Inputs, Templates};
use crate::value::{
    annotation, at, check_pod, containers, find, find_mut, list_at, list_mut, map_mut, name,
    set_annotation, set_label, text_at,
};
use crate::{go, openshift, validate, yaml};

/// Settings, ready for any number of pods. Can be shared between threads.
#[derive(Debug)]
pub struct Injector {
    settings: Settings,
    templates: Templates,
    base: Base,
    default_config: Value,
    pub(crate) memo: Memo,
}

/// What is known about a pod beside the pod itself.
#[derive(Debug, Clone, Default)]
pub struct Context<'a> {
    /// The workload; `None` derives it from the pod.
    pub owner: Option<Owner>,
    /// Whether the node (or all nodes) can run native sidecars; `None` leaves it to the settings.
    pub native: Option<bool>,
    /// Annotations of the pod's namespace, where they are known (OpenShift's uid ranges).
    pub namespace_annotations: Option<&'a BTreeMap<String, String>>,
    /// Variables of the proxy's environment that win over the templates' (a webhook's URL may
    /// carry cluster and network).
    pub env: Option<&'a BTreeMap<String, String>>,
    /// Whether the injector is asked again when others have changed the pod after it, as a webhook
    /// is: capture then stays behind the init containers that they add.
    pub asked_again: bool,
}

/// An injected pod.
#[derive(Debug, Clone, PartialEq)]
pub struct Injection {
    /// What leads from the pod that came to the one that goes.
    pub patch: Vec<JsonPatchOp>,
    /// The pod, injected.
    pub pod: Value,
    /// What was chosen and why.
    pub reasons: Vec<Reason>,
}

/// Builds an overlay.
type Build = fn(&mut build::Inputs<'_>) -> Value;

/// Overlays that are built without templates.
const BUILT: [(&str, Build); 4] = [
    ("sidecar", build::sidecar),
    ("gateway", build::gateway),
    ("grpc-agent", build::grpc::agent),
    ("grpc-simple", build::grpc::simple),
];

/// What one injection hands from step to step.
struct Plan<'a> {
    owner: Cow<'a, Owner>,
    config: Cow<'a, Value>,
    native: bool,
    hold: bool,
    way: Way,
    ids: (i64, i64),
    asked_again: bool,
    kept: Value,
    /// The pod as templates see it: an earlier injection's work taken out.
    stripped: Cow<'a, Value>,
}

impl Injector {
    /// Compiles settings.
    ///
    /// # Errors
    /// A template that doesn't parse.
    pub fn new(settings: Settings) -> Result<Self, SettingsError> {
        let templates = Templates::compile(&settings.templates)?;
        let base = Base::new(&settings);
        let default_config =
            at(&settings.mesh, &["defaultConfig"]).cloned().unwrap_or(Value::Object(Map::new()));
        Ok(Injector { settings, templates, base, default_config, memo: Memo::default() })
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether a pod is injected, and the fact that decides it.
    #[must_use]
    pub fn decide(&self, on: &Subject<'_>) -> Decision {
        self.settings.policy.decide(on)
    }

    /// Injects a pod or pod template (`metadata` and `spec`), whatever [`Self::decide`] says.
    ///
    /// Injecting the result again gives the same pod.
    ///
    /// # Errors
    /// A pod that Kubernetes or Istio would refuse too, or a template that fails on it.
    pub fn inject(&self, pod: &Value, context: &Context<'_>) -> Result<Injection, InjectError> {
        let (result, reasons) = self.injected(pod, context)?;
        Ok(Injection { patch: diff(pod, &result), pod: result, reasons })
    }

    /// [`Self::inject`] for callers that need no patch.
    pub(crate) fn injected(
        &self,
        pod: &Value,
        context: &Context<'_>,
    ) -> Result<(Value, Vec<Reason>), InjectError> {
        check_pod(pod)?;
        if let Some(Value::Object(all)) = at(pod, &["metadata", "annotations"]) {
            validate::annotations(all)?;
        }
        let mut reasons = Vec::new();
        let plan = self.plan(pod, context, &mut reasons)?;
        let (mut result, template) = self.run_templates(pod, &plan, &mut reasons)?;
        let hooks = if plan.way == Way::Sunup { Hooks::Replace } else { Hooks::Merge };
        overrides::reapply(&mut result, pod, &template, &plan.kept, hooks)?;
        let mode = annotation(&result, keys::INTERCEPTION_MODE);
        let tproxy = text_at(&plan.config, &["interceptionMode"]) == Some("TPROXY")
            || mode == Some("TPROXY");
        overrides::adjust_init_user(&mut result, pod, &plan.kept, tproxy);
        self.post_process(&mut result, &template, &plan, context)?;
        if self.settings.options.proxy == ProxyKind::Sunup {
            unclaim_mtls(&mut result, &mut reasons);
        } else if !self.settings.options.istio_compat {
            vault::exclude(&mut result, context.asked_again, &mut reasons);
        }
        Ok((result, reasons))
    }

    fn way(&self) -> Way {
        if self.settings.own_way() { Way::Sunup } else { Way::Istio }
    }

    fn plan<'a>(
        &'a self,
        pod: &'a Value,
        context: &'a Context<'_>,
        reasons: &mut Vec<Reason>,
    ) -> Result<Plan<'a>, InjectError> {
        let owner = match &context.owner {
            Some(owner) => Cow::Borrowed(owner),
            None => Cow::Owned(Owner::of_pod(pod)),
        };
        let config = match annotation(pod, keys::PROXY_CONFIG) {
            // Parsed before, by the validation of annotations.
            Some(text) => {
                let own = proxy_config::parse(text).map_err(InjectError::Annotations)?;
                Cow::Owned(proxy_config::merged(&self.default_config, &own))
            }
            None => Cow::Borrowed(&self.default_config),
        };
        let way = self.way();
        let by_default = context.native.unwrap_or_else(|| self.settings.native_by_default());
        let native = self.native(pod, by_default, context.native.is_some(), reasons);
        let kept = overrides::kept(pod)?;
        let stripped = self.strip(pod, &config, &kept);
        let hold = self.hold(pod, &config, way, native, reasons);
        let ids = openshift::proxy_ids(context.namespace_annotations);
        let asked_again = context.asked_again;
        Ok(Plan { owner, config, native, hold, way, ids, asked_again, kept, stripped })
    }

    /// Whether this pod's sidecar is a native one. The annotation wins: everything but `false`
    /// and an empty text is a yes, as Istio's template has it.
    fn native(
        &self,
        pod: &Value,
        by_default: bool,
        by_node: bool,
        reasons: &mut Vec<Reason>,
    ) -> bool {
        let own = annotation(pod, keys::NATIVE_SIDECAR).filter(|v| !v.is_empty());
        let native = own.map_or(by_default, |v| v != "false");
        let kind = if native { "native" } else { "classic" };
        let options = &self.settings.options;
        let why = match (own, options.native, options.kubernetes) {
            (Some(value), ..) => format!("the annotation {} is {value:?}", keys::NATIVE_SIDECAR),
            _ if by_node => "by the nodes' version of Kubernetes".to_owned(),
            (_, NativeSidecars::Auto, Some((major, minor))) => {
                format!("Kubernetes is {major}.{minor}")
            }
            (_, NativeSidecars::Auto, None) => "the version of Kubernetes isn't known".to_owned(),
            _ => "by the settings".to_owned(),
        };
        reasons.push(Reason::note(format!("{kind} sidecar: {why}")));
        native
    }

    /// Whether a classic sidecar holds the app back.
    fn hold(
        &self,
        pod: &Value,
        config: &Value,
        way: Way,
        native: bool,
        reasons: &mut Vec<Reason>,
    ) -> bool {
        let mesh =
            self.settings.helm_truth(&["global", "proxy", "holdApplicationUntilProxyStarts"]);
        let own = at(config, &[keys::HOLD]).and_then(Value::as_bool);
        if way == Way::Istio {
            // Both places in Istio's code are an OR: the pod can't switch the mesh's value off.
            return mesh || own.unwrap_or(false);
        }
        if native {
            return false;
        }
        // An exited proxy is never restarted where the pod isn't; and the failed hook of a slow
        // one kills it (RULES E4). There the start gate alone must do.
        let restarted =
            !matches!(text_at(pod, &["spec", "restartPolicy"]), Some("Never" | "OnFailure"));
        let hold = own.unwrap_or(mesh || restarted);
        reasons.push(Reason::note(match (own, hold) {
            (Some(true), _) => "the app waits for the proxy: ProxyConfig says so",
            (Some(false), _) => "the app doesn't wait for the proxy: ProxyConfig says so",
            (None, true) => "the app waits for the proxy: the sidecar is a classic one",
            (None, false) => {
                "the app doesn't wait for the proxy: with this restartPolicy a failed wait would \
                 leave the pod without a proxy for ever"
            }
        }));
        hold
    }

    /// Takes an earlier injection's containers and annotations out, as templates must not see
    /// them.
    fn strip<'a>(&self, pod: &'a Value, config: &Value, kept: &Value) -> Cow<'a, Value> {
        let earlier = Status::of(pod);
        if earlier.is_none() && kept.is_null() {
            return Cow::Borrowed(pod);
        }
        let mut out = pod.clone();
        if let Some(earlier) = earlier {
            for list in ["containers", "initContainers"] {
                let items = out.get_mut("spec").and_then(|s| s.get_mut(list));
                if let Some(items) = items.and_then(Value::as_array_mut) {
                    items.retain(|c| !earlier.has(list, name(c)));
                }
            }
            if prometheus::is_ours(&out, proxy_config::status_port(config)) {
                prometheus::clear(&mut out);
            }
            if let Some(all) =
                out.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut)
            {
                all.remove(keys::STATUS);
            }
        }
        overrides::reinsert(&mut out, kept);
        Cow::Owned(out)
    }

    /// Runs all templates of a pod: the merged pod, and what the templates alone gave.
    fn run_templates(
        &self,
        pod: &Value,
        plan: &Plan<'_>,
        reasons: &mut Vec<Reason>,
    ) -> Result<(Value, Value), InjectError> {
        let mut merged = pod.clone();
        let mut template = Value::Object(Map::new());
        for name in self.selected(pod) {
            let overlay = self.overlay(&name, plan, reasons)?;
            let fail = |why| InjectError::Overlay { name: name.clone(), why };
            merge::strategic(&mut template, names_of(&overlay)).map_err(fail)?;
            if annotation(&merged, keys::NATIVE_SIDECAR).map_or(plan.native, |v| v != "false") {
                move_proxy(&mut merged, &template);
            }
            merge::strategic(&mut merged, overlay).map_err(fail)?;
        }
        // A template may be anybody's; later steps rely on the shape.
        check_pod(&merged)?;
        Ok((merged, template))
    }

    /// The names of a pod's templates, aliases resolved.
    fn selected(&self, pod: &Value) -> Vec<String> {
        let asked: Vec<&str> = match annotation(pod, keys::TEMPLATES) {
            Some(names) => names.split(',').map(str::trim).collect(),
            None => self.settings.default_templates.iter().map(String::as_str).collect(),
        };
        let resolve = |name: &str| match self.settings.aliases.get(name) {
            Some(names) => names.clone(),
            None => vec![name.to_owned()],
        };
        asked.into_iter().flat_map(resolve).collect()
    }

    fn overlay(
        &self,
        name: &str,
        plan: &Plan<'_>,
        reasons: &mut Vec<Reason>,
    ) -> Result<Value, InjectError> {
        let built = BUILT.iter().find(|(built, _)| {
            // Templates of the mesh of the same name win where no proxy of ours takes part.
            self.settings.options.proxy == ProxyKind::Sunup
                && *built == name
                && (matches!(name, "sidecar" | "gateway") || !self.templates.has(name))
        });
        if let Some((_, build)) = built {
            let mut inputs = build::Inputs {
                settings: &self.settings,
                pod: &plan.stripped,
                owner: &plan.owner,
                proxy_config: &plan.config,
                native: plan.native,
                hold: plan.hold,
                way: plan.way,
                uid: plan.ids.0,
                gid: plan.ids.1,
                asked_again: plan.asked_again,
                reasons,
            };
            return Ok(build(&mut inputs));
        }
        if !self.templates.has(name) {
            let mut known: Vec<&str> = self.templates.names().collect();
            if self.settings.options.proxy == ProxyKind::Sunup {
                known.extend(BUILT.iter().map(|(name, _)| *name));
            }
            known.sort_unstable();
            known.dedup();
            let known = known.join(", ");
            return Err(InjectError::UnknownTemplate { name: name.to_owned(), known });
        }
        let data = self.base.context(&Inputs {
            pod: &plan.stripped,
            owner: &plan.owner,
            proxy_config: &plan.config,
            native: plan.native,
            proxy_image: image::proxy(&self.settings, &plan.config, &plan.stripped),
            init_image: image::init(&self.settings, &plan.stripped),
            uid: plan.ids.0,
            gid: plan.ids.1,
        });
        let text = self.templates.render(name, &data)?;
        yaml::rendered(&text).map_err(|why| InjectError::Overlay { name: name.to_owned(), why })
    }

    fn post_process(
        &self,
        pod: &mut Value,
        template: &Value,
        plan: &Plan<'_>,
        context: &Context<'_>,
    ) -> Result<(), InjectError> {
        // Both maps are there in every injected pod; what stands in their place was checked.
        if let Some(metadata) = map_mut(pod, "metadata") {
            for key in ["annotations", "labels"] {
                let slot = metadata.entry(key).or_insert(Value::Null);
                if slot.is_null() {
                    *slot = Value::Object(Map::new());
                }
            }
        }
        let status_port = proxy_config::status_port(&plan.config);
        prometheus::merge(pod, self.settings.prometheus_merge(), status_port)?;
        prometheus::announce_secure_port(pod);
        if self.rewrites_probes(pod) {
            probes::rewrite(pod, status_port);
        }
        for (key, value) in context.env.into_iter().flatten() {
            set_env(pod, key, value);
        }
        if let Some(network) = self.network(&plan.stripped, context) {
            set_env(pod, "ISTIO_META_NETWORK", &network);
            set_label(pod, "topology.istio.io/network", network);
        }
        let text = status::text(template, self.settings.revision());
        set_annotation(pod, keys::STATUS, text);
        for (key, value) in &self.settings.injected_annotations {
            set_annotation(pod, key, value.clone());
        }
        order::reorder(pod, plan.hold);
        Ok(())
    }

    fn rewrites_probes(&self, pod: &Value) -> bool {
        let proxy = ["containers", "initContainers"]
            .iter()
            .any(|list| find(containers(pod, list), container::PROXY).is_some());
        let own =
            annotation(pod, "sidecar.istio.io/rewriteAppHTTPProbers").and_then(go::parse_bool);
        let mesh = &["sidecarInjectorWebhook", "rewriteAppHTTPProbe"];
        proxy && own.unwrap_or_else(|| self.settings.helm_truth(mesh))
    }

    /// The pod's network: its own label, else the webhook's URL, else the mesh's value.
    fn network(&self, pod: &Value, context: &Context<'_>) -> Option<String> {
        let own = crate::value::label(pod, "topology.istio.io/network");
        let url = || context.env.and_then(|env| env.get("ISTIO_META_NETWORK")).map(String::as_str);
        let asked = own.or_else(url).map(str::to_owned);
        asked.or_else(|| Some(self.settings.helm(&["global", "network"]))).filter(|n| !n.is_empty())
    }
}

/// Takes the label off by which a pod's clients are told to speak mTLS to it: Sunup's proxy doesn't
/// speak it yet, so that every one of them would fail.
fn unclaim_mtls(pod: &mut Value, reasons: &mut Vec<Reason>) {
    const LABEL: &str = "security.istio.io/tlsMode";
    let labels = pod.pointer_mut("/metadata/labels").and_then(Value::as_object_mut);
    let claims = |labels: &&mut Map<String, Value>| labels.get(LABEL).is_some_and(|v| v == "istio");
    if let Some(labels) = labels.filter(claims) {
        labels.remove(LABEL);
        reasons.push(Reason::warning(format!(
            "the pod's own label {LABEL}: istio was taken off: it makes its clients speak mTLS, \
             which Sunup's proxy doesn't yet"
        )));
    }
}

/// Sets a variable of the proxy's environment, where there is a proxy.
fn set_env(pod: &mut Value, key: &str, value: &str) {
    let env = find_mut(pod, container::PROXY).and_then(|proxy| list_mut(proxy, "env"));
    let Some(env) = env else { return };
    let entry = serde_json::json!({"name": key, "value": value});
    match env.iter_mut().find(|e| name(e) == key) {
        Some(slot) => *slot = entry,
        None => env.push(entry),
    }
}

/// What later steps ask about a template's output: the names of what it adds.
fn names_of(overlay: &Value) -> Value {
    let mut spec = Map::new();
    for list in ["initContainers", "containers", "volumes", "imagePullSecrets"] {
        let items = list_at(overlay, &["spec", list]).iter();
        let named = items.map(|item| {
            let name = item.get("name").cloned().unwrap_or_default();
            Value::Object(Map::from_iter([("name".to_owned(), name)]))
        });
        let named: Vec<Value> = named.collect();
        if !named.is_empty() {
            spec.insert(list.to_owned(), Value::Array(named));
        }
    }
    Value::Object(Map::from_iter([("spec".to_owned(), Value::Object(spec))]))
}

/// A sidecar that became a native one is customised by a container of its name among the
/// ordinary ones: it moves with it.
fn move_proxy(pod: &mut Value, template: &Value) {
    if find(containers(template, "initContainers"), container::PROXY).is_none() {
        return;
    }
    let Some(spec) = pod.get_mut("spec") else { return };
    let list = spec.get_mut("containers").and_then(Value::as_array_mut);
    let Some(list) = list else { return };
    let Some(at) = list.iter().position(|c| name(c) == container::PROXY) else { return };
    let proxy = list.remove(at);
    if let Some(init) = crate::value::list_mut(spec, "initContainers") {
        init.push(proxy);
    }
}
