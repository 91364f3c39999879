//! Rules on evidence handed over directly, without readers: windows, shapes, look-alikes.

use std::borrow::Cow;
use std::sync::Arc;

use sunup_api::report::{Precision, Report, Verdict};
use sunup_doctor::diagnose;
use sunup_evidence::collect::Collector;
use sunup_evidence::line::notice;
use sunup_evidence::object::{Manifest, Object, Origin};
use sunup_evidence::record::{ContainerRef, Event, LogLine, Place};
use sunup_evidence::scope::Scope;

const POD: &str = "post-feature-service-v1-67d56cdd-g7fvb";

/// One thing that was handed over.
#[derive(Clone)]
enum Piece {
    Line(&'static str, &'static str, &'static str),
    Event(&'static str, &'static str, &'static str),
    Object(serde_json::Value),
}

use Piece::{Event as Ev, Line, Object as Obj};

fn report(pieces: &[Piece]) -> Report {
    let mut collector = Collector::new(Scope::default());
    let file: Arc<str> = "input".into();
    for (i, piece) in pieces.iter().enumerate() {
        give(&mut collector, &file, i as u64 + 1, piece);
    }
    diagnose(&collector.finish()).report
}

fn give(collector: &mut Collector, file: &Arc<str>, line: u64, piece: &Piece) {
    match piece {
        Line(container, at, text) => {
            let whose = ContainerRef {
                namespace: Some(Cow::Borrowed("shop")),
                pod: Some(Cow::Borrowed(POD)),
                container: Some(Cow::Borrowed(container)),
                ..ContainerRef::default()
            };
            let at = (!at.is_empty()).then(|| at.parse().unwrap());
            let line = LogLine { container: whose, at, text: Cow::Borrowed(text), line };
            if let Some(noticed) = notice(&line, &Scope::default()) {
                collector.line(file, noticed);
            }
        }
        Ev(container, at, message) => collector.event(Event {
            namespace: Some("shop".into()),
            kind: "Pod".into(),
            name: Some(POD.into()),
            container: Some(container.trim_start_matches("init:").to_string()),
            init: container.starts_with("init:"),
            reason: message.split(' ').next().unwrap().into(),
            message: (*message).into(),
            first: Some(at.parse().unwrap()),
            last: Some(at.parse().unwrap()),
            count: 1,
            place: Some(Place::new(file, line)),
            ..Event::default()
        }),
        Obj(value) => collector.object(
            Object::from_value(value).unwrap(),
            Manifest {
                place: Place::new(file, line),
                path: None,
                document: 0,
                item: None,
                origin: Origin::Export,
                text: None,
                sound: false,
            },
        ),
    }
}

const FAILING: &str = "Readiness probe failed: HTTP probe failed with statuscode: 503";
const REFUSED: &str = "failed to create connection to feature-store redis, \
    err=dial tcp 192.168.9.16:19209: connect: connection refused";

fn seed() -> Vec<Piece> {
    vec![
        Ev("istio-proxy", "2020-03-31T10:41:15Z", "Created container"),
        Ev("istio-proxy", "2020-03-31T10:41:15Z", "Started container"),
        Ev("post-feature-service", "2020-03-31T10:41:15Z", "Created container"),
        Ev("istio-proxy", "2020-03-31T10:41:17Z", FAILING),
        Ev("istio-proxy", "2020-03-31T10:41:26Z", FAILING),
        Ev("istio-proxy", "2020-03-31T10:41:58Z", FAILING),
        Line("post-feature-service", "2020-03-31T10:41:15.552128897Z", REFUSED),
    ]
}

#[test]
fn a_refusal_before_the_last_failed_probe_is_confirmed() {
    let report = report(&seed());
    let [finding] = report.findings.as_slice() else { panic!("{report:#?}") };
    assert_eq!(finding.rule, "app-before-proxy");
    assert_eq!(finding.verdict, Verdict::Confirmed);
    assert_eq!(finding.subject.kind, "Deployment");
    assert_eq!(finding.subject.name, "post-feature-service-v1");
    assert_eq!(finding.fixes[0].id, "hold-application");
    let at = |precision| {
        let entry = finding.timeline.iter().find(|e| e.precision == precision);
        entry.and_then(|e| e.at.clone())
    };
    assert_eq!(at(Precision::Exact).as_deref(), Some("2020-03-31T10:41:15.552128897Z"));
    assert_eq!(at(Precision::NotBefore).as_deref(), Some("2020-03-31T10:41:58Z"));
}

#[test]
fn the_order_of_the_input_does_not_matter() {
    let pieces = seed();
    let said = |pieces: &[Piece]| {
        let mut report = report(pieces);
        // Line numbers are the pieces' own places here.
        report.findings.iter_mut().for_each(|f| {
            f.timeline.iter_mut().for_each(|t| t.source.clear());
            f.evidence.iter_mut().for_each(|e| e.source.clear());
            f.explanation.clear();
        });
        serde_json::to_string(&report).unwrap()
    };
    let first = said(&pieces);
    let mut turned = pieces.clone();
    for _ in 0..pieces.len() {
        turned.rotate_left(1);
        assert_eq!(said(&turned), first);
    }
    turned.reverse();
    assert_eq!(said(&turned), first);
}

#[test]
fn a_refusal_after_ready_is_the_destinations_own() {
    let report = report(&[
        Line("istio-proxy", "2024-05-01T10:00:03.100Z", "info\tEnvoy proxy is ready"),
        Line("web", "2024-05-01T10:00:09Z", "dial tcp 10.0.0.9:6379: connect: connection refused"),
    ]);
    assert!(report.findings.is_empty(), "{report:#?}");
    assert_eq!(report.cleared[0].look_alike, "destination-refuses");
}

#[test]
fn a_destination_that_goes_on_refusing_is_cleared() {
    let report = report(&[
        Line("web", "2024-05-01T10:00:01Z", "dial tcp 10.0.0.9:6379: connect: connection refused"),
        Line("istio-proxy", "2024-05-01T10:00:03.100Z", "info\tEnvoy proxy is ready"),
        Line("web", "2024-05-01T10:00:06Z", "dial tcp 10.0.0.9:6379: connect: connection refused"),
    ]);
    assert!(report.findings.is_empty(), "{report:#?}");
    assert_eq!(report.cleared[0].look_alike, "destination-refuses");
}

#[test]
fn the_local_server_is_cleared_as_loopback() {
    let report = report(&[
        Line("web", "2024-05-01T10:00:01Z", "connect ECONNREFUSED 127.0.0.1:5432"),
        Line("istio-proxy", "2024-05-01T10:00:03.100Z", "info\tEnvoy proxy is ready"),
    ]);
    assert!(report.findings.is_empty(), "{report:#?}");
    assert_eq!(report.cleared[0].look_alike, "loopback-refused");
}

#[test]
fn without_any_sign_of_a_proxy_nothing_is_claimed() {
    let report =
        report(&[Line("web", "2024-05-01T10:00:01Z", "connect ECONNREFUSED 10.1.2.3:5432")]);
    assert!(report.findings.is_empty() && report.cleared.is_empty(), "{report:#?}");
    assert_eq!(report.unknown[0].rule, "app-before-proxy");
    assert!(report.unknown[0].get_it_with.is_some());
}

fn vault(init: &[&str], native: bool) -> Piece {
    let one = |name: &&str| {
        if *name == "istio-proxy" {
            serde_json::json!({"name": name, "restartPolicy": "Always"})
        } else {
            serde_json::json!({"name": name})
        }
    };
    let inits: Vec<_> = init.iter().map(one).collect();
    let mut containers = vec![serde_json::json!({"name": "web"})];
    if !native {
        containers.push(serde_json::json!({"name": "istio-proxy"}));
    }
    Obj(serde_json::json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": POD, "namespace": "shop", "uid": "1"},
        "spec": {"initContainers": inits, "containers": containers},
        "status": {"phase": "Pending", "initContainerStatuses": [
            {"name": "vault-agent-init", "state": {"running": {"startedAt": "2024-05-01T10:00:01Z"}}}
        ]}
    }))
}

const LOGIN: &str = "[ERROR] auth.handler: error authenticating: error=\"Put \
    \\\"http://vault.vault.svc:8200/v1/auth/kubernetes/login\\\": dial tcp 10.8.1.4:8200: \
    connect: connection refused\" backoff=1s";

#[test]
fn the_cell_of_the_matrix_names_the_cause() {
    let cells: [(&[&str], bool, Option<&str>, &str); 6] = [
        (
            &["istio-init", "vault-agent-init"],
            false,
            Some("webhook-order"),
            "exclude-outbound-range",
        ),
        (&["istio-validation", "vault-agent-init"], false, Some("cni"), "exclude-outbound-range"),
        (
            &["vault-agent-init", "istio-validation", "istio-proxy"],
            true,
            Some("left-over-workaround"),
            "remove-agent-init-first",
        ),
        (&["vault-agent-init", "istio-init"], false, None, ""),
        (&["istio-init", "istio-proxy", "vault-agent-init"], true, None, ""),
        (&["istio-validation", "istio-proxy", "vault-agent-init"], true, None, ""),
    ];
    for (init, native, cause, first_fix) in cells {
        let report =
            report(&[vault(init, native), Line("vault-agent-init", "2024-05-01T10:00:02Z", LOGIN)]);
        match cause {
            Some(cause) => {
                let [finding] = report.findings.as_slice() else { panic!("{init:?} {report:#?}") };
                assert_eq!(finding.rule, "init-before-proxy");
                assert_eq!(finding.cause.as_deref(), Some(cause));
                assert_eq!(finding.verdict, Verdict::Confirmed);
                assert_eq!(finding.fixes[0].id, first_fix, "{init:?}");
                let no_hold = finding.fixes.iter().all(|f| f.id != "hold-application");
                assert!(no_hold && finding.explanation.contains("hold"));
            }
            None => {
                assert!(report.findings.is_empty(), "{init:?} {report:#?}");
                assert_eq!(report.cleared[0].look_alike, "destination-refuses", "{init:?}");
            }
        }
    }
}

#[test]
fn a_low_port_that_may_not_be_bound_is_confirmed_by_its_line() {
    let line = "Error adding/updating listener(s) 0.0.0.0_80: cannot bind '0.0.0.0:80': \
                Permission denied";
    let found = report(&[Line("istio-proxy", "2024-05-01T10:00:02Z", line)]);
    let [finding] = found.findings.as_slice() else { panic!("{found:#?}") };
    assert_eq!(finding.rule, "gateway-privileged-port");
    assert_eq!(finding.verdict, Verdict::Confirmed);
    assert_eq!(finding.fixes[0].id, "gateway-sysctl");
    let taken = line.replace("Permission denied", "Address already in use");
    let taken: &'static str = Box::leak(taken.into_boxed_str());
    let found = report(&[Line("istio-proxy", "2024-05-01T10:00:02Z", taken)]);
    let [finding] = found.findings.as_slice() else { panic!("{found:#?}") };
    assert_eq!(finding.rule, "port-taken");
}
