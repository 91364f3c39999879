//! The roles that collecting and fixing take, as YAML, from the list that the requests are made by.

use std::collections::BTreeMap;

use crate::need::{Need, Reach, fixes, reads, watches};

/// What the roles are to allow, and to whom.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wish {
    /// Only this namespace's workloads; `None` is all of them.
    pub namespace: Option<String>,
    /// The mesh's own namespace.
    pub mesh_namespace: String,
    /// What is to be done.
    pub task: Task,
    /// Who gets the roles; only the roles where this is `None`.
    pub subject: Option<Subject>,
}

/// What the roles are for. Each is enough for the first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Task {
    /// `sunup doctor --live`.
    #[default]
    Doctor,
    /// `sunup fix --live`.
    Fix,
    /// `sunup watch`.
    Watch,
}

impl Task {
    fn name(self) -> &'static str {
        match self {
            Task::Doctor => "sunup-doctor",
            Task::Fix => "sunup-fix",
            Task::Watch => "sunup-watch",
        }
    }

    fn needs(self) -> Vec<&'static Need> {
        match self {
            Task::Doctor => reads().collect(),
            Task::Fix => reads().chain(fixes()).collect(),
            Task::Watch => reads().chain(watches()).collect(),
        }
    }
}

/// Who is allowed something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A user by name.
    User(String),
    /// A group by name.
    Group(String),
    /// A service account, by namespace and name.
    ServiceAccount(String, String),
}

/// A rule of a role: group, resource, and verbs with their reasons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// API group.
    pub group: &'static str,
    /// Resource.
    pub resource: &'static str,
    /// How far.
    pub reach: Reach,
    /// Verbs and reasons.
    pub verbs: Vec<(&'static str, &'static str)>,
}

/// All rules, one for each resource and reach.
#[must_use]
pub fn rules(task: Task) -> Vec<Rule> {
    let mut all: BTreeMap<(Reach, &str, &str), Rule> = BTreeMap::new();
    for Need { group, resource, reach, verbs, .. } in task.needs() {
        let rule = all.entry((*reach, group, resource)).or_insert_with(|| Rule {
            group,
            resource,
            reach: *reach,
            verbs: Vec::new(),
        });
        rule.verbs.extend_from_slice(verbs);
    }
    all.into_values().collect()
}

/// The roles, and with a subject their bindings, as YAML documents.
#[must_use]
pub fn yaml(wish: &Wish) -> String {
    let rules = rules(wish.task);
    let of = |reaches: &[Reach]| -> Vec<&Rule> {
        rules.iter().filter(|rule| reaches.contains(&rule.reach)).collect()
    };
    let name = wish.task.name();
    let mut out = String::new();
    match &wish.namespace {
        Some(namespace) => {
            role(&mut out, wish, name, Some(namespace), &of(&[Reach::Asked]));
            role(&mut out, wish, name, None, &of(&[Reach::All, Reach::Cluster]));
        }
        None => {
            let all = of(&[Reach::Asked, Reach::All, Reach::Cluster]);
            role(&mut out, wish, name, None, &all);
        }
    }
    role(&mut out, wish, name, Some(&wish.mesh_namespace), &of(&[Reach::Mesh]));
    out
}

fn role(out: &mut String, wish: &Wish, name: &str, namespace: Option<&str>, rules: &[&Rule]) {
    let kind = if namespace.is_some() { "Role" } else { "ClusterRole" };
    head(out, kind, name, namespace);
    out.push_str("rules:\n");
    for rule in rules {
        for (verb, why) in &rule.verbs {
            out.push_str(&format!("  # {verb}: {why}\n"));
        }
        let verbs: Vec<String> = rule.verbs.iter().map(|(verb, _)| format!("\"{verb}\"")).collect();
        out.push_str(&format!(
            "  - apiGroups: [\"{}\"]\n    resources: [\"{}\"]\n    verbs: [{}]\n",
            rule.group,
            rule.resource,
            verbs.join(", ")
        ));
    }
    let Some(subject) = &wish.subject else { return };
    head(out, &format!("{kind}Binding"), name, namespace);
    out.push_str(&format!(
        "roleRef:\n  apiGroup: rbac.authorization.k8s.io\n  kind: {kind}\n  name: {name}\nsubjects:\n"
    ));
    let text = |text: &str| serde_json::Value::from(text).to_string();
    match subject {
        Subject::User(user) => named(out, "User", &text(user)),
        Subject::Group(group) => named(out, "Group", &text(group)),
        Subject::ServiceAccount(namespace, account) => out.push_str(&format!(
            "  - kind: ServiceAccount\n    namespace: {}\n    name: {}\n",
            text(namespace),
            text(account)
        )),
    }
}

fn named(out: &mut String, kind: &str, name: &str) {
    out.push_str(&format!(
        "  - apiGroup: rbac.authorization.k8s.io\n    kind: {kind}\n    name: {name}\n"
    ));
}

fn head(out: &mut String, kind: &str, name: &str, namespace: Option<&str>) {
    if !out.is_empty() {
        out.push_str("---\n");
    }
    out.push_str(&format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: {kind}\nmetadata:\n  name: {name}\n"
    ));
    if let Some(namespace) = namespace {
        out.push_str(&format!("  namespace: {namespace}\n"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_never_among_it_and_reading_never_writes() {
        for task in [Task::Doctor, Task::Fix, Task::Watch] {
            let rules = rules(task);
            assert!(rules.iter().all(|rule| !rule.resource.contains("secret")), "{rules:?}");
            assert!(rules.iter().all(|r| r.resource != "*" && r.verbs.iter().all(|v| v.0 != "*")));
        }
        let reading =
            |rule: &Rule| rule.verbs.iter().all(|(verb, _)| matches!(*verb, "get" | "list"));
        assert!(rules(Task::Doctor).iter().all(reading));
        assert!(!rules(Task::Fix).iter().all(reading));
    }
}
