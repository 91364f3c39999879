//! Which field of which object becomes the labels and annotations of the pods that it makes, and
//! which their spec. Where that is not known here, a fix is advice in words.
//!
//! # Sources
//! Kubernetes API reference (workloads); Argo Rollouts "Specification"; Knative "Configuration and
//! Revision spec"; OpenShift DeploymentConfig; OpenKruise CloneSet; Argo Workflows "Fields"
//! (`podMetadata`); kubeflow notebook-controller `generateStatefulSet` (copies the Notebook's own
//! labels and annotations to its pods); Tekton "Labels and annotations" (propagated from PipelineRun
//! to TaskRun to pod); Prometheus Operator API (`podMetadata`).

use sunup_evidence::object::{PodTemplate, Workload};

/// A field of an object.
pub(crate) type Field = &'static [&'static str];

/// Where a kind of object says what its pods are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Carries {
    /// The map that has the pods' `labels` and `annotations`.
    pub(crate) metadata: Option<Field>,
    /// The pods' spec.
    pub(crate) spec: Option<Field>,
}

const TEMPLATE: Carries = Carries {
    metadata: Some(&["spec", "template", "metadata"]),
    spec: Some(&["spec", "template", "spec"]),
};

const OWN_METADATA: Carries = Carries { metadata: Some(&["metadata"]), spec: None };

const NOTHING_KNOWN: Carries = Carries { metadata: None, spec: None };

/// What is known of a kind; nothing where it is not in the table.
pub(crate) fn of_kind(kind: &str) -> Carries {
    match kind {
        "Deployment"
        | "StatefulSet"
        | "DaemonSet"
        | "ReplicaSet"
        | "ReplicationController"
        | "Job"
        | "DeploymentConfig"
        | "Rollout"
        | "CloneSet"
        // Knative's; Kubernetes' own Service makes no pods.
        | "Service"
        | "Configuration" => TEMPLATE,
        "CronJob" => Carries {
            metadata: Some(&["spec", "jobTemplate", "spec", "template", "metadata"]),
            spec: Some(&["spec", "jobTemplate", "spec", "template", "spec"]),
        },
        "PodTemplate" => Carries {
            metadata: Some(&["template", "metadata"]),
            spec: Some(&["template", "spec"]),
        },
        "Pod" => Carries { metadata: Some(&["metadata"]), spec: Some(&["spec"]) },
        "Notebook" => Carries { spec: TEMPLATE.spec, ..OWN_METADATA },
        "PipelineRun" | "TaskRun" => OWN_METADATA,
        "Workflow" | "WorkflowTemplate" | "ClusterWorkflowTemplate" => {
            Carries { metadata: Some(&["spec", "podMetadata"]), spec: None }
        }
        "CronWorkflow" => {
            Carries { metadata: Some(&["spec", "workflowSpec", "podMetadata"]), spec: None }
        }
        "Prometheus" | "PrometheusAgent" | "Alertmanager" | "ThanosRuler" => {
            Carries { metadata: Some(&["spec", "podMetadata"]), spec: None }
        }
        _ => NOTHING_KNOWN,
    }
}

/// What is known of an object: a kind that is not in the table may show by what it holds that its
/// template has metadata.
pub(crate) fn of(workload: &Workload) -> Carries {
    let known = of_kind(&workload.kind);
    if known != NOTHING_KNOWN || workload.template_path != ["spec", "template"] {
        return known;
    }
    let PodTemplate { metadata, .. } = &workload.template;
    let shown = !metadata.labels.is_empty() || !metadata.annotations.is_empty();
    if shown { TEMPLATE } else { Carries { spec: TEMPLATE.spec, metadata: None } }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(kind: &str) -> String {
        of_kind(kind).metadata.map_or_else(|| "?".to_owned(), |path| path.join("."))
    }

    #[test]
    fn each_kind_carries_its_pods_metadata_where_its_controller_reads_it() {
        for (kind, metadata) in [
            ("Deployment", "spec.template.metadata"),
            ("CronJob", "spec.jobTemplate.spec.template.metadata"),
            ("Workflow", "spec.podMetadata"),
            ("CronWorkflow", "spec.workflowSpec.podMetadata"),
            ("Notebook", "metadata"),
            ("PipelineRun", "metadata"),
            ("Build", "?"),
            ("PyTorchJob", "?"),
            ("Kafka", "?"),
        ] {
            assert_eq!(path(kind), metadata, "{kind}");
        }
    }

    #[test]
    fn an_unknown_kind_is_known_by_what_its_template_holds() {
        let mut workload = Workload {
            kind: "Widget".to_owned(),
            template_path: vec!["spec", "template"],
            ..Workload::default()
        };
        assert_eq!(of(&workload).metadata, None);
        workload.template.metadata.labels.insert("app".to_owned(), "web".to_owned());
        assert_eq!(of(&workload).metadata, TEMPLATE.metadata);
    }
}
