//! Goldens of the text report, from one hand-made report. `SUNUP_BLESS=1` rewrites them.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::json;
use sunup_api::report::Report;

use super::{Look, Seen, headlines, text};

/// The vendor's own example of the fault, with a look-alike, an unknown and an unreadable piece.
pub(super) fn report() -> Report {
    let subject = json!({"namespace": "shop", "kind": "Deployment",
        "name": "post-feature-service-v1",
        "pods": ["post-feature-service-v1-67d56cdd-g7fvb"],
        "container": "post-feature-service"});
    let diff = "--- deploy.yaml\n+++ deploy.yaml\n@@ -9,6 +9,8 @@\n   template:\n     metadata:\n\
                \x20      labels:\n         app: post-feature-service\n+      annotations:\n\
                +        proxy.istio.io/config: '{ \"holdApplicationUntilProxyStarts\": true }'\n\
                \x20    spec:\n       containers:\n";
    serde_json::from_value(json!({
        "schema": "sunup.doctor/v1",
        "findings": [{
            "rule": "app-before-proxy", "cause": null, "severity": "error",
            "verdict": "confirmed", "subject": subject,
            "summary": "post-feature-service was refused by 192.168.9.16:19209 before its \
                        sidecar was ready",
            "explanation": "istio-init had already redirected outbound traffic to istio-proxy, \
                which was still failing its readiness probe at 10:41:58. 192.168.9.16 is captured: \
                no exclusion was handed over, so the mesh's defaults are assumed.",
            "timeline": [
                {"at": "2020-03-31T10:41:15Z", "until": null, "precision": "second",
                 "what": "istio-proxy started", "source": "events.json:41"},
                {"at": "2020-03-31T10:41:15.552128897Z", "until": null, "precision": "exact",
                 "what": "first refused connection", "source": "export.jsonl:17"},
                {"at": "2020-03-31T10:41:21.118Z", "until": null, "precision": "exact",
                 "what": "last refused connection", "source": "export.jsonl:29"},
                {"at": "2020-03-31T10:41:58Z", "until": null, "precision": "second",
                 "what": "istio-proxy still failing its readiness probe",
                 "source": "events.json:97"}],
            "evidence": [
                {"source": "export.jsonl:17", "at": "2020-03-31T10:41:15.552128897Z",
                 "text": "failed to create connection to feature-store redis, err=dial tcp \
                          192.168.9.16:19209: connect: connection refused"},
                {"source": "events.json:97", "at": "2020-03-31T10:41:58Z",
                 "text": "Readiness probe failed: HTTP probe failed with statuscode: 503"}],
            "consequences": ["proxy-not-ready"],
            "fixes": [
                {"id": "hold-application", "safety": "safe", "target": "deploy.yaml",
                 "title": "start the application only after the proxy is ready", "diff": diff,
                 "patch_type": "strategic", "patch": {}, "command": null},
                {"id": "exclude-outbound-port", "safety": "unsafe", "target": "deploy.yaml",
                 "title": "take port 19209 out of the mesh", "diff": null, "patch_type": null,
                 "patch": null, "command": "kubectl -n shop patch deployment \
                    post-feature-service-v1 --type=merge -p '{\"spec\":{}}'"}]}],
        "cleared": [{"rule": "app-before-proxy", "look_alike": "loopback-refused",
            "subject": subject,
            "why": "127.0.0.1:5432 is not captured: the local server was not up yet"}],
        "unknown": [{"rule": "init-before-proxy", "subject": subject,
            "missing": ["pod status", "pod events"],
            "get_it_with": "kubectl -n shop get pods,events -o json"}],
        "unreadable": [{"source": "x.json:3", "why": "not JSON: expected `,` or `}`"}]
    }))
    .expect("the sample follows the contract")
}

pub(super) fn seen() -> Seen {
    Seen {
        counts: vec![(3, "file"), (1, "pod"), (14, "event"), (120_331, "log line")],
        empty: false,
        gaps: vec![("node versions".into(), "kubectl get nodes -o json".into())],
        arguments: Some("deploy.yaml export.jsonl events.json".into()),
        editable: [(0, "hold-application".to_owned())].into(),
        settled: BTreeSet::new(),
    }
}

fn plain(styled: &str) -> String {
    anstream::adapter::strip_str(styled).to_string()
}

pub(super) fn golden(name: &str, got: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/report/golden").join(name);
    if std::env::var_os("SUNUP_BLESS").is_some() {
        std::fs::write(&path, got).expect("the golden can be written");
    }
    let want = std::fs::read_to_string(&path).expect("the golden is there");
    assert!(got == want, "{name} differs; got:\n{got}\nwant:\n{want}");
}

#[test]
fn a_person_sees_what_is_wrong_why_and_what_to_type() {
    golden("full.txt", &plain(&text(&report(), &seen(), &Look::default())));
}

#[test]
fn a_terminal_that_knows_only_ascii_gets_only_ascii() {
    let look = Look { ascii: true, ..Look::default() };
    let got = plain(&text(&report(), &seen(), &look));
    assert!(got.is_ascii(), "{got}");
    golden("ascii.txt", &got);
}

#[test]
fn a_proxy_that_became_ready_closes_its_window() {
    let mut report = report();
    let finding = &mut report.findings[0];
    finding.timeline[3].at = Some("2020-03-31T10:41:22Z".into());
    finding.timeline[3].until = Some("2020-03-31T10:41:24Z".into());
    finding.timeline[3].precision = sunup_api::report::Precision::Between;
    finding.timeline[3].what = "istio-proxy ready".into();
    finding.consequences.clear();
    report.cleared.clear();
    report.unknown.clear();
    report.unreadable.clear();
    golden("ready.txt", &plain(&text(&report, &seen(), &Look::default())));
}

#[test]
fn nothing_found_says_what_was_looked_at_and_what_was_missing() {
    golden("nothing.txt", &plain(&text(&Report::default(), &seen(), &Look::default())));
}

#[test]
fn a_finding_whose_fix_is_in_place_is_told_in_short() {
    let seen = Seen { settled: [0].into(), ..seen() };
    golden("settled.txt", &plain(&text(&report(), &seen, &Look::default())));
}

#[test]
fn of_many_findings_the_first_are_told_in_full_and_all_are_named() {
    let mut report = report();
    let finding = report.findings[0].clone();
    report.findings = (0..200)
        .map(|i| {
            let mut finding = finding.clone();
            finding.subject.name = format!("workload-{i}");
            finding
        })
        .collect();
    let got = plain(&text(&report, &seen(), &Look::default()));
    assert!((0..200).all(|i| got.contains(&format!("shop/workload-{i} "))), "{got}");
    assert_eq!(got.matches("why: ").count(), 10);
    let look = Look { verbose: true, ..Look::default() };
    assert_eq!(plain(&text(&report, &seen(), &look)).matches("why: ").count(), 200);
}

#[test]
fn each_finding_has_a_headline() {
    golden("headlines.txt", &plain(&headlines(&report())));
}

/// Commands, diffs and paths are copied, so they may be longer; nothing else may.
#[test]
fn no_line_but_what_is_copied_is_wider_than_the_page() {
    for width in 60..=120 {
        for verbose in [false, true] {
            let look = Look { width, ascii: false, verbose };
            for line in plain(&text(&report(), &seen(), &look)).lines() {
                let copied = line.starts_with("      ") || line.starts_with("error[");
                assert!(copied || super::paint::width(line) <= width, "{width}: {line}");
            }
        }
    }
}

#[test]
fn what_cannot_be_edited_is_not_offered_to_be() {
    let seen = Seen { editable: Default::default(), ..seen() };
    let got = plain(&text(&report(), &seen, &Look::default()));
    assert!(!got.contains("sunup doctor --fix"), "{got}");
}

#[test]
fn a_report_of_garbage_is_drawn_without_harm() {
    let mut report = report();
    let finding = &mut report.findings[0];
    finding.subject.name = "a\u{1b}[2Jb\nc".into();
    finding.summary = String::new();
    for (i, entry) in finding.timeline.iter_mut().enumerate() {
        entry.at =
            [None, Some("not a time".into()), Some("9999-12-30T00:00:00Z".into())][i % 3].clone();
        entry.what = "\u{1b}[31mx".repeat(i * 50);
    }
    finding.evidence[0].text = "\u{1b}]0;owned\u{7}\n\n\t\u{202e}refused".into();
    finding.evidence[1].text = String::new();
    let got = text(&report, &Seen::default(), &Look { width: 0, ..Look::default() });
    let got = plain(&got);
    assert!(!got.contains('\u{1b}') && !got.contains("owned"), "{got}");
}
