//! One hand-made report for the tests of all formats, and their goldens. `SUNUP_BLESS=1` rewrites
//! these.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::json;
use sunup_api::report::Report;

use super::look::Seen;

/// The vendor's own example of the fault, with a look-alike, an unknown and an unreadable piece.
pub(crate) fn report() -> Report {
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

pub(crate) fn seen() -> Seen {
    Seen {
        counts: vec![(3, "file"), (1, "pod"), (14, "event"), (120_331, "log line")],
        empty: false,
        gaps: vec![("node versions".into(), "kubectl get nodes -o json".into())],
        arguments: Some("deploy.yaml export.jsonl events.json".into()),
        editable: [(0, "hold-application".to_owned())].into(),
        settled: BTreeSet::new(),
    }
}

pub(crate) fn golden(name: &str, got: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/report/golden").join(name);
    if std::env::var_os("SUNUP_BLESS").is_some() {
        std::fs::write(&path, got).expect("the golden can be written");
    }
    let want = std::fs::read_to_string(&path).expect("the golden is there");
    assert!(got == want, "{name} differs; got:\n{got}\nwant:\n{want}");
}
