//! Names that Kubernetes' controllers give: what a pod's name says of who made it.

/// Letters of the suffixes that Kubernetes makes names unique with: no vowels, no 0, 1, 3, so that
/// no words arise.
///
/// # Sources
/// `k8s.io/apimachinery/pkg/util/rand`: `alphanums = "bcdfghjklmnpqrstvwxz2456789"`.
const SAFE: &str = "bcdfghjklmnpqrstvwxz2456789";

/// What the name alone says for certain: of pods of Deployments and CronJobs.
pub(crate) fn by_name<'p>(
    pod: &'p str,
    template_hash: Option<&str>,
) -> Option<(&'static str, &'p str)> {
    match (template_hash, deployment_of(pod)) {
        (Some(hash), Some((name, of_name))) if hash == of_name => Some(("Deployment", name)),
        (Some(_), _) => None,
        (None, _) if cron_job_of(pod).is_some() => Some(("CronJob", cron_job_of(pod)?)),
        (None, Some((name, _))) => Some(("Deployment", name)),
        (None, None) => None,
    }
}

/// Whether a workload of this kind and name gives its pods names like this one.
pub(crate) fn names_so(kind: &str, name: &str, pod: &str) -> bool {
    if kind == "Pod" {
        return pod == name;
    }
    let Some(rest) = pod.strip_prefix(name).and_then(|r| r.strip_prefix('-')) else { return false };
    let parts: Vec<&str> = rest.split('-').collect();
    let is_number = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    match (kind, parts.as_slice()) {
        ("Deployment" | "Rollout", [hash, tail]) => is_hash(hash) && is_tail(tail),
        ("StatefulSet", [ordinal]) => is_number(ordinal),
        ("CronJob", [minute, tail]) => is_number(minute) && is_tail(tail),
        ("CronJob", [minute, index, tail]) => {
            is_number(minute) && is_number(index) && is_tail(tail)
        }
        ("Job", [tail]) => is_tail(tail),
        ("Job", [index, tail]) => is_number(index) && is_tail(tail),
        ("DaemonSet" | "ReplicaSet" | "ReplicationController", [tail]) => is_tail(tail),
        ("DeploymentConfig", [version, tail]) => is_number(version) && is_tail(tail),
        // `conditional-pipeline-ncxrj-3135351842`, with the step's name before the number or not.
        ("Workflow", [.., hash]) => hash.len() >= 6 && is_number(hash),
        ("TaskRun", ["pod"]) | ("PipelineRun", [_, .., "pod"]) => true,
        _ => false,
    }
}

/// `name-<scheduled time>-<tail>`, as CronJobs make Jobs and these make pods: the time is in
/// minutes since the epoch, before Kubernetes 1.21 in seconds. A hash of digits alone (before
/// 1.12) may look alike; whole minutes of these decades hardly ever do.
fn cron_job_of(pod: &str) -> Option<&str> {
    let (rest, tail) = pod.rsplit_once('-')?;
    let (name, digits) = rest.rsplit_once('-')?;
    if name.is_empty() || !is_tail(tail) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let time: u64 = digits.parse().ok()?;
    let minutes = digits.len() == 8 && (26_000_000..37_000_000).contains(&time);
    let seconds = (1_450_000_000..1_700_000_000).contains(&time) && time.is_multiple_of(60);
    (minutes || seconds).then_some(name)
}

/// `name-<hash>-<tail>`, as only Deployments (and what imitates them) name pods.
fn deployment_of(pod: &str) -> Option<(&str, &str)> {
    let (rest, tail) = pod.rsplit_once('-')?;
    let (name, hash) = rest.rsplit_once('-')?;
    (is_tail(tail) && is_hash(hash) && !name.is_empty()).then_some((name, hash))
}

/// A pod template hash: FNV of the template, encoded in the safe letters; older versions printed
/// decimal digits.
pub(crate) fn is_hash(s: &str) -> bool {
    (6..=10).contains(&s.len())
        && (s.chars().all(|c| SAFE.contains(c)) || s.bytes().all(|b| b.is_ascii_digit()))
        // A short word may consist of those letters; eight of them without a vowel are no word.
        && (s.len() >= 8 || s.bytes().any(|b| b.is_ascii_digit()))
}

fn is_tail(s: &str) -> bool {
    s.len() == 5 && s.chars().all(|c| SAFE.contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deployments_pod_is_told_by_its_suffixes() {
        assert_eq!(
            deployment_of("post-feature-service-v1-67d56cdd-g7fvb"),
            Some(("post-feature-service-v1", "67d56cdd"))
        );
        assert_eq!(deployment_of("web-0"), None);
        assert_eq!(deployment_of("node-agent-x7k2p"), None);
        assert_eq!(deployment_of("api-server-hello"), None);
    }

    #[test]
    fn names_that_tell_the_owner_and_names_that_do_not() {
        for (pod, want) in [
            ("web-5b6f7c9d4-9xk2l", Some(("Deployment", "web"))),
            ("nightly-28811520-hq7wz", Some(("CronJob", "nightly"))),
            ("hello-1609459200-x7k2p", Some(("CronJob", "hello"))),
            // Not a whole minute: a hash of Kubernetes before 1.12.
            ("hello-1609459207-x7k2p", Some(("Deployment", "hello"))),
            ("web-0", None),
            ("shop-realm-lvbqt", None),
            ("conditional-pipeline-ncxrj-3135351842", None),
            ("catalog-2-x7k2q", None),
        ] {
            assert_eq!(by_name(pod, None), want, "{pod}");
        }
        assert_eq!(by_name("web-5b6f7c9d4-9xk2l", Some("67d56cdd")), None);
    }

    #[test]
    fn how_each_kind_names_its_pods() {
        for (kind, name, pod) in [
            ("Job", "shop-realm", "shop-realm-lvbqt"),
            ("Job", "train", "train-0-x7k2p"),
            ("CronJob", "nightly", "nightly-28811520-hq7wz"),
            ("StatefulSet", "web", "web-12"),
            ("DaemonSet", "agent", "agent-x7k2p"),
            ("DeploymentConfig", "catalog", "catalog-2-x7k2q"),
            ("Workflow", "conditional-pipeline-ncxrj", "conditional-pipeline-ncxrj-3135351842"),
            ("Workflow", "build-k2x4z", "build-k2x4z-compile-3135351842"),
            ("PipelineRun", "release-run", "release-run-build-image-pod"),
            ("TaskRun", "release-run-build", "release-run-build-pod"),
        ] {
            assert!(names_so(kind, name, pod), "{kind} {name} {pod}");
            assert!(!names_so(kind, name, &pod.replace('-', "")), "{kind} {name}");
            assert!(!names_so(kind, &format!("{name}-x"), pod), "{kind} {name}-x");
        }
        for (kind, name, pod) in [
            ("Job", "shop", "shop-realm-lvbqt"),
            ("StatefulSet", "web", "web-x7k2p"),
            ("Deployment", "web", "web-0"),
            ("PipelineRun", "release", "release-pod"),
        ] {
            assert!(!names_so(kind, name, pod), "{kind} {name} {pod}");
        }
    }
}
