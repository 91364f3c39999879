//! Cloud Logging exports and what other collectors write.

use super::common::{REFUSED, entry, text};

const AT: &str = "2020-03-31T10:41:15.552128897Z";
const WANT: &str = "shop/web-5d4f8c7b9-x7k2p/app";

fn want(line: u64) -> Vec<String> {
    vec![format!("{WANT} -:{line} {AT} {REFUSED}")]
}

#[test]
fn lines_arrays_pages_and_single_entries() {
    let refused = entry(REFUSED, AT);
    let quiet = entry("up", AT);
    let pretty = |text: &str| {
        let value: serde_json::Value = serde_json::from_str(text).expect("valid");
        serde_json::to_string_pretty(&value).expect("printed")
    };
    for (input, line) in [
        (format!("{quiet}\n{refused}\n"), 2),
        (format!("\u{feff}{quiet}\r\n{refused}"), 2),
        (format!("[{quiet},\n{refused}]"), 2),
        (format!("[\n{quiet},\n{refused}\n]\n"), 3),
        (pretty(&format!("[{quiet},{refused}]")), quiet_lines(&pretty(&quiet)) + 2),
        (format!("{{\"entries\":[{quiet},{refused}],\"nextPageToken\":\"x\"}}"), 1),
        (pretty(&refused), 1),
        (refused.clone(), 1),
    ] {
        let got = text(&input);
        assert_eq!(got.refusals(), want(line), "{input}");
        assert_eq!(got.unreadable(), Vec::<String>::new(), "{input}");
        let pod = got.pod();
        assert_eq!(pod.controller, Some(("Deployment".to_owned(), "web".to_owned())));
        assert_eq!(pod.template_hash.as_deref(), Some("5d4f8c7b9"));
    }
}

fn quiet_lines(pretty: &str) -> u64 {
    pretty.lines().count() as u64
}

#[test]
fn gcloud_prints_yaml_by_default() {
    let got = text(format!(
        "---\ninsertId: a\nlogName: projects/p/logs/stderr\nresource:\n  labels:\n    container_name: app\n    namespace_name: shop\n    pod_name: web-5d4f8c7b9-x7k2p\n  type: k8s_container\ntextPayload: '{REFUSED}'\ntimestamp: '{AT}'\n"
    ));
    assert_eq!(got.refusals().len(), 1, "{:?}", got.unreadable());
    assert!(got.refusals()[0].contains(AT));
}

#[test]
fn letters_hidden_by_escapes_are_found() {
    let hidden = REFUSED.replace("refused", "\\u0072efused");
    let mut input = String::new();
    for _ in 0..60 {
        input.push_str(&entry("up", AT));
        input.push('\n');
    }
    input.push_str(&entry(&hidden, AT));
    assert_eq!(text(&input).refusals(), want(61));
}

#[test]
fn json_payloads_keep_what_stands_beside_the_message() {
    for payload in [
        format!(r#"{{"message":"{REFUSED}"}}"#),
        format!(r#"{{"msg":"no cache","error":"{REFUSED}"}}"#),
        format!(r#"{{"message":"no cache","err":{{"message":"{REFUSED}","code":1}}}}"#),
        format!(r#"{{"log":"no cache","deep":{{"down":["{REFUSED}"]}}}}"#),
        format!(r#"{{"unusual":"{REFUSED}"}}"#),
    ] {
        let whole =
            entry("@", AT).replace("\"textPayload\":\"@\"", &format!("\"jsonPayload\":{payload}"));
        let got = text(&whole);
        assert_eq!(got.refusals().len(), 1, "{payload}");
        assert!(got.refusals()[0].contains(REFUSED), "{:?}", got.refusals());
    }
}

#[test]
fn events_in_an_export() {
    let event = r#"{"insertId":"e","jsonPayload":{"apiVersion":"v1","involvedObject":{"fieldPath":"spec.containers{istio-proxy}","kind":"Pod","name":"web-5d4f8c7b9-x7k2p","namespace":"shop"},"kind":"Event","message":"Readiness probe failed: HTTP probe failed with statuscode: 503","metadata":{"name":"x"},"reason":"Unhealthy","source":{"component":"kubelet"},"type":"Warning","firstTimestamp":"2020-03-31T10:41:17Z","lastTimestamp":"2020-03-31T10:41:58Z","count":5},"logName":"projects/p/logs/events","resource":{"labels":{"namespace_name":"shop","pod_name":"web-5d4f8c7b9-x7k2p"},"type":"k8s_pod"},"severity":"WARNING","timestamp":"2020-03-31T10:41:58Z"}"#;
    let mut input = String::new();
    for _ in 0..60 {
        input.push_str(&entry("up", AT));
        input.push('\n');
    }
    input.push_str(event);
    let got = text(&input);
    assert_eq!(
        got.events(),
        [
            "Pod/web-5d4f8c7b9-x7k2p istio-proxy Unhealthy 2020-03-31T10:41:17Z Readiness probe failed: HTTP probe failed with statuscode: 503"
        ]
    );
    let run = &got.pod().events[0];
    assert_eq!(run.event.last.map(|t| t.to_string()).as_deref(), Some("2020-03-31T10:41:58Z"));
    assert_eq!((run.occurrences[0].count, run.event.warning), (5, true));
}

#[test]
fn legacy_container_resources() {
    let input = format!(
        r#"{{"logName":"l","resource":{{"type":"container","labels":{{"namespace_id":"shop","pod_id":"web-5d4f8c7b9-x7k2p","container_name":"app"}}}},"labels":{{"container.googleapis.com/pod_name":"web-5d4f8c7b9-x7k2p"}},"textPayload":"{REFUSED}","timestamp":"{AT}"}}"#
    );
    assert_eq!(text(input).refusals(), want(1));
}

#[test]
fn receive_time_where_no_other_is_there() {
    let input = entry(REFUSED, AT).replace(&format!(",\"timestamp\":\"{AT}\""), "");
    assert!(text(input).refusals()[0].contains("2020-03-31T10:41:16Z"));
}

#[test]
fn other_collectors() {
    for input in [
        format!(
            r#"{{"log":"{REFUSED}\n","stream":"stderr","time":"{AT}","kubernetes":{{"namespace_name":"shop","pod_name":"web-5d4f8c7b9-x7k2p","container_name":"app"}}}}"#
        ),
        format!(
            r#"{{"@timestamp":"{AT}","message":"{REFUSED}","kubernetes":{{"namespace":"shop","pod":{{"name":"web-5d4f8c7b9-x7k2p"}},"container":{{"name":"app"}}}}}}"#
        ),
        format!(
            r#"{{"message":"{AT} {REFUSED}","namespace":"shop","podName":"web-5d4f8c7b9-x7k2p","containerName":"app"}}"#
        ),
        format!(
            r#"{{"labels":{{"namespace":"shop","pod":"web-5d4f8c7b9-x7k2p","container":"app"}},"line":"{REFUSED}","timestamp":"{AT}"}}"#
        ),
    ] {
        let got = text(format!("{input}\n{input}\n"));
        assert_eq!(got.refusals().len(), 2, "{input}");
        let first = &got.refusals()[0];
        assert!(first.starts_with(&format!("{WANT} -:1 {AT}")), "{first}");
        assert!(first.contains(REFUSED), "{first}");
    }
}

#[test]
fn json_of_other_tools_is_no_log() {
    let got = text(format!("{{\n \"findings\": [{{\"text\": \"{REFUSED}\"}}]\n}}\n"));
    assert!(got.refusals().is_empty());
    assert_eq!(got.unreadable(), Vec::<String>::new());
    assert!(got.summary.read.is_passed_over() && got.summary.is_empty());
}
