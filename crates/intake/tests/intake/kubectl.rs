//! What kubectl prints.

use super::common::{directory, text};

const POD: &str = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web-0","namespace":"shop","uid":"u","creationTimestamp":"2020-03-31T10:41:10Z"},"spec":{"containers":[{"name":"app","image":"x"},{"name":"istio-proxy","image":"y"}]},"status":{"phase":"Running","containerStatuses":[{"name":"app","ready":true,"restartCount":1,"state":{"running":{"startedAt":"2020-03-31T10:41:15Z"}}}]}}"#;
const EVENT: &str = r#"{"apiVersion":"v1","kind":"Event","metadata":{"name":"e","namespace":"shop"},"involvedObject":{"kind":"Pod","name":"web-0","namespace":"shop","fieldPath":"spec.containers{app}"},"reason":"Started","message":"Started container app","type":"Normal","firstTimestamp":"2020-03-31T10:41:15Z","lastTimestamp":"2020-03-31T10:41:15Z","count":1}"#;

fn pretty(text: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(text).expect("valid");
    serde_json::to_string_pretty(&value).expect("printed")
}

#[test]
fn objects_and_lists_as_json() {
    let list =
        format!(r#"{{"apiVersion":"v1","items":[{POD},{EVENT}],"kind":"List","metadata":{{}}}}"#);
    let typed = format!(
        r#"{{"kind":"PodList","apiVersion":"v1","metadata":{{}},"items":[{}]}}"#,
        POD.replace(r#""apiVersion":"v1","kind":"Pod","#, "")
    );
    for (input, events) in [
        (POD.to_owned(), 0),
        (pretty(POD), 0),
        (list.clone(), 1),
        (pretty(&list), 1),
        (typed.clone(), 0),
        (pretty(&typed), 0),
        (format!("{}\n{}\n", pretty(&list), pretty(EVENT)), 2),
        (format!("{POD}\n{EVENT}\n"), 1),
        (format!("[{POD},{EVENT}]"), 1),
        (pretty(&format!("[{POD},{EVENT}]")), 1),
    ] {
        let got = text(&input);
        assert_eq!(got.unreadable(), Vec::<String>::new(), "{input}");
        let (pod, _) = got.pod().pod.as_ref().expect("the pod");
        assert_eq!((pod.spec.containers.len(), pod.status.container_statuses.len()), (2, 1));
        assert_eq!(got.summary.events, events, "{input}");
    }
}

#[test]
fn lists_as_yaml_small_and_large() {
    let value: serde_json::Value = serde_json::from_str(POD).expect("valid");
    let item = |i: usize| {
        let mut value = value.clone();
        value["metadata"]["name"] = format!("web-{i}").into();
        value["metadata"]["annotations"] = serde_json::json!({"pad": "x".repeat(400)});
        // Flow style inside of a block list is YAML as well.
        format!(
            "- apiVersion: v1\n  kind: Pod\n  metadata: {}\n  spec: {}\n  status: {}\n",
            value["metadata"], value["spec"], value["status"]
        )
    };
    for count in [3usize, 400] {
        let items: String = (0..count).map(item).collect();
        let got = text(format!(
            "apiVersion: v1\nitems:\n{items}kind: List\nmetadata:\n  resourceVersion: \"\"\n"
        ));
        assert_eq!(got.unreadable(), Vec::<String>::new());
        assert_eq!(got.snapshot.pods.len(), count);
        let last =
            got.snapshot.pods.iter().find(|p| p.name.as_deref() == Some("web-2")).expect("it");
        let (_, manifest) = last.pod.as_ref().expect("its object");
        assert_eq!(manifest.item, Some(2));
        assert_eq!(manifest.place.line, Some(if count == 3 { 1 } else { 13 }));
    }
}

#[test]
fn a_wrong_type_names_its_field() {
    let broken = POD.replace(r#"[{"name":"app","image":"x"},"#, r#"[{"name":"app","ports":"80"},"#);
    assert_ne!(broken, POD);
    let got = text(broken);
    let why = &got.unreadable()[0];
    assert!(why.starts_with("-:1: Pod/web-0: spec.containers[0].ports: "), "{why}");
}

#[test]
fn events_of_both_apis() {
    let new = r#"{"apiVersion":"events.k8s.io/v1","kind":"Event","metadata":{"name":"e","namespace":"shop"},"regarding":{"kind":"Pod","name":"web-0","namespace":"shop","fieldPath":"spec.initContainers{vault}"},"reason":"Started","note":"Started container vault","type":"Normal","eventTime":"2020-03-31T10:41:15.123456Z","series":{"count":3,"lastObservedTime":"2020-03-31T10:41:20.000001Z"}}"#;
    let got = text(new);
    assert_eq!(
        got.events(),
        ["Pod/web-0 vault Started 2020-03-31T10:41:15.123456Z Started container vault"]
    );
    let event = &got.pod().events[0].event;
    assert!(event.init);
    assert_eq!(event.last.map(|t| t.to_string()).as_deref(), Some("2020-03-31T10:41:20.000001Z"));
    let old = r#"{"apiVersion":"events.k8s.io/v1","kind":"Event","metadata":{"name":"e","namespace":"shop"},"regarding":{"kind":"Pod","name":"web-0","namespace":"shop"},"reason":"Started","note":"n","type":"Normal","eventTime":null,"deprecatedFirstTimestamp":"2020-03-31T10:41:15Z","deprecatedLastTimestamp":"2020-03-31T10:41:16Z","deprecatedCount":2}"#;
    assert_eq!(text(old).events(), ["Pod/web-0 - Started 2020-03-31T10:41:15Z n"]);
}

#[test]
fn tables_of_events() {
    let plain = "LAST SEEN   TYPE      REASON      OBJECT      MESSAGE\n2m          Normal    Started     pod/web-0   Started container istio-proxy\n90s         Warning   Unhealthy   pod/web-0   Readiness probe failed: HTTP probe  failed\n";
    let all = "NAMESPACE   LAST SEEN   TYPE      REASON      OBJECT      MESSAGE\nshop        2m          Normal    Started     pod/web-0   Started container istio-proxy\nshop        90s         Warning   Unhealthy   pod/web-0   Readiness probe failed: HTTP probe  failed\n";
    let wide = "NAMESPACE   LAST SEEN   TYPE      REASON      OBJECT      SUBOBJECT                      SOURCE          MESSAGE                       FIRST SEEN   COUNT   NAME\nshop        2m          Normal    Started     pod/web-0   spec.containers{istio-proxy}   kubelet, n1     Started container istio-proxy   2m           1       web-0.1\nshop        90s         Warning   Unhealthy   pod/web-0   spec.containers{istio-proxy}   kubelet, n1     Readiness probe failed: HTTP probe  failed   3m  7  web-0.2\n";
    for (input, namespace) in [(plain, None), (all, Some("shop")), (wide, Some("shop"))] {
        let got = text(input);
        assert_eq!(got.unreadable(), Vec::<String>::new(), "{input}");
        assert_eq!(got.summary.events, 2, "{input}");
        assert_eq!(got.pod().namespace.as_deref(), namespace);
        let events = got.events();
        assert!(
            events
                .iter()
                .any(|e| e == "Pod/web-0 istio-proxy Started - Started container istio-proxy"),
            "{events:?}"
        );
        assert!(
            events.iter().any(|e| e.contains("Unhealthy - Readiness probe failed: HTTP probe")),
            "{events:?}"
        );
    }
}

#[test]
fn a_described_pod() {
    let described = "Name:             web-0\nNamespace:        shop\nPriority:         0\nNode:             n1/10.0.0.9\nStart Time:       Tue, 31 Mar 2020 10:41:10 +0000\nLabels:           app=web\n                  istio.io/rev=default\nAnnotations:      proxy.istio.io/config: {}\nStatus:           Pending\nControlled By:    StatefulSet/web\nInit Containers:\n  istio-init:\n    Image:         proxyv2\n    State:          Terminated\n      Reason:       Completed\n      Exit Code:    0\n      Started:      Tue, 31 Mar 2020 10:41:12 +0000\n      Finished:     Tue, 31 Mar 2020 10:41:13 +0000\n    Ready:          True\n    Restart Count:  0\nContainers:\n  app:\n    Image:         x\n    State:          Running\n      Started:      Tue, 31 Mar 2020 10:41:15 +0000\n    Ready:          True\n    Restart Count:  2\n    Environment:\n      A:  b\nConditions:\n  Type              Status\n  Ready             False\nEvents:\n  Type     Reason     Age                From     Message\n  ----     ------     ----               ----     -------\n  Warning  Unhealthy  3s (x12 over 40s)  kubelet  Readiness probe failed: HTTP probe failed\n";
    let got = text(described);
    assert_eq!(got.unreadable(), Vec::<String>::new());
    let (pod, _) = got.pod().pod.as_ref().expect("the pod");
    let init = pod.status.container("istio-init").and_then(|s| s.state.terminated.as_ref());
    assert_eq!(init.and_then(|t| t.finished_at.as_deref()), Some("2020-03-31T10:41:13Z"));
    let app = pod.status.container("app").expect("its status");
    assert_eq!((app.restart_count, app.ready), (2, true));
    assert_eq!(pod.spec.containers[0].env("A"), Some("b"));
    assert_eq!(pod.metadata.labels.len(), 2);
    assert_eq!(got.events(), ["Pod/web-0 - Unhealthy - Readiness probe failed: HTTP probe failed"]);
    assert_eq!(got.pod().events[0].occurrences[0].count, 12);
}

#[test]
fn the_events_of_a_description_alone() {
    let got = text(
        "Events:\n  Type     Reason   Age  From     Message\n  ----     ------   ---- ----     -------\n  Normal   Started  3s   kubelet  Started container istio-proxy\n",
    );
    assert_eq!(got.events(), ["Pod/- istio-proxy Started - Started container istio-proxy"]);
}

#[test]
fn must_gather() {
    let list = format!("{{\"apiVersion\":\"v1\",\"kind\":\"PodList\",\"items\":[{POD}]}}");
    let got = directory(&[
        ("must-gather/namespaces/shop/core/pods.yaml", list.as_bytes()),
        (
            "must-gather/namespaces/shop/pods/web-0/app/app/logs/current.log",
            b"2020-03-31T10:41:15Z up\n",
        ),
        ("must-gather/namespaces/shop/pods/web-0/app/app/logs/previous.log", b""),
    ]);
    assert_eq!(got.unreadable(), Vec::<String>::new());
    assert!(got.pod().pod.is_some());
    assert!(got.pod().logs["app"].previous);
}
