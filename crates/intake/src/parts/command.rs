//! What a command line says about the output below it: whose log, which namespace, which object.
//!
//! Knows the options of kubectl and oc as far as they say that; must not know what the output means.

use sunup_evidence::line::ContainerKey;

use crate::attribution::is_name;
use crate::kind::kind_of;

/// A command line, as far as it is of use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Command {
    /// What is printed.
    pub(crate) verb: Verb,
    /// `-n`.
    pub(crate) namespace: Option<String>,
    /// The kind asked for as the API spells it (`Pod`), where there is one.
    pub(crate) kind: Option<String>,
    /// The object asked for, or whose log it is.
    pub(crate) name: Option<String>,
    /// `-c`.
    pub(crate) container: Option<String>,
    /// `--previous`.
    pub(crate) previous: bool,
    /// `-o`: `json`, `wide`, `jsonpath=…`.
    pub(crate) output: Option<String>,
}

/// What a command prints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Verb {
    /// Lines of a log.
    Logs,
    /// Objects, as a table or whole.
    Get,
    /// A description.
    Describe,
    /// Something else.
    #[default]
    Other,
}

/// Options that take a value as the next word; others are flags, or have theirs behind `=`.
const VALUED: &[&str] = &[
    "--as",
    "--cluster",
    "--container",
    "--context",
    "--field-selector",
    "--kubeconfig",
    "--label-columns",
    "--limit-bytes",
    "--max-log-requests",
    "--namespace",
    "--output",
    "--selector",
    "--server",
    "--since",
    "--since-time",
    "--sort-by",
    "--tail",
    "--template",
    "--token",
    "--user",
    "-L",
    "-c",
    "-l",
    "-n",
    "-o",
    "-s",
];

/// Commands that print what a cluster, a node or a container says.
const TOOLS: &[&str] = &["k", "kubectl", "kubecolor", "oc", "microk8s.kubectl"];

/// Other commands that people type between them.
const OTHERS: &[&str] = &[
    "argo",
    "argocd",
    "asmcli",
    "aws",
    "az",
    "cat",
    "crictl",
    "ctr",
    "curl",
    "date",
    "docker",
    "docker-compose",
    "eksctl",
    "gcloud",
    "grep",
    "head",
    "helm",
    "istioctl",
    "journalctl",
    "kail",
    "kind",
    "kubectx",
    "kubens",
    "kubetail",
    "kustomize",
    "linkerd",
    "minikube",
    "nerdctl",
    "podman",
    "stern",
    "tail",
    "tkn",
    "velero",
    "watch",
    "zcat",
    "zgrep",
];

/// Words that put another command behind them.
const FRONTS: &[&str] = &["sudo", "time", "watch", "command", "exec", "do", "then"];

impl Command {
    /// Reads a command line. `None` where its first word is no command that is known.
    pub(crate) fn parse(line: &str) -> Option<Command> {
        let words = words(line);
        let start = words.iter().position(|word| !is_front(word))?;
        let tool = program(&words[start]);
        if TOOLS.contains(&tool) {
            return Some(kubectl(&words[start + 1..]));
        }
        OTHERS.contains(&tool).then(|| {
            let logs = words.get(start + 1..).is_some_and(|rest| rest.iter().any(|w| w == "logs"));
            let logs = logs || matches!(tool, "journalctl" | "stern" | "kail" | "kubetail");
            Command { verb: if logs { Verb::Logs } else { Verb::Other }, ..Command::default() }
        })
    }

    /// Whether a line without a prompt is a command all the same: kubectl and a verb of it.
    pub(crate) fn bare(line: &str) -> Option<Command> {
        const VERBS: [&str; 12] = [
            "get", "describe", "logs", "apply", "delete", "exec", "rollout", "create", "events",
            "top", "edit", "label",
        ];
        let (tool, rest) = line.split_once(' ')?;
        let of_cluster = matches!(tool, "kubectl" | "oc" | "kubectl.exe");
        let verb = rest.split_whitespace().take(6).any(|word| VERBS.contains(&word));
        // A sentence about kubectl goes on with words.
        let sentence = line.ends_with(['.', '?', ':', '!']) || line.contains(", ");
        (of_cluster && verb && !sentence).then(|| Command::parse(line)).flatten()
    }

    /// Whose log it prints, as far as it says so, over what is known already.
    pub(crate) fn whose(&self, known: &ContainerKey) -> ContainerKey {
        let mut whose = known.clone();
        if self.namespace.is_some() {
            whose.namespace.clone_from(&self.namespace);
        }
        if self.verb != Verb::Logs {
            // What is printed of one pod is that pod's, though it may not say so itself.
            if let (Some("Pod"), Some(name)) = (self.kind.as_deref(), &self.name) {
                whose.pod = Some(name.clone());
                whose.container = None;
            }
            return whose;
        }
        match (self.kind.as_deref(), &self.name) {
            (None | Some("Pod"), Some(name)) => whose.pod = Some(name.clone()),
            (Some(kind), Some(name)) => whose.controller = Some((kind.to_owned(), name.clone())),
            _ => {}
        }
        if self.container.is_some() {
            whose.container.clone_from(&self.container);
        }
        whose.previous |= self.previous;
        whose
    }
}

/// The program that a word names, without its path and Windows' ending.
fn program(word: &str) -> &str {
    let name = word.rsplit(['/', '\\']).next().unwrap_or(word);
    name.strip_suffix(".exe").unwrap_or(name)
}

fn is_front(word: &str) -> bool {
    let assigned = word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    });
    FRONTS.contains(&word) || assigned || word.starts_with('-')
}

fn kubectl(words: &[String]) -> Command {
    let mut command = Command::default();
    let mut plain: Vec<&str> = Vec::new();
    let mut at = 0;
    while let Some(word) = words.get(at) {
        at += 1;
        if word == "--" {
            break;
        }
        if !word.starts_with('-') || word.len() < 2 {
            plain.push(word);
            continue;
        }
        let (option, value) = match word.split_once('=') {
            Some((option, value)) => (option, Some(value)),
            None if VALUED.contains(&word.as_str()) => {
                at += 1;
                (word.as_str(), words.get(at - 1).map(String::as_str))
            }
            // `-nshop`, `-ojson`.
            None if word.len() > 2 && !word.starts_with("--") && word.is_char_boundary(2) => {
                let (option, value) = word.split_at(2);
                if matches!(option, "-n" | "-o" | "-c") {
                    (option, Some(value))
                } else {
                    (word.as_str(), None)
                }
            }
            None => (word.as_str(), None),
        };
        let name = || value.filter(|value| is_name(value)).map(str::to_owned);
        match option {
            "-n" | "--namespace" => command.namespace = name(),
            "-c" | "--container" => command.container = name(),
            "-p" | "--previous" => command.previous = value != Some("false"),
            "-o" | "--output" => command.output = value.map(str::to_owned),
            _ => {}
        }
    }
    let mut plain = plain.into_iter();
    let verb = plain.next().unwrap_or_default();
    let rest: Vec<&str> = plain.collect();
    match verb {
        "logs" | "log" => logs(&mut command, &rest),
        "get" | "describe" => {
            command.verb = if verb == "get" { Verb::Get } else { Verb::Describe };
            object(&mut command, &rest);
        }
        "events" => {
            command.verb = Verb::Get;
            command.kind = Some("Event".to_owned());
        }
        _ => {}
    }
    command
}

/// `POD [CONTAINER]`, `pod/POD`, `deploy/NAME`.
fn logs(command: &mut Command, words: &[&str]) {
    command.verb = Verb::Logs;
    let Some(target) = words.first() else { return };
    let (kind, name) = match target.split_once('/') {
        Some((kind, name)) => (Some(full(kind)), name),
        None => (None, *target),
    };
    if is_name(name) {
        command.kind = kind;
        command.name = Some(name.to_owned());
    }
    if command.container.is_none() {
        command.container =
            words.get(1).filter(|word| is_name(word)).map(|word| (*word).to_owned());
    }
}

/// `KIND`, `KIND NAME`, `KIND/NAME`.
fn object(command: &mut Command, words: &[&str]) {
    let Some(first) = words.first() else { return };
    let (kind, name) = match first.split_once('/') {
        Some((kind, name)) => (kind, Some(name)),
        None => (*first, words.get(1).copied()),
    };
    command.kind = Some(full(kind));
    // More names than one name nothing.
    let only = words.len() <= 2;
    command.name = name.filter(|name| only && is_name(name)).map(str::to_owned);
}

/// A kind as the API spells it, from its short name, plural, or with its group.
fn full(kind: &str) -> String {
    let kind = kind.split(['.', ',']).next().unwrap_or(kind).to_ascii_lowercase();
    let long = match kind.as_str() {
        "po" => "pod",
        "deploy" => "deployment",
        "rs" => "replicaset",
        "sts" => "statefulset",
        "ds" => "daemonset",
        "cj" => "cronjob",
        "ev" => "event",
        "no" => "node",
        "svc" => "service",
        "ns" => "namespace",
        "rc" => "replicationcontroller",
        "dc" => "deploymentconfig",
        "ep" | "endpoints" => "endpoints",
        other => other.strip_suffix('s').unwrap_or(other),
    };
    match long {
        "event" => "Event".to_owned(),
        "deploymentconfig" => "DeploymentConfig".to_owned(),
        long => kind_of(long),
    }
}

/// The words of the first command of a line, as a shell reads them; a pipe's later parts filter.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quoted: Option<char> = None;
    let mut begun = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match quoted {
            Some(quote) if c == quote => quoted = None,
            Some(_) => word.push(c),
            None if matches!(c, '\'' | '"') => {
                quoted = Some(c);
                begun = true;
            }
            None if c == '\\' => word.extend(chars.next()),
            None if matches!(c, '|' | ';' | '>' | '<') => break,
            None if c == '&' && chars.peek() == Some(&'&') => break,
            None if c.is_whitespace() => {
                if begun || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                begun = false;
            }
            None => word.push(c),
        }
    }
    // `2>` leaves the number of a stream.
    if !word.is_empty() && word != "2" || begun {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_command_says_whose_its_output_is() {
        for (line, namespace, pod, container, previous) in [
            ("kubectl logs web-0", None, Some("web-0"), None, false),
            (
                "kubectl -n shop logs web-0 -c app --previous | grep x",
                Some("shop"),
                Some("web-0"),
                Some("app"),
                true,
            ),
            (
                "k logs -f pod/web-0 --container=app --namespace=shop",
                Some("shop"),
                Some("web-0"),
                Some("app"),
                false,
            ),
            (
                "oc logs web-0 app --tail 5 -nshop 2>&1",
                Some("shop"),
                Some("web-0"),
                Some("app"),
                false,
            ),
            (
                "KUBECONFIG=x sudo /usr/bin/kubectl --context prod logs web-0 -p",
                None,
                Some("web-0"),
                None,
                true,
            ),
            ("kubectl logs -l app=web -n \"shop\"", Some("shop"), None, None, false),
            ("kubectl logs $POD", None, None, None, false),
        ] {
            let command = Command::parse(line).unwrap_or_else(|| panic!("{line}"));
            assert_eq!(command.verb, Verb::Logs, "{line}");
            let whose = command.whose(&ContainerKey::default());
            assert_eq!(
                (
                    whose.namespace.as_deref(),
                    whose.pod.as_deref(),
                    whose.container.as_deref(),
                    whose.previous
                ),
                (namespace, pod, container, previous),
                "{line}"
            );
        }
        let of = Command::parse("kubectl logs deploy/web -c app").expect("known");
        let whose = of.whose(&ContainerKey::default());
        assert_eq!(whose.controller, Some(("Deployment".to_owned(), "web".to_owned())));
        assert_eq!(whose.pod, None);
    }

    #[test]
    fn other_commands_say_what_they_print() {
        let get =
            Command::parse("kubectl get po web-0 -o jsonpath='{.a b}' -n shop").expect("known");
        assert_eq!(
            (get.verb, get.kind.as_deref(), get.name.as_deref()),
            (Verb::Get, Some("Pod"), Some("web-0"))
        );
        assert_eq!(get.output.as_deref(), Some("jsonpath={.a b}"));
        assert_eq!(get.whose(&ContainerKey::default()).pod.as_deref(), Some("web-0"));
        let get = Command::parse("oc get pods,jobs").expect("known");
        assert_eq!(get.whose(&ContainerKey::default()).pod, None);
        assert_eq!((get.kind.as_deref(), get.name), (Some("Pod"), None));
        let described = Command::parse("kubectl describe replicasets.apps web-1").expect("known");
        assert_eq!(
            (described.verb, described.kind.as_deref()),
            (Verb::Describe, Some("ReplicaSet"))
        );
        assert_eq!(Command::parse("date -u").map(|c| c.verb), Some(Verb::Other));
        assert_eq!(Command::parse("docker compose logs app").map(|c| c.verb), Some(Verb::Logs));
        for line in ["hello world", "", "x=1", "the kubectl command"] {
            assert_eq!(Command::parse(line), None, "{line}");
        }
        assert!(Command::bare("kubectl get pods -n shop").is_some());
        for line in
            ["kubectl is a tool", "kubectl get, as you know, prints a table", "kubectl logs shows:"]
        {
            assert_eq!(Command::bare(line), None, "{line}");
        }
    }
}
