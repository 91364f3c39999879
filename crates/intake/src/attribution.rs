//! Whose log a plain text is, from its path: the layouts of kubectl users, of the kubelet's log
//! directories, of must-gather and of `istioctl bug-report`.

use std::collections::HashSet;

use sunup_evidence::line::ContainerKey;
use sunup_evidence::object::{Object, PodSpec};

/// Names that other input speaks of: a folder or file of such a name is theirs.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pods: HashSet<String>,
    containers: HashSet<String>,
}

impl Names {
    pub(crate) fn object(&mut self, object: &Object) {
        match object {
            Object::Pod(pod) => {
                self.pods.insert(pod.metadata.name.clone());
                self.spec(&pod.spec);
            }
            Object::Workload(workload) => self.spec(&workload.template.spec),
            _ => {}
        }
    }

    fn spec(&mut self, spec: &PodSpec) {
        let all = spec.containers.iter().chain(&spec.init_containers);
        self.containers.extend(all.map(|c| c.name.clone()));
    }

    pub(crate) fn pod(&mut self, name: &str) {
        if !self.pods.contains(name) {
            self.pods.insert(name.to_owned());
        }
    }
}

/// What Kubernetes makes random parts of names from.
/// <https://github.com/kubernetes/apimachinery/blob/master/pkg/util/rand/rand.go>
const RANDOM: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// Containers that are known by name: a file named after one is its log.
const KNOWN: &[&str] = &[
    "istio-proxy",
    "istio-init",
    "istio-validation",
    "vault-agent",
    "vault-agent-init",
    "cloud-sql-proxy",
    "discovery",
    "install-cni",
    "ztunnel",
];

/// Directories that are no pods.
const FOLDERS: &[&str] = &[
    "logs",
    "log",
    "pods",
    "containers",
    "current",
    "previous",
    "tmp",
    "var",
    "data",
    "out",
    "output",
    "files",
    "dump",
    "cluster",
    "bug-report",
    "namespaces",
    "core",
    "istio",
    "proxies",
    "operator",
    "analyze",
    "cni",
    "default",
    "kube-system",
    "istio-system",
    "home",
    "root",
    "before",
    "after",
    "incident",
    "case",
    "input",
    "inputs",
    "examples",
    "test",
    "tests",
    "testdata",
];

/// What people name files after that is no pod, alone or with a number behind it.
const NO_PODS: &[&str] = &[
    "all",
    "app",
    "attachment",
    "bug",
    "build",
    "case",
    "comment",
    "console",
    "container",
    "debug",
    "error",
    "errors",
    "evidence",
    "export",
    "gh",
    "given",
    "in",
    "incident",
    "istio-init",
    "istio-proxy",
    "issue",
    "kubectl",
    "message",
    "messages",
    "new",
    "node",
    "old",
    "paste",
    "pod",
    "post",
    "pr",
    "proxy",
    "query",
    "repro",
    "report",
    "result",
    "results",
    "run",
    "sample",
    "server",
    "session",
    "shell",
    "sidecar",
    "step",
    "stderr",
    "stdout",
    "support",
    "system",
    "ticket",
    "upload",
];

/// Endings of names whose texts are no logs: a part in front of them names no pod.
const NO_LOGS: &[&str] = &[
    "adoc",
    "bash",
    "bat",
    "bazel",
    "c",
    "cc",
    "cfg",
    "conf",
    "cpp",
    "cs",
    "css",
    "cue",
    "dart",
    "diff",
    "doc",
    "docx",
    "env",
    "ex",
    "fish",
    "go",
    "gotmpl",
    "gradle",
    "graphql",
    "groovy",
    "h",
    "har",
    "hcl",
    "hpp",
    "htm",
    "html",
    "ini",
    "ipynb",
    "java",
    "jinja",
    "js",
    "jsonnet",
    "jsx",
    "kt",
    "libsonnet",
    "lock",
    "lua",
    "mk",
    "mod",
    "patch",
    "pdf",
    "php",
    "pl",
    "png",
    "properties",
    "proto",
    "ps1",
    "py",
    "r",
    "rb",
    "rego",
    "rs",
    "rst",
    "scala",
    "scss",
    "sh",
    "sql",
    "sum",
    "svg",
    "swift",
    "tf",
    "tfvars",
    "tmpl",
    "toml",
    "tpl",
    "ts",
    "tsx",
    "vue",
    "xlsx",
    "xml",
    "yaml",
    "yml",
    "zsh",
];

/// What the path of a log says about its container; `below` is how many of the path's last
/// parts lie below the directory or archive that was handed over (the file's name included).
pub(crate) fn of_path(path: &str, below: usize, names: &Names) -> ContainerKey {
    let parts: Vec<&str> = path.split(['/', '\\']).filter(|p| !p.is_empty() && *p != ".").collect();
    let Some((name, folders)) = parts.split_last() else { return ContainerKey::default() };
    if is_no_log(name) {
        return ContainerKey::default();
    }
    let stem = stem(name);
    kubelet(stem, folders)
        .or_else(|| must_gather(stem, folders))
        .or_else(|| bug_report(stem, folders))
        .or_else(|| flat(stem, names))
        .or_else(|| in_folder(stem, folders, below.saturating_sub(1), names))
        .or_else(|| by_name(stem, names))
        .or_else(|| within(stem, names))
        .unwrap_or_default()
}

/// The name without what says how it is written.
fn stem(name: &str) -> &str {
    let mut stem = name;
    const ENDINGS: [&str; 16] = [
        ".gz", ".zst", ".xz", ".bz2", ".log", ".txt", ".jsonl", ".ndjson", ".json", ".csv", ".tsv",
        ".md", ".out", ".logs", ".stdout", ".stderr",
    ];
    for ending in ENDINGS {
        stem = stem.strip_suffix(ending).unwrap_or(stem);
    }
    stem
}

/// A key of these parts.
pub(crate) fn key(
    namespace: Option<&str>,
    pod: Option<&str>,
    container: Option<&str>,
) -> ContainerKey {
    let own = |t: Option<&str>| t.map(str::to_owned);
    ContainerKey {
        namespace: own(namespace),
        pod: own(pod),
        container: own(container),
        ..ContainerKey::default()
    }
}

/// `/var/log/pods/<ns>_<pod>_<uid>/<container>/<restart>.log` and
/// `/var/log/containers/<pod>_<ns>_<container>-<64 hex>.log`.
fn kubelet(stem: &str, folders: &[&str]) -> Option<ContainerKey> {
    if let [.., pod, container] = folders {
        let parts: Vec<&str> = pod.split('_').collect();
        let restart = stem.split('.').next().unwrap_or(stem);
        if let ([namespace, pod, uid], true) =
            (parts.as_slice(), restart.bytes().all(|b| b.is_ascii_digit()))
            && uid.len() >= 32
        {
            return Some(key(Some(namespace), Some(pod), Some(container)));
        }
    }
    let (front, id) = stem.rsplit_once('-')?;
    if id.len() != 64 || !id.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let parts: Vec<&str> = front.split('_').collect();
    let [pod, namespace, container] = parts.as_slice() else { return None };
    Some(key(Some(namespace), Some(pod), Some(container)))
}

/// Whose log a file or a log service's stream is, by its name alone, wherever a collector says it:
/// `/var/log/pods/…`, `/var/log/containers/…`, and streams that are named after one of these.
///
/// # Sources
/// Amazon's Container Insights names streams
/// `<node>-application.var.log.containers.<pod>_<ns>_<container>-<id>.log`, and without what stands
/// before the pod where Fluentd writes them.
pub(crate) fn of_log_file(name: &str) -> Option<ContainerKey> {
    let name = match name.split_once("var.log.containers.") {
        Some((_, behind)) => behind,
        None => name,
    };
    let parts: Vec<&str> = name.split('/').filter(|p| !p.is_empty()).collect();
    let (last, folders) = parts.split_last()?;
    kubelet(stem(last), folders)
}

/// Whether a file or a stream is a machine's own: its logs, other than those of containers, its event
/// log, or a stream by the name of one of Amazon's instances, as their agent names it.
pub(crate) fn is_machines(name: &str) -> bool {
    let own = name.starts_with("/var/log/") || name.starts_with("WinEventLog");
    let of_containers = ["/containers/", "/pods/"].iter().any(|folder| name.contains(folder));
    let instance = name.strip_prefix("i-").is_some_and(|rest| {
        let id = rest.bytes().take_while(u8::is_ascii_hexdigit).count();
        matches!(id, 8 | 17) && !rest[id..].starts_with(|c: char| c.is_ascii_alphanumeric())
    });
    own && !of_containers || instance
}

/// `k8s_<container>_<pod>_<ns>_<uid>_<attempt>`, as the kubelet names Docker's containers.
pub(crate) fn of_docker_name(name: &str) -> Option<ContainerKey> {
    let mut parts = name.trim_start_matches('/').strip_prefix("k8s_")?.split('_');
    let (container, pod, namespace) = (parts.next()?, parts.next()?, parts.next()?);
    let fits = [container, pod, namespace].into_iter().all(is_name) && container != "POD";
    fits.then(|| key(Some(namespace), Some(pod), Some(container)))
}

/// `namespaces/<ns>/pods/<pod>/<container>/<container>/logs/{current,previous}.log`.
fn must_gather(stem: &str, folders: &[&str]) -> Option<ContainerKey> {
    let previous = stem.starts_with("previous");
    if !previous && !stem.starts_with("current") {
        return None;
    }
    let at = folders.iter().rposition(|f| *f == "pods")?;
    let (pod, container) = (folders.get(at + 1)?, folders.get(at + 2)?);
    let namespace = at.checked_sub(1).and_then(|n| folders.get(n)).copied();
    Some(ContainerKey { previous, ..key(namespace, Some(pod), Some(container)) })
}

/// `proxies/<ns>/<pod>/istio-proxy.log`, `istio/<ns>/<pod>/discovery.log`,
/// `operator/<ns>/<pod>/operator.log`, `cni/<pod>/…`.
/// <https://github.com/istio/istio/blob/master/tools/bug-report/pkg/archive/archive.go>
fn bug_report(stem: &str, folders: &[&str]) -> Option<ContainerKey> {
    let [.., part, namespace, pod] = folders else { return None };
    let known = matches!(*part, "proxies" | "istio" | "operator" | "ambient" | "ztunnel");
    known.then(|| key(Some(namespace), Some(pod), Some(stem)))
}

/// Whether a file's name ends as sources and settings do.
pub(crate) fn is_no_log(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, ending)| {
        NO_LOGS.binary_search(&ending.to_ascii_lowercase().as_str()).is_ok()
    })
}

/// `<pod>.<container>[.previous]`, `<pod>_<container>[_previous]`, `<ns>_<pod>_<container>`.
fn flat(stem: &str, names: &Names) -> Option<ContainerKey> {
    let (stem, previous) = without_previous(stem);
    let parts: Vec<&str> = stem.split('_').collect();
    let (namespace, pod, container) = match parts.as_slice() {
        [pod, container] => (None, *pod, *container),
        [a, b, container] => {
            let swapped = is_random_name(a) && !is_random_name(b);
            let (namespace, pod) = if swapped { (b, a) } else { (a, b) };
            (Some(*namespace).filter(|ns| is_name(ns)), *pod, *container)
        }
        [_] => {
            let (pod, container) = stem.rsplit_once('.')?;
            (None, pod, container)
        }
        _ => return None,
    };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if !is_name(container) || digits(container) {
        return None;
    }
    let known = KNOWN.contains(&container) || names.containers.contains(container);
    if is_name(pod) && !is_date(pod) && is_pod_name(pod, container, known, names) {
        return Some(ContainerKey { previous, ..key(namespace, Some(pod), Some(container)) });
    }
    // What stands in front is somebody's word for the file.
    known.then(|| ContainerKey { previous, ..key(None, None, Some(container)) })
}

/// Whether what stands in front of a container in a file's name is a pod: another input names it,
/// or it has the shape that Kubernetes gives, or the container belongs to such a pod.
fn is_pod_name(pod: &str, container: &str, known: bool, names: &Names) -> bool {
    if names.pods.contains(pod) || is_random_name(pod) {
        return true;
    }
    let behind = pod.strip_prefix(container);
    let after_container = behind.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
    !is_no_pod(pod) && (known || after_container || is_ordinal_name(pod))
}

/// A word that people name files and folders after, alone or with a number.
fn is_no_pod(name: &str) -> bool {
    let word = name.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches(['-', '.']);
    word.len() < 2 || NO_PODS.contains(&word) || FOLDERS.contains(&word)
}

fn without_previous(stem: &str) -> (&str, bool) {
    for ending in [".previous", "_previous", "-previous", ".prev", "_prev"] {
        if let Some(rest) = stem.strip_suffix(ending) {
            return (rest, true);
        }
    }
    (stem, false)
}

/// `<pod>/<container>`, `<ns>/<pod>/<container>`: where the folder is a pod's name for certain,
/// or lies below what was handed over and is no usual name of a folder.
fn in_folder(stem: &str, folders: &[&str], below: usize, names: &Names) -> Option<ContainerKey> {
    let (stem, mut previous) = without_previous(stem);
    // `<pod>/<container>/{current,previous}.log`
    let (container, folders, below) = match (stem, folders) {
        ("current" | "previous" | "logs", [rest @ .., container]) => {
            previous |= stem == "previous";
            (*container, rest, below.saturating_sub(1))
        }
        _ => (stem, folders, below),
    };
    let (pod, outer) = folders.split_last()?;
    if !is_name(container) || !is_name(pod) {
        return None;
    }
    let likely = below >= 1 && !is_no_pod(pod) && KNOWN.contains(&container);
    let ordinal = below >= 1 && is_ordinal_name(pod) && !is_no_pod(pod);
    if !is_random_name(pod) && !likely && !ordinal && !names.pods.contains(*pod) {
        return None;
    }
    // Another input that names the pod says its namespace too, better than a folder's name does.
    let elsewhere = names.pods.contains(*pod);
    let namespace = outer
        .last()
        .filter(|ns| below >= 2 && !elsewhere && is_name(ns) && !is_folder(ns))
        .copied();
    Some(ContainerKey { previous, ..key(namespace, Some(pod), Some(container)) })
}

fn is_folder(name: &str) -> bool {
    FOLDERS.contains(&name) && !matches!(name, "default" | "kube-system" | "istio-system")
}

/// A file named after a pod, or after a container that everybody knows.
fn by_name(stem: &str, names: &Names) -> Option<ContainerKey> {
    let (stem, previous) = without_previous(stem);
    let found = if is_random_name(stem) && is_name(stem) || names.pods.contains(stem) {
        key(None, Some(stem), None)
    } else if KNOWN.contains(&stem) || names.containers.contains(stem) {
        key(None, None, Some(stem))
    } else {
        return None;
    };
    Some(ContainerKey { previous, ..found })
}

/// Parts of a name between its dashes that are looked at.
const PARTS_MAX: usize = 24;

/// A pod or a container that a file's name has among other words: `oc-logs-istio-init`,
/// `events-of-web-5b6f7c9d4-9xk2l`, `web-5b6f7c9d4-9xk2l-istio-proxy-2`. A pod is known from other
/// input, or has the two random parts that nobody types; a container is known by name.
fn within(stem: &str, names: &Names) -> Option<ContainerKey> {
    let (stem, previous) = without_previous(stem);
    let mut edges = vec![0];
    edges.extend(stem.match_indices(['-', '_', '.', ' ', '@']).map(|(at, _)| at));
    edges.push(stem.len());
    if edges.len() > PARTS_MAX {
        return None;
    }
    // Every run of parts, the longest first.
    let mut runs: Vec<&str> = Vec::new();
    for (i, from) in edges.iter().enumerate() {
        for to in edges.iter().skip(i + 1) {
            runs.extend(stem.get(from + usize::from(*from > 0)..*to));
        }
    }
    runs.sort_by_key(|run| std::cmp::Reverse(run.len()));
    let known = || runs.iter().copied().find(|run| names.pods.contains(*run) && !is_no_pod(run));
    let pod = known().or_else(|| made(&runs));
    let container = runs.iter().copied().find(|run| {
        let at_edge = stem.starts_with(run) || stem.ends_with(run);
        let named = names.containers.contains(*run) && at_edge && !is_no_pod(run);
        // A part of the pod's own name is no container.
        (KNOWN.contains(run) || named) && pod.is_none_or(|pod| !pod.contains(run))
    });
    let found = pod.is_some() || container.is_some();
    found.then(|| ContainerKey { previous, ..key(None, pod, container) })
}

/// Words that people put in front of a pod's name.
const FRONTS: &[&str] = &[
    "describe", "event", "events", "for", "from", "get", "kubectl", "log", "logs", "oc", "of",
    "pod", "pods", "previous", "the",
];

/// The name of a Deployment's pod among runs of a file's name, which begins where the words that
/// people put in front end.
fn made<'r>(runs: &[&'r str]) -> Option<&'r str> {
    let is_made = |run: &&&str| {
        let hashed = run.rsplit_once('-').and_then(|(front, _)| front.rsplit_once('-'));
        let hash = hashed.is_some_and(|(name, hash)| {
            !name.is_empty()
                && (8..=10).contains(&hash.len())
                && hash.bytes().all(|b| RANDOM.contains(&b))
        });
        hash && is_name(run) && is_random_name(run)
    };
    let mut pod = runs.iter().find(is_made).copied()?;
    while let Some((front, rest)) = pod.split_once('-')
        && FRONTS.contains(&front)
    {
        pod = rest;
    }
    is_made(&&pod).then_some(pod)
}

/// A DNS label or subdomain, as pods and containers are named.
pub(crate) fn is_name(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
    !text.is_empty()
        && text.len() <= 253
        && text.bytes().all(fits)
        && !text.starts_with(['-', '.'])
        && !text.ends_with(['-', '.'])
}

fn is_date(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'-' | b'.'))
}

/// `…-x7k2p`: the five letters a controller puts behind its name. A number is none, unless another
/// such part stands before it.
pub(crate) fn is_random_name(text: &str) -> bool {
    let random = |part: &str| part.bytes().all(|b| RANDOM.contains(&b));
    let number = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    text.rsplit_once('-').is_some_and(|(front, last)| {
        let hashed = || front.rsplit_once('-').is_some_and(|(_, h)| h.len() >= 8 && random(h));
        !front.is_empty() && last.len() == 5 && random(last) && (!number(last) || hashed())
    })
}

/// `…-0`: a StatefulSet's pod.
fn is_ordinal_name(text: &str) -> bool {
    text.rsplit_once('-').is_some_and(|(front, last)| {
        !front.is_empty()
            && last.len() <= 4
            && !last.is_empty()
            && last.bytes().all(|b| b.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_and_containers_among_other_words() {
        let mut names = Names::default();
        names.pod("catalog-2-x7k2q");
        names.containers.insert("basket".to_owned());
        names.containers.insert("app".to_owned());
        let of = |name: &str| {
            let key = of_path(name, 1, &names);
            let dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
            format!(
                "{} {}{}",
                dash(key.pod),
                dash(key.container),
                if key.previous { " P" } else { "" }
            )
        };
        for (name, want) in [
            ("oc-logs-istio-init.txt", "- istio-init"),
            ("logs of basket.txt", "- basket"),
            ("catalog-2-x7k2q-istio-init.log", "catalog-2-x7k2q istio-init"),
            ("katib-ui-64bb96d5bf-4c8vp-events.txt", "katib-ui-64bb96d5bf-4c8vp -"),
            (
                "kubectl-logs-katib-ui-64bb96d5bf-4c8vp-istio-proxy-previous.log",
                "katib-ui-64bb96d5bf-4c8vp istio-proxy P",
            ),
            ("my-app-errors.log", "- -"),
            ("issue-39.txt", "- -"),
            ("what-i-saw-on-monday.txt", "- -"),
            ("release-20240102-build-12345.txt", "- -"),
        ] {
            assert_eq!(of(name), want, "{name}");
        }
        let long = "a-".repeat(500);
        assert_eq!(of(&format!("{long}64bb96d5bf-4c8vp-x.log")), "- -");
    }
}
