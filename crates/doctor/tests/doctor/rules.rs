//! What holds for every rule, with no code for any of them: this file must not name one.
//!
//! Each rule's folder has the smallest evidence that shows its fault (`fires.txtar`) and the same
//! without the cause (`quiet.txtar`). They are unpacked and read as a user's files are.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use sunup_api::report::{Report, Safety, Verdict};
use sunup_doctor::report::{Look, Seen};
use sunup_doctor::{Diagnosis, Meta, Need, RETIRED, diagnose, pages, rules};
use sunup_evidence::collect::Collector;
use sunup_evidence::scope::Scope;
use sunup_evidence::snapshot::Snapshot;
use sunup_intake::{Input, Options};
use sunup_yaml::Limits;

use crate::blind;

/// Compares a text with a golden, or with `SUNUP_BLESS=1` writes it; says what differs.
pub(crate) fn golden(path: &Path, text: &str) -> Option<String> {
    if std::env::var_os("SUNUP_BLESS").is_some() {
        let folder = path.parent().expect("a golden lies in a folder");
        std::fs::create_dir_all(folder).expect("the folder can be made");
        std::fs::write(path, text).expect("the golden can be written");
        return None;
    }
    let known = std::fs::read_to_string(path).unwrap_or_default();
    let at = known.lines().zip(text.lines()).position(|(a, b)| a != b);
    (known != text).then(|| {
        let line = at.unwrap_or_else(|| known.lines().count().min(text.lines().count()));
        let of = |t: &str| t.lines().nth(line).unwrap_or("(nothing)").to_owned();
        format!("{}:{}: {:?}, but now {:?}", path.display(), line + 1, of(&known), of(text))
    })
}

fn folder(meta: &Meta) -> PathBuf {
    let rules = sunup_testkit::workspace_root().join("crates/doctor/src/rules");
    rules.join(meta.id.replace('-', "_"))
}

/// A fixture's files on disk.
struct Unpacked {
    dir: tempfile::TempDir,
}

impl Unpacked {
    fn of(fixture: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let files = pages::files(fixture);
        assert!(!files.is_empty(), "no `-- name --` in the fixture");
        for (name, text) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().expect("inside")).expect("a folder");
            std::fs::write(path, text).expect("a file");
        }
        Unpacked { dir }
    }

    fn read(&self) -> Snapshot {
        read(vec![self.dir.path().to_owned()])
    }
}

fn read(paths: Vec<PathBuf>) -> Snapshot {
    let mut collector = Collector::new(Scope::default());
    let inputs = paths.into_iter().map(Input::Path).collect();
    sunup_intake::read(inputs, &Options { threads: 1, ..Options::default() }, &mut collector);
    collector.finish()
}

fn judge(fixture: &str) -> Diagnosis {
    diagnose(&Unpacked::of(fixture).read())
}

fn found(report: &Report) -> Vec<&str> {
    report.findings.iter().map(|f| f.rule.as_str()).collect()
}

fn verdict(report: &Report, meta: &Meta) -> Option<Verdict> {
    report.findings.iter().find(|f| f.rule == meta.id).map(|f| f.verdict)
}

#[test]
fn ids_files_and_list_agree() {
    let ids: Vec<&str> = rules().map(|m| m.id).collect();
    assert!(ids.is_sorted(), "{ids:?}");
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "an id twice");
    assert!(ids.len() <= 128, "the set of rules that want a text has 128 places");
    for id in &ids {
        assert!(!RETIRED.contains(id), "{id} is retired: it is never given to another rule");
        assert!(id.bytes().all(|b| b.is_ascii_lowercase() || b == b'-' || b.is_ascii_digit()));
    }
    let root = sunup_testkit::workspace_root().join("crates/doctor/src/rules");
    for entry in std::fs::read_dir(root).expect("the rules' folder").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let stem = name.trim_end_matches(".rs").replace('_', "-");
        assert!(stem == "mod" || ids.contains(&stem.as_str()), "rules/{name} is in no list");
    }
}

/// What two rules need lies below them: a rule can be read, changed and taken away alone.
#[test]
fn a_rule_names_no_other() {
    let modules: Vec<String> = rules().map(|m| m.id.replace('-', "_")).collect();
    for meta in rules() {
        let file = folder(meta).with_extension("rs");
        let code = std::fs::read_to_string(&file).expect("a rule has a file");
        let named = modules.iter().find(|module| code.contains(&format!("{module}::")));
        assert_eq!(named, None, "{} knows another rule", file.display());
    }
}

#[test]
fn rules_explain_others_in_no_circle() {
    let of = |id: &str| rules().find(|m| m.id == id);
    for start in rules() {
        let mut open: Vec<&str> = start.explains.to_vec();
        let mut seen = BTreeSet::new();
        while let Some(id) = open.pop() {
            let meta = of(id).unwrap_or_else(|| panic!("{} explains {id}, no rule", start.id));
            assert_ne!(id, start.id, "{} explains itself", start.id);
            if seen.insert(id) {
                open.extend(meta.explains);
            }
        }
    }
}

#[test]
fn texts_to_listen_for_are_lower_case() {
    for meta in rules() {
        for text in meta.hears {
            assert_eq!(*text, text.to_ascii_lowercase(), "{}", meta.id);
            assert!(text.len() >= 6, "{}: {text:?} would match anything", meta.id);
        }
    }
}

#[test]
fn every_fault_is_found_alone_and_its_absence_is_seen() {
    let mut wrong = String::new();
    for meta in rules() {
        let report = judge(meta.fires).report;
        if found(&report) != [meta.id] || !report.unreadable.is_empty() {
            let _ = writeln!(wrong, "{}: fires: {:?} {:?}", meta.id, found(&report), report);
        }
        let report = judge(meta.quiet).report;
        if !report.findings.is_empty() || !report.unreadable.is_empty() {
            let _ = writeln!(wrong, "{}: quiet: {:?} {:?}", meta.id, found(&report), report);
        }
        let lines = |t: &'static str| t.lines().collect::<Vec<_>>();
        let (fires, quiet) = (lines(meta.fires), lines(meta.quiet));
        let shared = fires.iter().filter(|l| quiet.contains(l)).count();
        if fires == quiet || shared * 2 < fires.len() {
            let _ = writeln!(wrong, "{}: quiet is to differ from fires in its cause", meta.id);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn what_is_missing_is_said_and_never_guessed() {
    let mut wrong = String::new();
    for meta in rules() {
        let unpacked = Unpacked::of(meta.fires);
        for (i, group) in meta.needs.iter().enumerate() {
            let mut snapshot = unpacked.read();
            group.iter().for_each(|need| blind::remove(&mut snapshot, *need));
            let report = diagnose(&snapshot).report;
            if verdict(&report, meta).is_some() {
                let _ = writeln!(wrong, "{}: found without {group:?}", meta.id);
            }
            let said = report.unknown.iter().any(|u| u.rule == meta.id);
            if i > 0 && !said {
                let _ = writeln!(wrong, "{}: silent without {group:?}: {report:?}", meta.id);
            }
        }
        let whole = verdict(&diagnose(&unpacked.read()).report, meta);
        for need in ALL {
            let needed = meta.needs.iter().any(|g| *g == [need]);
            if needed {
                continue;
            }
            let mut snapshot = unpacked.read();
            blind::remove(&mut snapshot, need);
            let report = diagnose(&snapshot).report;
            let now = verdict(&report, meta);
            let known = meta.helps.contains(&need) || meta.needs.iter().any(|g| g.contains(&need));
            if !known && now != whole {
                let _ = writeln!(wrong, "{}: uses {need:?} and does not say so", meta.id);
            }
            if known && now > whole {
                let _ = writeln!(wrong, "{}: surer without {need:?}", meta.id);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

const ALL: [Need; 15] = [
    Need::PodObject,
    Need::PodEvents,
    Need::AppLog,
    Need::InitLog,
    Need::MeshInitLog,
    Need::ProxyLog,
    Need::ControlPlaneLog,
    Need::Workload,
    Need::WorkloadEvents,
    Need::Services,
    Need::Gateways,
    Need::Nodes,
    Need::Namespaces,
    Need::Webhooks,
    Need::MeshConfig,
];

#[test]
fn findings_rest_on_what_was_observed() {
    for meta in rules() {
        let report = judge(meta.fires).report;
        let finding = report.findings.iter().find(|f| f.rule == meta.id).expect("it fires");
        let observed = Unpacked::of(meta.fires).read();
        let observed = !observed.pods.is_empty() || !observed.events.is_empty();
        assert!(finding.verdict == Verdict::Possible || observed, "{}", meta.id);
        assert!(!finding.evidence.is_empty(), "{}: no evidence", meta.id);
        assert!(!finding.summary.ends_with('.') && !finding.explanation.is_empty(), "{}", meta.id);
        assert!(finding.severity <= meta.severity, "{}: worse than it says", meta.id);
        assert!(
            !finding.fixes.is_empty() || finding.explanation.len() > 60,
            "{}: neither a fix nor a word about it",
            meta.id
        );
        let whole = |f: &&sunup_api::report::Fix| f.diff.is_some() || f.command.is_some();
        assert!(finding.fixes.iter().all(|f| whole(&f)), "{}: {:?}", meta.id, finding.fixes);
    }
}

/// Each fix by itself, on a copy: it is there afterwards, nothing is left to write, and no rule
/// finds anything that it did not find before; a fault of manifests is gone.
#[test]
fn fixes_settle_and_bring_no_new_fault() {
    for meta in rules() {
        let fixes: BTreeSet<String> =
            judge(meta.fires).edits.into_iter().map(|e| e.fix_id).collect();
        for id in fixes {
            let unpacked = Unpacked::of(meta.fires);
            let before = diagnose(&unpacked.read());
            apply(&before, &id, meta);
            let after = diagnose(&unpacked.read());
            let left: Vec<_> = after.edits.iter().filter(|e| e.fix_id == id).collect();
            assert!(left.iter().all(|e| e.already_there), "{} {id}: {left:?}", meta.id);
            let (was, is) = (found(&before.report), found(&after.report));
            assert!(is.iter().all(|r| was.contains(r)), "{} {id}: now {is:?}", meta.id);
            let safe = before.edits.iter().any(|e| e.fix_id == id && e.safety == Safety::Safe);
            if meta.is_lint() && safe {
                assert_eq!(verdict(&after.report, meta), None, "{} {id} does not help", meta.id);
            }
        }
    }
}

fn apply(diagnosis: &Diagnosis, id: &str, meta: &Meta) {
    for edit in diagnosis.edits.iter().filter(|e| e.fix_id == id && !e.already_there) {
        let limits = Limits::default();
        let after = sunup_yaml::edit(&edit.before, &edit.edits, &limits)
            .unwrap_or_else(|e| panic!("{} {id}: {e}", meta.id));
        sunup_yaml::verify(&edit.before, &after, &edit.edits, &limits)
            .unwrap_or_else(|e| panic!("{} {id}: {e}", meta.id));
        std::fs::write(&edit.path, after).expect("the file can be written");
    }
}

#[test]
fn the_order_of_the_evidence_changes_nothing() {
    for fixture in rules().flat_map(|m| [m.fires, m.quiet]) {
        let unpacked = Unpacked::of(fixture);
        let mut files: Vec<PathBuf> =
            pages::files(fixture).iter().map(|(n, _)| unpacked.dir.path().join(n)).collect();
        let first = sunup_doctor::report::json(&diagnose(&read(files.clone())).report);
        files.reverse();
        let turned = sunup_doctor::report::json(&diagnose(&read(files.clone())).report);
        assert_eq!(first, turned);
        files.rotate_left(1);
        let turned = sunup_doctor::report::json(&diagnose(&read(files)).report);
        assert_eq!(first, turned);
    }
}

#[test]
fn reports_and_fixes_are_the_goldens() {
    let mut differ = Vec::new();
    for meta in rules() {
        let diagnosis = judge(meta.fires);
        let look = Look { width: 100, ..Look::default() };
        let styled = sunup_doctor::report::text(&diagnosis.report, &Seen::default(), &look);
        let text = anstream::adapter::strip_str(&styled).to_string();
        differ.extend(golden(&folder(meta).join("fires.report.txt"), &text));
        differ.extend(golden(&folder(meta).join("fires.fix.diff"), &fixes(&diagnosis.report)));
    }
    assert!(differ.is_empty(), "`just bless` writes them anew:\n{}", differ.join("\n"));
}

/// Every fix: its diff, else what to type.
fn fixes(report: &Report) -> String {
    let mut text = String::new();
    for fix in report.findings.iter().flat_map(|f| &f.fixes) {
        let safety = if fix.safety == Safety::Safe { "safe" } else { "unsafe" };
        let _ = writeln!(text, "# {} ({safety}): {}", fix.id, fix.title);
        match (&fix.diff, &fix.command) {
            (Some(diff), _) => text.push_str(diff),
            (None, Some(command)) => {
                let _ = writeln!(text, "{command}");
            }
            (None, None) => text.push_str("(nothing to type)\n"),
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}
