//! Why a pod or the settings are refused. Knows no input but what it is told.

/// Why a pod was not injected although it should have been. Retrying doesn't help.
///
/// Exhaustive on purpose: whoever explains refusals must notice a new one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InjectError {
    /// Annotations whose values mean nothing; all of them in one message.
    #[error("{0}")]
    Annotations(String),
    /// A field of the pod has the wrong type.
    #[error("{path} is {found}, but Kubernetes takes {wanted} there")]
    WrongType {
        /// The field, as in `spec.containers[0].ports`.
        path: String,
        /// What stands there.
        found: &'static str,
        /// What Kubernetes wants.
        wanted: &'static str,
    },
    /// The pod is nested deeper than any real one.
    #[error("the pod is nested more than {limit} levels deep; no Kubernetes object is")]
    TooDeep {
        /// The bound.
        limit: usize,
    },
    /// The pod asks for a template that is not there.
    #[error("requested template {name:?} not found; have {known}")]
    UnknownTemplate {
        /// What the pod asks for.
        name: String,
        /// What there is, comma separated.
        known: String,
    },
    /// A template of the mesh could not be rendered for this pod.
    #[error("template {name:?} failed: {why}")]
    Template {
        /// Which template.
        name: String,
        /// What the engine says.
        why: String,
    },
    /// A template's output can't be merged into the pod.
    #[error("the output of template {name:?} can't be merged: {why}")]
    Overlay {
        /// Which template.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// The Prometheus annotations contradict the proxy's own ports.
    #[error("{0}")]
    Prometheus(String),
}

/// Why settings can't be used. Retrying doesn't help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The text is not YAML or JSON.
    #[error("{what} can't be read: {why}")]
    Syntax {
        /// Which settings.
        what: &'static str,
        /// Line, column and reason.
        why: String,
    },
    /// The text holds something else than it should.
    #[error("{what}: {why}")]
    Content {
        /// Which settings.
        what: &'static str,
        /// What is missing or wrong, and what to hand over instead.
        why: String,
    },
    /// A template doesn't parse.
    #[error("injection template {name:?} doesn't parse: {why}")]
    Template {
        /// Which template.
        name: String,
        /// What the engine says.
        why: String,
    },
    /// `--proxy istio` without the mesh's templates.
    #[error(
        "Istio's proxy is injected with the mesh's own templates: hand over the ConfigMap \
         istio-sidecar-injector (kubectl -n istio-system get cm istio-sidecar-injector -o yaml)"
    )]
    NoTemplates,
}
