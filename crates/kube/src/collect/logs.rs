//! Logs of containers: which there are, under which names they are kept, and reading them.

use bytes::Bytes;
use futures::StreamExt as _;
use serde::Deserialize;
use serde_json::value::RawValue;
use sunup_api::{label, shell};
use sunup_evidence::gap::Gap;

use super::family::{Family, Meta};
use super::question::{Log, Of, Question};
use super::run::Run;
use super::target::Target;
use crate::need::{LOGS, PODS};
use crate::request::{Ask, Bounds, Trouble, ask};

/// Bytes that a log may be longer than was asked for: the kubelet cuts between lines.
const LOG_SLACK: usize = 1 << 20;

/// Logs to read.
#[derive(Debug, Default)]
pub(super) struct Logs {
    pub(super) pods: usize,
    wanted: Vec<Log>,
    /// Names that no cluster has: of containers whose logs are not asked for.
    strange: Vec<String>,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) read: usize,
    pub(super) cut: usize,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Pod {
    metadata: Meta,
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    init_container_statuses: Vec<ContainerStatus>,
    container_statuses: Vec<ContainerStatus>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ContainerStatus {
    name: String,
    restart_count: u32,
    state: State,
    last_state: State,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct State {
    running: Option<serde::de::IgnoredAny>,
    terminated: Option<serde::de::IgnoredAny>,
}

impl Logs {
    /// Notes a pod's logs and family; whether the pod is wanted.
    pub(super) fn note(
        &mut self,
        item: &RawValue,
        question: &Question,
        target: &Target,
        family: &mut Family,
    ) -> bool {
        let Ok(Pod { metadata, status }) = serde_json::from_str(item.get()) else {
            return true;
        };
        let wanted = question.pods.as_ref().is_none_or(|uids| uids.contains(&metadata.uid))
            && target.stem.as_ref().is_none_or(|stem| metadata.name.starts_with(stem.as_str()));
        if !wanted {
            return false;
        }
        self.pods += 1;
        let all = status.init_container_statuses.into_iter().chain(status.container_statuses);
        for container in all {
            // They become parts of a request's path and of a file's.
            if let Some(strange) = [&metadata.namespace, &metadata.name, &container.name]
                .into_iter()
                .find(|name| !is_name(name))
            {
                self.strange.push(strange.clone());
                continue;
            }
            let log = |previous| Log {
                namespace: metadata.namespace.clone(),
                pod: metadata.name.clone(),
                container: container.name.clone(),
                previous,
            };
            let began = |state: &State| state.running.is_some() || state.terminated.is_some();
            // One that waits to be started again still has the log of its last run.
            if began(&container.state) || container.restart_count > 0 {
                self.wanted.push(log(false));
            }
            if container.restart_count > 0 || container.last_state.terminated.is_some() {
                self.wanted.push(log(true));
            }
        }
        family.revisions.extend(metadata.labels.get(label::REVISION).cloned());
        family.uids.insert(metadata.uid);
        family.uids.extend(metadata.owner_references.into_iter().map(|owner| owner.uid));
        true
    }

    pub(super) async fn read(&self, run: &Run<'_>) -> Read {
        if let [first, ..] = self.strange.as_slice() {
            let why = format!("`{first}` is no name that Kubernetes takes: it is not asked for");
            let namespace = run.question.namespace.clone();
            let what = "container logs".to_owned();
            run.gaps.borrow_mut().push(Gap { namespace, what, why, get_it_with: None });
        }
        let each = self.wanted.iter().map(async |log| Some((log, log.read(run).await?)));
        // Passed on in their order: the log of a container that waits to be started again comes
        // twice, and which of the two is named must not depend on which came first.
        let mut all = futures::stream::iter(each).buffered(run.question.at_once.max(1));
        let mut so_far = Read::default();
        while let Some(log) = all.next().await {
            if let Some((log, bytes)) = log {
                so_far.read += 1;
                so_far.cut += usize::from(bytes.len() >= run.question.log_bytes);
                run.pass(log.name(), bytes.into(), Of::Log(Box::new(log.clone()))).await;
            }
        }
        so_far
    }
}

impl Log {
    /// The log, where it could be read.
    async fn read(&self, run: &Run<'_>) -> Option<Bytes> {
        let Log { namespace, pod, container, previous } = self;
        let limit = run.question.log_bytes;
        let pods = PODS.path(Some(namespace));
        let path = format!(
            "{pods}/{pod}/log?container={container}&timestamps=true&limitBytes={limit}&previous={previous}"
        );
        let bounds = Bounds::new(run.question.within, limit + LOG_SLACK);
        match ask(run.cluster, &Ask::get(path), bounds).await {
            Ok(bytes) => Some(bytes),
            Err(trouble) => {
                self.missing(run, &trouble);
                None
            }
        }
    }

    fn missing(&self, run: &Run<'_>, trouble: &Trouble) {
        // 400 is said of a container that has not begun, and of one whose last run's log has been
        // removed; 404 of a pod that has gone meanwhile. There is no log, so none is missing.
        if matches!(trouble.code(), Some(400 | 404)) {
            return;
        }
        let Log { namespace, .. } = self;
        let mut gaps = run.gaps.borrow_mut();
        let refused = trouble.code() == Some(403);
        let (what, pod) = match refused {
            // The same for all of them.
            true => ("container logs".to_owned(), "POD"),
            false => (format!("the log of {}/{}", self.pod, self.container), self.pod.as_str()),
        };
        let kubectl = run.cluster.named.kubectl();
        gaps.push(Gap {
            namespace: Some(namespace.clone()),
            what,
            why: if refused { refusal(trouble, namespace) } else { trouble.to_string() },
            get_it_with: Some(format!(
                "{kubectl} -n {} logs {} --all-containers --prefix --timestamps",
                shell::name(namespace),
                shell::name(pod)
            )),
        });
    }

    /// `logs/shop_web-0_app.log`; where a name could be misread so, or is longer than a file's name can
    /// be, the longer way to say it.
    fn name(&self) -> String {
        let Log { namespace, pod, container, previous } = self;
        let random = |name: &str| name.rsplit_once('-').is_some_and(|(_, last)| last.len() == 5);
        let ends = |name: &str| name.ends_with("-previous");
        let previous_or_not = if *previous { "_previous" } else { "" };
        let short = format!("{namespace}_{pod}_{container}{previous_or_not}.log");
        if random(namespace) || ends(container) || short.len() > NAME_MAX {
            let which = if *previous { "previous" } else { "current" };
            return format!(
                "namespaces/{namespace}/pods/{pod}/{container}/{container}/logs/{which}.log"
            );
        }
        format!("logs/{short}")
    }
}

/// Bytes of a file's name, on the file systems there are.
const NAME_MAX: usize = 255;

/// Whether a namespace, a pod or a container can have this name (DNS labels and subdomains, RFC 1123).
/// None has capitals: two files whose names differ by them alone are one on some file systems.
fn is_name(name: &str) -> bool {
    let sign = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let part = |c: char| sign(c) || matches!(c, '-' | '.');
    name.starts_with(sign) && name.len() <= 253 && name.chars().all(part)
}

/// A refusal without the pod's name, so that it is told once.
fn refusal(trouble: &Trouble, namespace: &str) -> String {
    let resource = LOGS.resource;
    match trouble.code() {
        Some(code) => format!("not allowed to get {resource} in namespace {namespace} ({code})"),
        None => trouble.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::Log;

    #[test]
    fn no_name_is_longer_than_a_files_can_be() {
        for (pod, short) in [("web-0".to_owned(), true), ("a".repeat(253), false)] {
            for previous in [true, false] {
                let (namespace, container) = ("n".repeat(63), "app".to_owned());
                let name = Log { namespace, pod: pod.clone(), container, previous }.name();
                assert_eq!(name.starts_with("logs/"), short, "{name}");
                assert!(name.split('/').all(|part| part.len() <= 255), "{name}");
            }
        }
    }
}
