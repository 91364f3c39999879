//! Licences, bans and duplicates of what we depend on, by the words of `deny.toml`, from what
//! cargo already knows. `cargo deny` reads the same file and looks at advisories too.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Context as _;
use serde_json::Value;

pub(super) fn check(
    root: &Path,
    metadata: &Value,
    built: &BTreeSet<String>,
) -> anyhow::Result<Vec<String>> {
    let text = std::fs::read_to_string(root.join("deny.toml")).context("deny.toml")?;
    let rules = Rules::read(&text)?;
    let used = used(metadata)?;
    let mut problems = Vec::new();
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in metadata["packages"].as_array().context("packages")? {
        let id = package["id"].as_str().context("id")?;
        if !used.contains(id) || package["source"].is_null() {
            continue;
        }
        let name = package["name"].as_str().context("name")?;
        let version = package["version"].as_str().context("version")?;
        if !built.contains(&format!("{name} v{version}")) {
            continue;
        }
        versions.entry(name).or_default().insert(version);
        let licence = package["license"].as_str().unwrap_or("");
        if !accepted(licence, &rules.licences) {
            problems.push(format!("Cargo.lock: {name} is under `{licence}`"));
        }
        if rules.banned.contains(name) {
            problems.push(format!("Cargo.lock: {name} is banned by deny.toml"));
        }
    }
    for (name, versions) in versions.iter().filter(|(_, versions)| versions.len() > 1) {
        if !rules.duplicates.contains(*name) {
            let versions: Vec<&str> = versions.iter().copied().collect();
            problems.push(format!("Cargo.lock: {name} comes as {}", versions.join(" and ")));
        }
    }
    for skipped in &rules.duplicates {
        if versions.get(skipped.as_str()).is_none_or(|versions| versions.len() < 2) {
            problems.push(format!("deny.toml: {skipped} has one version, its skip can go"));
        }
    }
    Ok(problems)
}

struct Rules {
    licences: BTreeSet<String>,
    banned: BTreeSet<String>,
    duplicates: BTreeSet<String>,
}

impl Rules {
    fn read(text: &str) -> anyhow::Result<Self> {
        let file: toml::Table = text.parse().context("deny.toml")?;
        let names = |section: &str, key: &str, field: Option<&str>| {
            let list = file.get(section)?.get(key)?.as_array()?;
            let name = |item: &toml::Value| {
                let item = field.and_then(|field| item.get(field)).unwrap_or(item);
                Some(item.as_str()?.split('@').next()?.to_owned())
            };
            list.iter().map(name).collect::<Option<BTreeSet<String>>>()
        };
        Ok(Rules {
            licences: names("licenses", "allow", None).context("deny.toml: licenses.allow")?,
            banned: names("bans", "deny", Some("crate")).context("deny.toml: bans.deny")?,
            duplicates: names("bans", "skip", Some("crate")).context("deny.toml: bans.skip")?,
        })
    }
}

/// Packages that are in the graph of this platform.
fn used(metadata: &Value) -> anyhow::Result<BTreeSet<&str>> {
    let nodes = metadata["resolve"]["nodes"].as_array().context("nodes")?;
    Ok(nodes.iter().filter_map(|node| node["id"].as_str()).collect())
}

/// Whether an SPDX expression can be met with the licences we accept. `AND` binds tighter than
/// `OR`; `/` is an old spelling of `OR`.
fn accepted(expression: &str, licences: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let met = any(&words, &mut at, licences);
    met && at == words.len()
}

fn any(words: &[&str], at: &mut usize, licences: &BTreeSet<String>) -> bool {
    let mut met = all(words, at, licences);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        met |= all(words, at, licences);
    }
    met
}

fn all(words: &[&str], at: &mut usize, licences: &BTreeSet<String>) -> bool {
    let mut met = one(words, at, licences);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        met &= one(words, at, licences);
    }
    met
}

fn one(words: &[&str], at: &mut usize, licences: &BTreeSet<String>) -> bool {
    let Some(&word) = words.get(*at) else { return false };
    *at += 1;
    if word == "(" {
        let met = any(words, at, licences);
        let closed = words.get(*at) == Some(&")");
        *at += usize::from(closed);
        return met && closed;
    }
    if words.get(*at) == Some(&"WITH") {
        // An exception only adds rights.
        *at += 2;
    }
    licences.contains(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licence_expressions_are_met_as_spdx_says() {
        let licences: BTreeSet<String> = ["MIT", "Apache-2.0"].map(str::to_owned).into();
        for (expression, want) in [
            ("MIT", true),
            ("GPL-3.0-only", false),
            ("MIT OR GPL-3.0-only", true),
            ("MIT/Apache-2.0", true),
            ("MIT AND GPL-3.0-only", false),
            ("(MIT OR GPL-3.0-only) AND Apache-2.0", true),
            ("GPL-3.0-only OR MIT AND ISC", false),
            ("Apache-2.0 WITH LLVM-exception", true),
            ("(MIT", false),
            ("", false),
        ] {
            assert_eq!(accepted(expression, &licences), want, "{expression}");
        }
    }
}
