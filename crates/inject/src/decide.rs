//! Whether a pod is injected, and the fact that decides it. Knows no templates.
//!
//! In a cluster two parties decide: the webhook configuration's selectors, which the API server
//! evaluates on the labels of namespace and pod, and then the injector itself. Where the
//! namespace's labels are known both are applied; where they are not, only the injector's part
//! is, which is what `istioctl kube-inject` does.
//!
//! # Sources
//! istio/istio 86c9f01: `injectRequired` of `pkg/kube/inject/inject.go` and
//! `manifests/charts/istio-control/istio-discovery/templates/mutatingwebhook.yaml`.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;
use sunup_api::label;

use crate::selector::Selector;

/// Namespaces that are never injected.
pub const IGNORED_NAMESPACES: [&str; 4] =
    ["kube-system", "kube-public", "kube-node-lease", "local-path-storage"];

/// What the injector's configuration says about who is injected.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The control plane's revision; `default` (or empty) also answers to `istio-injection`.
    pub revision: String,
    /// Whether pods that say nothing are injected, once the webhook is asked.
    pub enabled: bool,
    /// Whether namespaces without any label are injected (`enableNamespacesByDefault`).
    pub by_default: bool,
    /// Pods that are never injected, unless they say so themselves.
    pub never: Vec<Selector>,
    /// Pods that are always injected, unless they say so themselves.
    pub always: Vec<Selector>,
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            revision: "default".to_owned(),
            enabled: true,
            by_default: false,
            never: Vec::new(),
            always: Vec::new(),
        }
    }
}

/// What of a pod and its namespace decides.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The pod's namespace; empty where nothing says it.
    pub namespace: &'a str,
    /// Labels of that namespace; `None` where they are not known.
    pub namespace_labels: Option<&'a BTreeMap<String, String>>,
    /// The pod (or pod template).
    pub pod: &'a Value,
}

/// Yes or no, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Whether the pod is injected.
    pub inject: bool,
    /// The deciding fact.
    pub reason: DecidedBy,
}

/// The fact that decided.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecidedBy {
    /// `hostNetwork: true`: capture would hit the node.
    HostNetwork,
    /// The namespace is a system namespace.
    IgnoredNamespace(String),
    /// The pod's own label `sidecar.istio.io/inject`.
    PodLabel(String),
    /// The pod's own annotation of that name.
    PodAnnotation(String),
    /// The annotation opts in, but only the label can.
    AnnotationCannotOptIn,
    /// `neverInjectSelector` (its position).
    NeverSelector(usize),
    /// `alwaysInjectSelector` (its position).
    AlwaysSelector(usize),
    /// `istio-injection` of the namespace.
    NamespaceInjection(String),
    /// The namespace's revision, and whether it is ours.
    NamespaceRevision {
        /// The namespace's `istio.io/rev`.
        asked: String,
        /// Our revision.
        ours: String,
    },
    /// The pod's revision, and whether it is ours.
    PodRevision {
        /// The pod's `istio.io/rev`.
        asked: String,
        /// Our revision.
        ours: String,
    },
    /// `istio-injection` is there, but this is not the default revision.
    NotDefaultRevision(String),
    /// Neither namespace nor pod asks for injection.
    NoLabel,
    /// Namespaces without labels are injected by default.
    ByDefault,
    /// The API server's selectors have picked the pod, and nothing else decides.
    Selected,
    /// The mesh's policy for pods that say nothing.
    PolicyEnabled,
    /// The mesh's policy for pods that say nothing.
    PolicyDisabled,
}

impl fmt::Display for DecidedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inject = label::INJECT;
        match self {
            Self::HostNetwork => f.write_str(
                "hostNetwork: true: capture in the pod would redirect the node's own traffic",
            ),
            Self::IgnoredNamespace(ns) => write!(f, "{ns} is a system namespace, never injected"),
            Self::PodLabel(v) => write!(f, "the pod's label {inject} is {v:?}"),
            Self::PodAnnotation(v) => write!(f, "the pod's annotation {inject} is {v:?}"),
            Self::AnnotationCannotOptIn => write!(
                f,
                "the annotation {inject}: \"true\" can only opt out; write it as a label \
                 (neither namespace nor pod has a label that asks for injection)"
            ),
            Self::NeverSelector(i) => write!(f, "the pod matches neverInjectSelector[{i}]"),
            Self::AlwaysSelector(i) => write!(f, "the pod matches alwaysInjectSelector[{i}]"),
            Self::NamespaceInjection(v) => {
                write!(f, "the namespace's label {} is {v:?}", label::NAMESPACE_INJECTION)
            }
            Self::NamespaceRevision { asked, ours } if asked == ours => {
                write!(f, "the namespace's label {} is {asked:?}", label::REVISION)
            }
            Self::NamespaceRevision { asked, ours } => {
                write!(f, "the namespace asks for revision {asked:?}, this one is {ours:?}")
            }
            Self::PodRevision { asked, ours } if asked == ours => {
                write!(f, "the pod's label {} is {asked:?}", label::REVISION)
            }
            Self::PodRevision { asked, ours } => {
                write!(f, "the pod asks for revision {asked:?}, this one is {ours:?}")
            }
            Self::NotDefaultRevision(ours) => write!(
                f,
                "the label asks for the default revision, this one is {ours:?} \
                 (use {}: {ours})",
                label::REVISION
            ),
            Self::NoLabel => {
                f.write_str("neither the namespace nor the pod has a label that asks for injection")
            }
            Self::ByDefault => {
                f.write_str("nothing is labelled, and enableNamespacesByDefault is set")
            }
            Self::Selected => f.write_str("the webhook's selectors picked it"),
            Self::PolicyEnabled => f.write_str("nothing says no, and the mesh's policy is enabled"),
            Self::PolicyDisabled => {
                f.write_str("nothing asks for it, and the mesh's policy is disabled")
            }
        }
    }
}

impl Policy {
    /// Whether this pod is injected.
    #[must_use]
    pub fn decide(&self, on: &Subject<'_>) -> Decision {
        let no = |reason| Decision { inject: false, reason };
        if on.pod.pointer("/spec/hostNetwork").and_then(Value::as_bool) == Some(true) {
            return no(DecidedBy::HostNetwork);
        }
        if IGNORED_NAMESPACES.contains(&on.namespace) {
            return no(DecidedBy::IgnoredNamespace(on.namespace.to_owned()));
        }
        let called = match on.namespace_labels.map(|labels| self.selected(labels, on.pod)) {
            Some(Err(reason)) => return no(reason),
            Some(Ok(reason)) => Some(reason),
            None => None,
        };
        self.required(on.pod, called)
    }

    /// Whether a pod is injected that the API server has sent to the webhook.
    ///
    /// The selectors have had their say, with labels of the namespace that are at least as new as
    /// any we could know, so they are not asked again.
    #[must_use]
    pub fn decide_selected(&self, namespace: &str, pod: &Value) -> Decision {
        let no = |reason| Decision { inject: false, reason };
        if pod.pointer("/spec/hostNetwork").and_then(Value::as_bool) == Some(true) {
            return no(DecidedBy::HostNetwork);
        }
        if IGNORED_NAMESPACES.contains(&namespace) {
            return no(DecidedBy::IgnoredNamespace(namespace.to_owned()));
        }
        self.required(pod, Some(DecidedBy::Selected))
    }

    fn is_default(&self) -> bool {
        matches!(self.revision.as_str(), "" | "default")
    }

    fn ours(&self) -> &str {
        if self.is_default() { "default" } else { &self.revision }
    }

    /// The selectors of the webhook configuration: would the API server call this revision?
    fn selected(
        &self,
        namespace: &BTreeMap<String, String>,
        pod: &Value,
    ) -> Result<DecidedBy, DecidedBy> {
        let injection = namespace.get(label::NAMESPACE_INJECTION);
        let pod_label = crate::value::label(pod, label::INJECT);
        if pod_label == Some("false") {
            return Err(DecidedBy::PodLabel("false".to_owned()));
        }
        // With both labels on a namespace, the older one has precedence.
        if let Some(value) = injection {
            return match value.as_str() {
                "enabled" if self.is_default() => Ok(DecidedBy::NamespaceInjection(value.clone())),
                "enabled" => Err(DecidedBy::NotDefaultRevision(self.ours().to_owned())),
                _ => Err(DecidedBy::NamespaceInjection(value.clone())),
            };
        }
        if let Some(asked) = namespace.get(label::REVISION) {
            let (asked, ours) = (asked.clone(), self.ours().to_owned());
            let same = asked == ours;
            let reason = DecidedBy::NamespaceRevision { asked, ours };
            return if same { Ok(reason) } else { Err(reason) };
        }
        if let Some(asked) = crate::value::label(pod, label::REVISION) {
            let (asked, ours) = (asked.to_owned(), self.ours().to_owned());
            let same = asked == ours;
            let reason = DecidedBy::PodRevision { asked, ours };
            return if same { Ok(reason) } else { Err(reason) };
        }
        match pod_label {
            Some("true") if self.is_default() => Ok(DecidedBy::PodLabel("true".to_owned())),
            Some("true") => Err(DecidedBy::NotDefaultRevision(self.ours().to_owned())),
            None if self.is_default() && self.by_default => Ok(DecidedBy::ByDefault),
            _ => match crate::value::annotation(pod, label::INJECT) {
                Some("true") => Err(DecidedBy::AnnotationCannotOptIn),
                _ => Err(DecidedBy::NoLabel),
            },
        }
    }

    /// The injector's own part, once it is asked.
    fn required(&self, pod: &Value, called: Option<DecidedBy>) -> Decision {
        let decided = |inject, reason| Decision { inject, reason };
        let by_label = crate::value::label(pod, label::INJECT);
        let by_annotation = crate::value::annotation(pod, label::INJECT);
        // The label is the newer word: where both are there, it decides.
        if let Some(v @ ("true" | "false")) = by_label.or(by_annotation) {
            let reason = match by_label {
                Some(_) => DecidedBy::PodLabel(v.to_owned()),
                None => DecidedBy::PodAnnotation(v.to_owned()),
            };
            // A yes is no news where the namespace's label has already brought us here.
            let reason = if v == "true" { called.unwrap_or(reason) } else { reason };
            return decided(v == "true", reason);
        }
        let matching = |list: &[Selector]| list.iter().position(|s| s.matches(pod));
        if let Some(i) = matching(&self.never) {
            return decided(false, DecidedBy::NeverSelector(i));
        }
        if let Some(i) = matching(&self.always) {
            return decided(true, DecidedBy::AlwaysSelector(i));
        }
        match (called, self.enabled) {
            (Some(reason), true) => decided(true, reason),
            (None, true) => decided(true, DecidedBy::PolicyEnabled),
            (Some(_), false) => decided(false, DecidedBy::PolicyDisabled),
            // By hand, without a cluster's word: whoever runs the command wants it injected.
            (None, false) => decided(true, DecidedBy::PolicyEnabled),
        }
    }
}
