//! What part of the input was asked for: `-n`, `--pod`, `-w`, `--since`, `--until`.

use jiff::Timestamp;

use crate::record::ContainerRef;

/// Narrows what is read and judged. The default admits everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// Only this namespace. What names no namespace is admitted.
    pub namespace: Option<String>,
    /// Only this pod.
    pub pod: Option<String>,
    /// Only this workload: kind (as in manifests, any case; `deploy`, `sts`, `ds` … too) and name.
    pub workload: Option<(String, String)>,
    /// Only what happened at or after this instant. What has no time is admitted.
    pub since: Option<Timestamp>,
    /// Only what happened before this instant. What has no time is admitted.
    pub until: Option<Timestamp>,
}

impl Scope {
    /// Whether a line can belong to what was asked for. A necessary condition only: a workload's
    /// pods are known for certain when everything has been read.
    #[must_use]
    pub fn admits(&self, container: &ContainerRef<'_>, at: Option<Timestamp>) -> bool {
        self.admits_time(at)
            && self.admits_object(container.namespace.as_deref(), container.pod.as_deref())
    }

    /// Whether an instant lies in the span asked for.
    #[must_use]
    pub fn admits_time(&self, at: Option<Timestamp>) -> bool {
        let Some(at) = at else { return true };
        self.since.is_none_or(|s| at >= s) && self.until.is_none_or(|u| at < u)
    }

    /// Whether something of this namespace and pod can belong to what was asked for.
    #[must_use]
    pub fn admits_object(&self, namespace: Option<&str>, pod: Option<&str>) -> bool {
        let same = |want: &Option<String>, got: Option<&str>| match (want, got) {
            (Some(want), Some(got)) => want == got,
            _ => true,
        };
        // Controllers name their pods after themselves, so a pod of another stem is not theirs.
        let of_workload = match (&self.workload, pod) {
            (Some((_, name)), Some(pod)) => pod.starts_with(name.as_str()),
            _ => true,
        };
        same(&self.namespace, namespace) && same(&self.pod, pod) && of_workload
    }

    /// A text that every raw log entry asked for must contain, for skipping the others unparsed.
    #[must_use]
    pub fn literal(&self) -> Option<&str> {
        self.pod.as_deref().or(self.workload.as_ref().map(|(_, name)| name.as_str()))
    }
}
