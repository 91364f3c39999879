//! What others wrote steers no terminal, forges no line of ours and is carried out by no shell,
//! wherever it stands: names of objects and files, messages, log lines.

use std::path::Path;

use sunup_doctor::report::{Look, Seen};
use sunup_doctor::{Diagnosis, diagnose, pages, report, rules, stories};
use sunup_evidence::collect::Collector;
use sunup_evidence::scope::Scope;
use sunup_evidence::snapshot::Snapshot;
use sunup_intake::{Input, Options};
use sunup_testkit::drawn::{steers, unstyled};

fn read(folder: &Path) -> Snapshot {
    let mut collector = Collector::new(Scope::default());
    let options = Options { threads: 1, ..Options::default() };
    sunup_intake::read(vec![Input::Path(folder.to_owned())], &options, &mut collector);
    collector.finish()
}

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().expect("below the folder")).expect("made");
    std::fs::write(path, text).expect("written");
}

/// Clears a screen, forges a headline, turns the direction of what follows; no `/`, for it is a
/// file's name as well.
const EVIL: &str = "x\nerror[forged] y\u{1b}[2J\u{1b}]0;title\u{7}\u{9b}31m\u{202e}\u{2066}\u{e0041}\u{2028}\r\u{85}";

/// What runners of CI obey at the beginning of a line, or anywhere.
const COMMANDS: &str = " ::error::z ##[error]y ##vso[z]w\n::add-mask::x";

/// A folder in which everything that has a name has an evil one, and a fault that is found.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    // YAML takes no control character as it is, JSON some.
    let json = |text: &str| {
        let json = serde_json::Value::from(text).to_string();
        sunup_api::show::json(&json).into_owned()
    };
    let (app, ns, pod) =
        (json(EVIL), json(&format!("ns{EVIL}")), format!("{EVIL}-7f8d6c5b9d-q4w8z"));
    let labels = format!("{{app: {app}}}");
    let deployment = format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {app}, namespace: {ns}}}\nspec:\n  \
         selector: {{matchLabels: {labels}}}\n  template:\n    metadata:\n      labels: {labels}\n    \
         spec:\n      containers:\n      - name: {app}\n        image: {app}\n"
    );
    write(folder.path(), &format!("deploy{EVIL}.yaml"), &deployment);
    let state = "state: {running: {startedAt: \"2026-11-03T08:14:21Z\"}}";
    let object = format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {pod}\n  namespace: {ns}\n  uid: \"1\"\n  labels: \
         {{app: {app}, pod-template-hash: 7f8d6c5b9d}}\n  ownerReferences: [{{kind: ReplicaSet, name: \
         {set}, controller: true}}]\nspec:\n  nodeName: {app}\n  initContainers: [{{name: istio-init, \
         image: i}}]\n  containers:\n  - {{name: {app}, image: {app}}}\n  - {{name: istio-proxy, image: \
         p}}\nstatus:\n  phase: Running\n  message: {app}\n  containerStatuses:\n  - {{name: {app}, \
         ready: true, restartCount: 1, {state}, lastState: {{terminated: {{exitCode: 1, reason: {app}, \
         message: {app}, finishedAt: \"2026-11-03T08:14:20Z\"}}}}}}\n  - {{name: istio-proxy, ready: \
         true, restartCount: 0, {state}}}\n",
        pod = json(&pod),
        set = json(&format!("{EVIL}-7f8d6c5b9d")),
    );
    write(folder.path(), "pod.yaml", &object);
    let event = format!(
        "apiVersion: v1\nkind: Event\nmetadata: {{name: e, namespace: {ns}}}\ninvolvedObject: {{kind: Pod, \
         name: {pod}, namespace: {ns}}}\nreason: {app}\nmessage: {said}\nfirstTimestamp: \
         \"2026-11-03T08:14:22Z\"\n",
        pod = json(&pod),
        said = json(&format!("{EVIL}{COMMANDS}")),
    );
    write(folder.path(), "event.yaml", &event);
    // `##[` is what a runner's own log has.
    let line = format!("{EVIL}{COMMANDS}").replace(['\n', '\r'], " ").replace("##[", "##");
    let proxy = "2026-11-03T08:14:06.290200001Z info Starting proxy agent\n2026-11-03T08:14:09.300200107Z \
        warn Envoy proxy is NOT ready: config not received from XDS server (is Istiod running?): cds \
        updates: 0 successful, 0 rejected; lds updates: 0 successful, 0 rejected\n\
        2026-11-03T08:14:10.418200447Z info Envoy proxy is ready\n";
    write(folder.path(), &format!("{pod}.istio-proxy.log"), proxy);
    let refused = format!(
        "2026-11-03T08:14:07.931000122Z {line} dial tcp 10.30.4.7:5432: connect: connection refused {line}\n"
    );
    write(folder.path(), &format!("{pod}.{EVIL}.previous.log"), &refused);
    write(folder.path(), &format!("{EVIL}.json"), "{\"kind\": \"Pod\", \"metadata\": {\"name\": ");
    folder
}

#[test]
fn no_text_of_the_evidence_steers_a_terminal_or_forges_a_line() {
    let folder = folder();
    let snapshot = read(folder.path());
    let Diagnosis { report, edits } = diagnose(&snapshot);
    let all = stories(&snapshot);
    assert!(report.findings.iter().any(|f| f.fixes.iter().any(|fix| fix.diff.is_some())));
    assert!(!report.unreadable.is_empty() && !edits.is_empty());
    let evil = format!("{EVIL}{COMMANDS}");
    let gaps = vec![(evil.clone(), evil)];
    let seen = Seen { gaps, ..Seen::default() };
    let look = Look { verbose: true, ..Look::default() };
    for (format, drawn) in [
        ("text", unstyled(&report::text(&report, &seen, &look))),
        ("headlines", unstyled(&report::headlines(&report))),
        ("json", report::json(&report)),
        ("html", report::html(&report, &all, &seen)),
        ("markdown", report::markdown(&report)),
        ("sarif", report::sarif(&report)),
        ("github", report::github(&report)),
    ] {
        assert_eq!(steers(&drawn), None, "{format}: {drawn}");
        assert!(drawn.contains("forged"), "{format} has nothing of it: the test shows nothing");
        // A browser breaks lines elsewhere.
        let lines = drawn.lines().filter(|line| line.starts_with("error[forged]"));
        assert!(format == "html" || lines.count() == 0, "{format}: {drawn}");
        let begins = |line: &str, word| line.trim_start().starts_with(word);
        if format == "github" {
            assert!(drawn.lines().all(|line| line.starts_with("::")), "{drawn}");
        } else {
            assert!(!drawn.lines().any(|line| begins(line, "::error::")), "{format}: {drawn}");
        }
        assert!(!drawn.lines().any(|line| begins(line, "::add-mask::")), "{format}: {drawn}");
        assert!(!drawn.contains("##[") && !drawn.contains("##vso["), "{format}: {drawn}");
    }
    let read_back: sunup_api::report::Report =
        serde_json::from_str(&report::json(&report)).expect("a report");
    assert_eq!(read_back, report, "as data it is what it was");
}

/// What a shell would see outside of quotes and remarks; `None` where a quote stays open.
fn bare(command: &str) -> Option<String> {
    let mut out = String::new();
    let mut chars = command.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                chars.next();
            }
            '$' if chars.peek() == Some(&'\'') => {
                chars.next();
                loop {
                    match chars.next()? {
                        '\\' => {
                            chars.next();
                        }
                        '\'' => break,
                        _ => {}
                    }
                }
            }
            '\'' => while chars.next()? != '\'' {},
            '#' if out.is_empty() || out.ends_with([' ', '\n']) => {
                while chars.next_if(|c| *c != '\n').is_some() {}
            }
            c => out.push(c),
        }
    }
    Some(out)
}

/// Names in a fixture that somebody chose.
fn names(fixture: &str) -> Vec<String> {
    let known = ["istio", "kube", "Istio", "vault", "linkerd", "ztunnel"];
    let mut names: Vec<String> = Vec::new();
    for key in ["name: ", "namespace: ", "\"name\":\"", "\"namespace\":\"", "\"name\": \""] {
        for (at, _) in fixture.match_indices(key) {
            let rest = fixture[at + key.len()..].trim_start_matches('"');
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
            let name = &rest[..end.unwrap_or(rest.len())];
            if name.len() > 3 && !known.iter().any(|word| name.starts_with(word)) {
                names.push(name.to_owned());
            }
        }
    }
    names.sort();
    names.dedup();
    // A pod's name begins with its owner's, which stays its beginning.
    let shorter = names.clone();
    names.retain(|name| !shorter.iter().any(|s| s != name && name.starts_with(s.as_str())));
    names
}

#[test]
fn no_name_is_carried_out_where_a_command_is_pasted() {
    const MARK: &str = "';zq";
    let (mut wrong, mut seen) = (String::new(), std::collections::BTreeSet::new());
    for meta in rules() {
        for name in names(meta.fires) {
            let folder = tempfile::tempdir().expect("a folder");
            for (file, text) in pages::files(meta.fires) {
                let mean = |text: &str| text.replace(&name, &format!("{name}{MARK}"));
                write(folder.path(), &mean(file), &mean(text));
            }
            let report = diagnose(&read(folder.path())).report;
            let fixes = report.findings.iter().flat_map(|finding| &finding.fixes);
            let commands = fixes.filter_map(|fix| fix.command.as_ref());
            let commands =
                commands.chain(report.unknown.iter().filter_map(|u| u.get_it_with.as_ref()));
            for command in commands.filter(|command| command.contains("zq")) {
                seen.insert(meta.id);
                if bare(command).is_none_or(|bare| bare.contains("zq")) {
                    wrong.push_str(&format!("{}: {command}\n", meta.id));
                }
            }
        }
    }
    assert!(seen.len() >= 20, "of {} rules there is a command with a name in it", seen.len());
    assert!(wrong.is_empty(), "{wrong}");
}
