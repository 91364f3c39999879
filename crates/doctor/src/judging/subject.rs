//! Subjects: whose fault it is, compared and written for a command. Knows no rule and no evidence
//! but names.

use sunup_api::report::Subject;
use sunup_api::shell;
use sunup_evidence::object::Workload;
use sunup_evidence::snapshot::Snapshot;

/// The subject with its container named.
pub(crate) fn at(subject: &Subject, container: &str) -> Subject {
    let container = (!container.is_empty()).then(|| container.to_owned());
    Subject { container, ..subject.clone() }
}

/// `-n NAMESPACE ` where a namespace is known.
pub(crate) fn namespace_flag(subject: &Subject) -> String {
    subject.namespace.as_ref().map(|n| format!("-n {} ", shell::name(n))).unwrap_or_default()
}

/// Whether two subjects are one workload; a namespace that is not known differs from none.
pub(crate) fn same_workload(a: &Subject, b: &Subject) -> bool {
    let near = match (&a.namespace, &b.namespace) {
        (Some(a), Some(b)) => a == b,
        _ => true,
    };
    near && a.kind == b.kind && a.name == b.name
}

/// Whether a manifest is the one of a subject.
pub(crate) fn describes(workload: &Workload, subject: &Subject) -> bool {
    let ns = workload.metadata.namespace.as_deref();
    workload.kind == subject.kind
        && workload.metadata.name == subject.name
        && (ns.is_none() || subject.namespace.is_none() || ns == subject.namespace.as_deref())
}

/// Whether it is what `-w KIND/NAME` asks for, now that owners are known.
pub(crate) fn in_scope(subject: &Subject, snapshot: &Snapshot) -> bool {
    let Some((kind, name)) = &snapshot.scope.workload else { return true };
    subject.name == *name && subject.kind.eq_ignore_ascii_case(kind)
        // The owner may not be certain though the name fits.
        || subject.kind == "Pod" && subject.name.starts_with(name.as_str())
}
