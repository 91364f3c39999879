//! Lanes of small pods, and the honesty of their ends.

use serde_json::json;
use sunup_evidence::collect::Collector;
use sunup_evidence::object::{Manifest, Object, Origin};
use sunup_evidence::record::{Event, Place};
use sunup_evidence::scope::Scope;

use super::{End, Role, State, Story, TickKind, stories};

fn place(line: u64) -> Place {
    Place::new(&"pod.json".into(), line)
}

fn drawn(pod: serde_json::Value, events: Vec<Event>) -> Vec<Story> {
    let mut collector = Collector::new(Scope::default());
    let pod = serde_json::from_value(pod).expect("a pod");
    let manifest = Manifest {
        place: place(1),
        path: None,
        document: 0,
        item: None,
        origin: Origin::Export,
        text: None,
        sound: false,
    };
    collector.object(Object::Pod(Box::new(pod)), manifest);
    events.into_iter().for_each(|event| collector.event(event));
    stories(&collector.finish())
}

fn ran(name: &str, from: &str, to: &str, code: i32) -> serde_json::Value {
    json!({"name": name, "ready": false, "restartCount": 0, "lastState": {}, "state": {
        "terminated": {"exitCode": code, "startedAt": from, "finishedAt": to}}})
}

fn runs(name: &str, from: &str, ready: bool) -> serde_json::Value {
    json!({"name": name, "ready": ready, "restartCount": 0, "lastState": {},
        "state": {"running": {"startedAt": from}}})
}

fn pod(proxy_ready: bool) -> serde_json::Value {
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "web-1", "namespace": "shop", "uid": "1"},
        "spec": {"initContainers": [{"name": "istio-init"}, {"name": "migrate"}],
            "containers": [{"name": "istio-proxy"}, {"name": "web"}]},
        "status": {"phase": "Running", "startTime": "2026-11-03T10:00:00Z",
            "conditions": [],
            "initContainerStatuses": [
                ran("istio-init", "2026-11-03T10:00:01Z", "2026-11-03T10:00:02Z", 0),
                ran("migrate", "2026-11-03T10:00:03Z", "2026-11-03T10:00:04Z", 1)],
            "containerStatuses": [runs("istio-proxy", "2026-11-03T10:00:05Z", proxy_ready),
                runs("web", "2026-11-03T10:00:05Z", true)]}})
}

fn unhealthy(at: &str) -> Event {
    Event {
        namespace: Some("shop".into()),
        kind: "Pod".into(),
        name: Some("web-1".into()),
        container: Some("istio-proxy".into()),
        reason: "Unhealthy".into(),
        message: "Readiness probe failed: HTTP probe failed with statuscode: 503".into(),
        warning: true,
        first: at.parse().ok(),
        last: at.parse().ok(),
        count: 1,
        place: Some(place(9)),
        ..Event::default()
    }
}

#[test]
fn lanes_come_in_the_order_of_a_start() {
    let stories = drawn(pod(false), Vec::new());
    let [story] = stories.as_slice() else { panic!("one pod: {stories:?}") };
    let lanes: Vec<(&str, Role)> = story.lanes.iter().map(|l| (l.name.as_str(), l.role)).collect();
    assert_eq!(
        lanes,
        [
            ("istio-init", Role::Init),
            ("migrate", Role::Init),
            ("redirect", Role::Capture),
            ("istio-proxy", Role::Proxy),
            ("web", Role::Application)
        ]
    );
    assert_eq!(story.lanes[1].spans[0].state, State::Failed);
    assert_eq!(story.lanes[4].spans[0].to, End::Open, "it still runs");
}

#[test]
fn a_proxy_that_waits_still_is_not_ready_to_the_end() {
    let story = &drawn(pod(false), vec![unhealthy("2026-11-03T10:00:09Z")])[0];
    let proxy = &story.lanes[3];
    let [span] = proxy.spans.as_slice() else { panic!("{proxy:?}") };
    assert_eq!((span.state, &span.to), (State::NotReady, &End::Open));
    assert_eq!(proxy.ticks[0].kind, TickKind::Unready);
}

#[test]
fn between_the_last_failed_probe_and_the_first_sign_of_readiness_it_may_be_either() {
    let mut object = pod(true);
    object["status"]["conditions"] = json!([{"type": "Ready", "status": "True",
        "lastTransitionTime": "2026-11-03T10:00:20Z"}]);
    let story = &drawn(object, vec![unhealthy("2026-11-03T10:00:09Z")])[0];
    let [waits, ready] = story.lanes[3].spans.as_slice() else { panic!("{story:?}") };
    let End::At(turn) = &waits.to else { panic!("{waits:?}") };
    let second = |text: &str| Some(format!("2026-11-03T10:00:{text}Z").parse().expect("a time"));
    assert_eq!((turn.lo, turn.hi), (second("09"), second("21")));
    assert_eq!(ready.from.as_ref(), Some(turn), "what ends there begins there");
    assert!(turn.source.contains("pod.json:9"), "both bounds are named: {}", turn.source);
}

#[test]
fn a_pod_of_which_no_time_is_known_has_no_drawing() {
    let bare = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "uid": "1"},
        "spec": {"containers": [{"name": "x"}]}, "status": {"phase": "Pending"}});
    assert_eq!(drawn(bare, Vec::new()), []);
}
