//! One direction of dependencies between our crates, and what the pure ones must not pull in.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use serde_json::Value;

/// Which of our crates each may use in what it ships; `testkit`, for tests only, is nobody's. An
/// edge that is not here is a problem, and so is a crate without a line: adding one means saying
/// what it is kept from.
const MAY_USE: &[(&str, &[&str])] = &[
    ("api", &[]),
    ("yaml", &[]),
    ("logs", &[]),
    ("startup", &[]),
    ("limits", &[]),
    ("testkit", &[]),
    ("capture", &["api"]),
    ("sys", &["capture"]),
    ("node", &["api"]),
    ("watch", &["api"]),
    ("inject", &["api", "capture", "yaml"]),
    ("evidence", &["api", "capture"]),
    ("intake", &["api", "evidence", "logs", "yaml"]),
    ("doctor", &["api", "capture", "evidence", "inject", "yaml"]),
    ("proxy", &["api", "limits", "startup", "sys"]),
    ("webhook", &["api", "doctor", "evidence", "inject", "limits"]),
    ("kube", &["api", "evidence"]),
    ("agent", &["api", "node", "sys"]),
    ("store", &["api", "evidence"]),
    ("lab", &["api", "capture", "doctor", "evidence", "sys"]),
    (
        "cli",
        &[
            "agent", "api", "capture", "doctor", "evidence", "inject", "intake", "kube", "lab",
            "logs", "node", "proxy", "startup", "store", "sys", "watch", "webhook", "yaml",
        ],
    ),
    ("xtask", &[]),
];

/// Crates that compute and do nothing else.
const PURE: &[&str] =
    &["api", "yaml", "startup", "capture", "node", "watch", "inject", "evidence", "doctor"];

/// What would bring IO, threads, a terminal or a cluster into a pure crate, at any distance.
const IMPURE: [&str; 12] = [
    "tokio",
    "async-std",
    "smol",
    "kube",
    "hyper",
    "reqwest",
    "rayon",
    "socket2",
    "rustix",
    "tempfile",
    "clap",
    "indicatif",
];

pub(super) fn check(metadata: &Value) -> anyhow::Result<Vec<String>> {
    let graph = Graph::read(metadata)?;
    let mut problems = Vec::new();
    for (name, uses) in &graph.ours {
        let Some((_, allowed)) = MAY_USE.iter().find(|(known, _)| known == name) else {
            problems.push(format!("crates/{name}: has no line in xtask/src/tidy/crates.rs"));
            continue;
        };
        for used in uses.iter().filter(|used| !allowed.contains(&used.as_str())) {
            problems.push(format!("crates/{name}: must not depend on {used}"));
        }
    }
    for name in PURE {
        for impure in graph.reached(name).iter().filter(|n| IMPURE.contains(&n.as_str())) {
            problems.push(format!("crates/{name}: is pure and must not reach {impure}"));
        }
    }
    Ok(problems)
}

struct Graph {
    /// Our crates by folder name, and which of ours each uses in what it ships.
    ours: BTreeMap<String, BTreeSet<String>>,
    /// Every package's name and its normal dependencies, by id.
    all: BTreeMap<String, (String, Vec<String>)>,
}

impl Graph {
    fn read(metadata: &Value) -> anyhow::Result<Self> {
        let members: BTreeSet<&str> = strings(&metadata["workspace_members"]).collect();
        let mut names = BTreeMap::new();
        for package in metadata["packages"].as_array().context("packages")? {
            let id = package["id"].as_str().context("id")?;
            names.insert(id, package["name"].as_str().context("name")?);
        }
        let mut all: BTreeMap<String, (String, Vec<String>)> = BTreeMap::new();
        for node in metadata["resolve"]["nodes"].as_array().context("nodes")? {
            let id = node["id"].as_str().context("id")?;
            let normal = |dep: &&Value| {
                let kinds = dep["dep_kinds"].as_array();
                kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"].is_null()))
            };
            let deps = node["deps"].as_array().context("deps")?;
            let used = deps.iter().filter(normal).filter_map(|dep| dep["pkg"].as_str());
            let name = (*names.get(id).context("a node is a package")?).to_owned();
            all.insert(id.to_owned(), (name, used.map(str::to_owned).collect()));
        }
        let mut ours: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (_, (name, uses)) in all.iter().filter(|(id, _)| members.contains(id.as_str())) {
            let used = uses.iter().filter(|used| members.contains(used.as_str()));
            let used = used.filter_map(|used| names.get(used.as_str())).map(|name| folder(name));
            ours.insert(folder(name), used.collect());
        }
        Ok(Graph { ours, all })
    }

    /// Names of all packages that one of ours ships with.
    fn reached(&self, name: &str) -> BTreeSet<String> {
        let start = self.all.iter().find(|(_, (package, _))| folder(package) == name);
        let mut queue: Vec<&str> = start.map(|(id, _)| id.as_str()).into_iter().collect();
        let mut seen = BTreeSet::new();
        let mut reached = BTreeSet::new();
        while let Some(id) = queue.pop() {
            let Some((package, uses)) = self.all.get(id).filter(|_| seen.insert(id)) else {
                continue;
            };
            reached.insert(package.clone());
            queue.extend(uses.iter().map(String::as_str));
        }
        reached
    }
}

fn folder(package: &str) -> String {
    package.strip_prefix("sunup-").unwrap_or(package).to_owned()
}

fn strings(value: &Value) -> impl Iterator<Item = &str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn workspace(edges: &[(&str, &[&str])]) -> Value {
        let packages: Vec<Value> =
            edges.iter().map(|(name, _)| json!({"id": name, "name": name})).collect();
        let nodes: Vec<Value> = edges
            .iter()
            .map(|(name, uses)| {
                let deps: Vec<Value> = uses
                    .iter()
                    .map(|used| json!({"pkg": used, "dep_kinds": [{"kind": null}]}))
                    .collect();
                json!({"id": name, "deps": deps})
            })
            .collect();
        let members: Vec<&str> =
            edges.iter().map(|(name, _)| *name).filter(|n| n.starts_with("sunup-")).collect();
        json!({"workspace_members": members, "packages": packages, "resolve": {"nodes": nodes}})
    }

    #[test]
    fn an_edge_against_the_direction_is_named() {
        let of = |edges: &[(&str, &[&str])]| check(&workspace(edges)).expect("readable");
        assert!(of(&[("sunup-api", &[]), ("sunup-doctor", &["sunup-api"])]).is_empty());
        assert_eq!(
            of(&[("sunup-api", &["sunup-yaml"]), ("sunup-yaml", &[])]),
            ["crates/api: must not depend on yaml"]
        );
        assert_eq!(
            of(&[("sunup-doctor", &["sunup-testkit"]), ("sunup-testkit", &[])]),
            ["crates/doctor: must not depend on testkit"]
        );
        assert_eq!(
            of(&[("sunup-doctor", &["helper"]), ("helper", &["tokio"]), ("tokio", &[])]),
            ["crates/doctor: is pure and must not reach tokio"]
        );
        assert!(of(&[("sunup-new", &[])])[0].contains("has no line"));
    }
}
