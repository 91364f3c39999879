//! `cargo xtask new-rule ID`: a rule's files, and its lines in the list.
//!
//! What it writes compiles and finds nothing: its fixtures are to be written first, then the rule.

use std::path::Path;

use anyhow::{Context as _, ensure};

/// Writes the files of a rule.
///
/// # Errors
/// A name that is none, a rule that is there already, a list that is not as expected.
pub(crate) fn run(root: &Path, id: &str) -> anyhow::Result<Vec<String>> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    ensure!(
        !id.is_empty() && id.bytes().all(plain) && !id.starts_with('-') && !id.ends_with('-'),
        "{id:?} is no id: small letters and hyphens, named after the fault"
    );
    let module = id.replace('-', "_");
    let rules = root.join("crates/doctor/src/rules");
    let file = rules.join(format!("{module}.rs"));
    ensure!(!file.exists(), "{} is there already", file.display());
    let list_path = rules.join("mod.rs");
    let list = std::fs::read_to_string(&list_path).context("the list of rules")?;
    let listed = listed(&list, &module, &camel(id))?;
    let folder = rules.join(&module);
    std::fs::create_dir_all(&folder)?;
    std::fs::write(&file, code(id, &module))?;
    std::fs::write(folder.join("doc.md"), PAGE)?;
    std::fs::write(folder.join("fires.txtar"), FIXTURE)?;
    std::fs::write(folder.join("quiet.txtar"), FIXTURE)?;
    std::fs::write(&list_path, listed)?;
    Ok(vec![
        format!("wrote crates/doctor/src/rules/{module}.rs and crates/doctor/src/rules/{module}/"),
        "next: the fixtures, the page, the rule; then `just bless` and read the diff".to_owned(),
    ])
}

fn camel(id: &str) -> String {
    let word = |w: &str| w[..1].to_uppercase() + &w[1..];
    id.split('-').filter(|w| !w.is_empty()).map(word).collect()
}

/// The list with two lines more, each where the order wants it.
fn listed(list: &str, module: &str, name: &str) -> anyhow::Result<String> {
    let (own, entry) = (format!("mod {module};"), format!("    &{module}::{name},"));
    let key = |line: &str| {
        let rest = line.trim_start_matches("pub(crate) ");
        rest.strip_prefix("mod ").map(str::to_owned)
    };
    let is_entry = |line: &str| line.starts_with("    &") && line.contains("::");
    let mut lines: Vec<String> = list.lines().map(str::to_owned).collect();
    let at = lines.iter().position(|l| key(l).is_some_and(|k| k > format!("{module};")));
    let last = lines.iter().rposition(|l| key(l).is_some()).context("no `mod` line")?;
    lines.insert(at.unwrap_or(last + 1), own);
    let at = lines.iter().position(|l| is_entry(l) && *l > entry);
    let last = lines.iter().rposition(|l| is_entry(l)).context("no entry in the list")?;
    lines.insert(at.unwrap_or(last + 1), entry);
    Ok(lines.join("\n") + "\n")
}

fn code(id: &str, module: &str) -> String {
    let name = camel(id);
    format!(
        r#"//! `{id}`: what the fault is, in one sentence.
//!
//! # Sources
//! Where its texts come from.

use sunup_api::report::{{Severity, Verdict}};

use crate::judging::fault::{{Fault, Judgements}};
use crate::judging::meta::{{Meta, Need, Stage, Status, page}};
use crate::judging::pod::Case;
use crate::judging::rule::Rule;

/// The rule.
pub(crate) struct {name};

static META: Meta = Meta {{
    id: "{id}",
    title: "The fault in the user's words",
    stage: Stage::Proxy,
    severity: Severity::Error,
    status: Status::Preview {{ since: "0.1.0" }},
    needs: &[&[Need::PodEvents]],
    helps: &[],
    hears: &["the stable part of a text"],
    signs: &[],
    explains: &[],
    doc: page!("{module}", "doc.md"),
    fires: page!("{module}", "fires.txtar"),
    quiet: page!("{module}", "quiet.txtar"),
}};

impl Rule for {name} {{
    fn meta(&self) -> &'static Meta {{
        &META
    }}

    fn pod(&self, case: &Case<'_>, out: &mut Judgements) {{
        let said: Vec<_> = case.said(&META).collect();
        if said.is_empty() {{
            return;
        }}
        let fault = Fault::new(&META, Verdict::Confirmed, case.subject.clone(), "what happened");
        out.faults.push(fault.because("Why.").show(said, "what happened"));
    }}
}}
"#
    )
}

const PAGE: &str = "\
## What you see

## Why

## Evidence

## Fix and its safety

## Reproduce

## Sources
";

const FIXTURE: &str = "\
-- events.txt --
LAST SEEN   TYPE      REASON   OBJECT   MESSAGE
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_listed_in_its_place() {
        let list =
            "mod a_b;\npub(crate) mod d;\n\nstatic RULES: = &[\n    &a_b::AB,\n    &d::D,\n];\n";
        let with = listed(list, "c_x", &camel("c-x")).expect("a list");
        let want = "mod a_b;\nmod c_x;\npub(crate) mod d;\n\nstatic RULES: = &[\n    &a_b::AB,\n    &c_x::CX,\n    &d::D,\n];\n";
        assert_eq!(with, want);
        let last = listed(list, "e", "E").expect("a list");
        assert!(last.contains("mod d;\nmod e;\n") && last.contains("    &d::D,\n    &e::E,\n"));
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for id in ["", "Upper-Case", "under_score", "-x", "../x"] {
            assert!(run(Path::new("/nowhere"), id).is_err(), "{id}");
        }
    }
}
