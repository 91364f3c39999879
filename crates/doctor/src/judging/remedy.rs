//! What would remove a fault, as data: rules name it, nothing here carries it out.

use std::borrow::Cow;

use serde_json::Value;
use sunup_api::report::Safety;
use sunup_evidence::object::Map;

/// What would remove a fault, not yet tied to a file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Remedy {
    pub(crate) id: &'static str,
    pub(crate) title: String,
    pub(crate) safety: Safety,
    /// What changes; empty for advice.
    pub(crate) changes: Vec<Change>,
    /// What to type, for advice.
    pub(crate) advice: Option<String>,
    /// The pods' annotations as they run, where no manifest says what stands there already.
    pub(crate) live_annotations: Map,
}

impl Remedy {
    pub(crate) fn new(id: &'static str, title: impl Into<String>, changes: Vec<Change>) -> Self {
        Remedy {
            id,
            title: title.into(),
            safety: Safety::Safe,
            changes,
            advice: None,
            live_annotations: Map::new(),
        }
    }

    pub(crate) fn advice(id: &'static str, title: impl Into<String>, what: String) -> Self {
        Remedy { safety: Safety::Unsafe, advice: Some(what), ..Remedy::new(id, title, Vec::new()) }
    }

    /// With a command that does the same to a cluster's object.
    pub(crate) fn or_by(mut self, command: String) -> Self {
        self.advice = Some(command);
        self
    }

    pub(crate) fn unsafe_because(mut self, why: &str) -> Self {
        self.safety = Safety::Unsafe;
        self.title = format!("{} ({why})", self.title);
        self
    }

    pub(crate) fn with_live(mut self, annotations: Option<&Map>) -> Self {
        self.live_annotations = annotations.cloned().unwrap_or_default();
        self
    }
}

/// One change of a pod template, a Service or an IstioOperator.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Change {
    /// An annotation of the pod template.
    Annotation { key: Cow<'static, str>, value: AnnotationValue },
    /// A label of the pod template.
    Label { key: &'static str, value: &'static str },
    /// An annotation of the object itself, not of its pods.
    ObjectAnnotation { key: String, value: AnnotationValue },
    /// A label or annotation under another name, or in another map, with its comments, and where
    /// given with another value.
    Entry { from: (Shelf, String), to: (Shelf, String), value: Option<String> },
    /// A label or annotation, gone, and its map with it where nothing else is in there.
    Dropped { shelf: Shelf, key: String },
    /// The same of a Namespace, which makes no pods: its own labels and annotations only.
    OfNamespace { namespace: usize, change: Box<Change> },
    /// An entry of the pod-level `securityContext.sysctls`: one entry a name, values are strings.
    PodSysctl { name: &'static str, value: &'static str },
    /// A number of the pod-level `securityContext`: `fsGroup` …
    PodSecurity { field: &'static str, value: i64 },
    /// A readiness probe that waits until the port of one container takes connections.
    ReadinessProbe { container: String, port: u16 },
    /// An environment variable of one container, gone.
    EnvRemoved { container: String, name: String },
    /// uid and gid of one init container.
    InitRunAs { container: String, id: u32 },
    /// `targetPort` of a Service's ports: (index in `spec.ports`, new port).
    ServiceTargetPorts { service: usize, ports: Vec<(usize, u32)> },
    /// A range more in an IstioOperator's `spec.values.global.proxy.excludeIPRanges`.
    OperatorRange { operator: usize, range: String },
}

/// A map of labels or annotations: the object's own, or its pods'.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shelf {
    Labels,
    Annotations,
    PodLabels,
    PodAnnotations,
}

/// What becomes of an annotation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum AnnotationValue {
    /// This text.
    Text(String),
    /// A field of the YAML or JSON inside it.
    Field(&'static str, Value),
    /// A field of the YAML or JSON inside it, gone, with the annotation if nothing is left in it.
    FieldRemoved(&'static [&'static str]),
    /// An item more in its comma list.
    Item(String),
    /// Gone.
    Removed,
}
