//! Pods in whatever order in, looks and news out.

#![expect(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};
use sunup_api::report::{Finding, Severity, Subject, Verdict};
use sunup_watch::{At, Look, Outcome, Pod, Settings, Warning, Watch};

const START: &str = "2026-11-23T10:00:00Z";

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The same second by both clocks.
fn at(seconds: u64) -> At {
    let start: Timestamp = START.parse().unwrap();
    let wall = start + jiff::SignedDuration::from_secs(i64::try_from(seconds).unwrap());
    At { now: s(seconds), wall }
}

fn stamp(seconds: u64) -> String {
    at(seconds).wall.to_string()
}

/// The `number`th pod of an owner that was taken by its kubelet at 0, with more of its status.
fn pod(owner: &str, number: usize, status: &Value) -> Pod {
    let mut object = json!({
        "metadata": {"namespace": "shop", "name": format!("{owner}-{number}"),
            "uid": format!("uid-{owner}-{number}"), "creationTimestamp": START,
            "ownerReferences": [{"kind": "ReplicaSet", "name": owner, "uid": format!("rs-{owner}"),
                "controller": true}]},
        "status": {"phase": "Running", "startTime": START}});
    for (key, value) in status.as_object().unwrap() {
        object["status"][key] = value.clone();
    }
    Pod::read(&object)
}

fn ready(seconds: u64) -> Value {
    json!([{"type": "Ready", "status": "True", "lastTransitionTime": stamp(seconds)}])
}

fn restarted(container: &str, times: u64, seconds: u64) -> Value {
    json!([{"name": container, "restartCount": times, "state": {"running": {}},
        "lastState": {"terminated": {"exitCode": 1, "reason": "Error",
            "finishedAt": stamp(seconds)}}}])
}

fn finding(rule: &str, workload: &str, verdict: Verdict) -> Finding {
    Finding {
        rule: rule.to_owned(),
        cause: None,
        severity: Severity::Error,
        verdict,
        subject: Subject {
            namespace: Some("shop".to_owned()),
            kind: "Deployment".to_owned(),
            name: workload.to_owned(),
            ..Subject::default()
        },
        summary: String::new(),
        explanation: String::new(),
        timeline: Vec::new(),
        evidence: Vec::new(),
        consequences: Vec::new(),
        fixes: Vec::new(),
    }
}

/// All looks that come up until then, each judged at once.
fn run(watch: &mut Watch, from: u64, to: u64, judge: impl Fn(&Look) -> Vec<Finding>) -> Vec<Look> {
    let mut looks = Vec::new();
    for second in from..=to {
        watch.tick(s(second));
        while let Some(look) = watch.next(s(second)) {
            watch.judged(&look, &Outcome::Judged(&judge(&look)), s(second));
            looks.push(look);
        }
    }
    looks
}

fn nothing(_: &Look) -> Vec<Finding> {
    Vec::new()
}

#[test]
fn what_is_a_reason_to_look_and_what_is_none() {
    let waiting = |container: &str, reason: &str| json!([{"name": container, "state": {"waiting": {"reason": reason}}}]);
    let ended = |code: i64, reason: &str, seconds: u64| {
        json!([{"name": "app", "restartCount": 0, "state": {"terminated":
            {"exitCode": code, "reason": reason, "finishedAt": stamp(seconds)}}}])
    };
    let table: &[(&str, Value, Value, &[&str])] = &[
        (
            "it runs",
            json!({}),
            json!({"containerStatuses": [{"name": "app", "restartCount": 0}]}),
            &[],
        ),
        (
            "it was started again",
            json!({}),
            json!({"containerStatuses": restarted("app", 1, 3)}),
            &["app ended (exit code 1)"],
        ),
        (
            "and again",
            json!({"containerStatuses": restarted("app", 1, 3)}),
            json!({"containerStatuses": restarted("app", 2, 9)}),
            &["app ended (exit code 1)"],
        ),
        (
            "nothing new",
            json!({"containerStatuses": restarted("app", 1, 3)}),
            json!({"containerStatuses": restarted("app", 1, 3), "conditions": ready(9)}),
            &[],
        ),
        (
            "long after its start",
            json!({}),
            json!({"containerStatuses": restarted("app", 1, 3600)}),
            &[],
        ),
        (
            "a proxy, long after",
            json!({}),
            json!({"containerStatuses": restarted("istio-proxy", 1, 3600)}),
            &["the proxy ended (exit code 1)"],
        ),
        (
            "a native one",
            json!({}),
            json!({"initContainerStatuses": restarted("istio-proxy", 1, 3)}),
            &["the proxy ended (exit code 1)"],
        ),
        (
            "an init container that failed",
            json!({}),
            json!({"initContainerStatuses": ended(2, "Error", 3)}),
            &["app ended (exit code 2)"],
        ),
        (
            "one that did its work",
            json!({}),
            json!({"initContainerStatuses": ended(0, "Completed", 3)}),
            &[],
        ),
        (
            "out of memory",
            json!({}),
            json!({"containerStatuses": ended(137, "OOMKilled", 3)}),
            &["app ended (OOMKilled)"],
        ),
        (
            "its turn",
            json!({}),
            json!({"containerStatuses": waiting("app", "PodInitializing")}),
            &[],
        ),
        (
            "no image",
            json!({}),
            json!({"containerStatuses": waiting("app", "ErrImagePull")}),
            &["app: ErrImagePull"],
        ),
        (
            "still none",
            json!({"containerStatuses": waiting("app", "ErrImagePull")}),
            json!({"containerStatuses": waiting("app", "ErrImagePull")}),
            &[],
        ),
        ("evicted", json!({}), json!({"phase": "Failed", "reason": "Evicted"}), &["Evicted"]),
        (
            "a job's end",
            json!({}),
            json!({"phase": "Succeeded", "containerStatuses": ended(0, "Completed", 3)}),
            &[],
        ),
        (
            "garbage",
            json!({}),
            json!({"containerStatuses": 7, "conditions": "x", "startTime": [],
            "initContainerStatuses": [null, {"state": []}]}),
            &[],
        ),
    ];
    for (what, before, after, want) in table {
        let mut watch = Watch::new(Settings { looks: vec![s(1)], ..Settings::default() });
        watch.pod(pod("web", 0, before), at(0));
        let _ = run(&mut watch, 0, 2, nothing);
        watch.pod(pod("web", 0, after), at(5));
        let looks = run(&mut watch, 5, 7, nothing);
        let seen: Vec<String> = looks.iter().map(|look| look.trouble.to_string()).collect();
        // The first state may have been a reason as well.
        let before: BTreeSet<String> = seen.iter().cloned().collect();
        assert_eq!(
            before.iter().map(String::as_str).collect::<Vec<_>>(),
            if *what == "and again" { vec![] } else { want.to_vec() },
            "{what}"
        );
    }
}

#[test]
fn what_was_there_before_counts_where_it_is_lately_or_keeps_the_pod_down() {
    let mut status = json!({"containerStatuses": restarted("app", 1, 3), "conditions": ready(9)});
    for (seconds, looks) in [(1800, 1), (9000, 0)] {
        let mut watch = Watch::new(Settings::default());
        watch.pod(pod("web", 0, &status), at(seconds));
        assert_eq!(run(&mut watch, seconds, seconds + 2, nothing).len(), looks, "{seconds}");
    }
    status["conditions"] = json!([]);
    let mut watch = Watch::new(Settings::default());
    watch.pod(pod("web", 0, &status), at(9000));
    let seen: Vec<String> =
        run(&mut watch, 9000, 9002, nothing).iter().map(|l| l.trouble.to_string()).collect();
    assert_eq!(seen, ["not ready for long", "app ended (exit code 1)"]);
}

#[test]
fn replicas_that_fail_alike_and_restart_are_looked_into_once() {
    let mut watch = Watch::new(Settings::default());
    let fault = |_: &Look| vec![finding("app-before-proxy", "web", Verdict::Confirmed)];
    for number in 0..500 {
        watch.pod(pod("web", number, &json!({})), at(1));
    }
    let mut looks = Vec::new();
    for round in 1..=5 {
        for number in 0..500 {
            let status = json!({"containerStatuses": restarted("app", round, round * 10)});
            watch.pod(pod("web", number, &status), at(round * 10));
        }
        looks.extend(run(&mut watch, round * 10, round * 10 + 9, fault));
    }
    assert_eq!(looks.len(), 1, "{looks:?}");
    assert!(looks[0].pod.is_some());
    assert_eq!((watch.counts().told, watch.open().count()), (1, 1));
    assert_eq!(watch.counts().signals["ended"], 2500);
    // It lasts while pods are down, and ends some time after they came up; then it is told anew.
    for number in 0..500 {
        let status = json!({"containerStatuses": restarted("app", 5, 50), "conditions": ready(70)});
        watch.pod(pod("web", number, &status), at(70));
    }
    let _ = run(&mut watch, 100, 900, fault);
    assert_eq!(watch.open().count(), 1);
    let _ = run(&mut watch, 1000, 1001, fault);
    assert_eq!(watch.open().count(), 0);
    watch.pod(pod("web", 0, &json!({"containerStatuses": restarted("app", 6, 500)})), at(1100));
    assert_eq!(run(&mut watch, 1100, 1200, fault).len(), 1);
    assert_eq!(watch.counts().told, 2);
}

#[test]
fn without_a_proof_it_is_looked_again_and_a_better_one_is_no_news() {
    let mut watch = Watch::new(Settings::default());
    watch.pod(pod("web", 0, &json!({})), at(0));
    watch.pod(pod("web", 0, &json!({"containerStatuses": restarted("app", 1, 3)})), at(3));
    let judge = |look: &Look| {
        assert_eq!(look.heard, s(3));
        vec![finding("app-before-proxy", "web", Verdict::Likely)]
    };
    assert_eq!(run(&mut watch, 3, 8, judge).len(), 1);
    let judge = |_: &Look| {
        vec![
            finding("app-before-proxy", "web", Verdict::Confirmed),
            // What only a manifest says was not seen to happen.
            finding("gateway-privileged-port", "web", Verdict::Possible),
        ]
    };
    assert_eq!(run(&mut watch, 9, 50, judge).len(), 1);
    assert_eq!(watch.counts().told, 1);
    let (_, open) = watch.open().next().unwrap();
    assert_eq!(open.verdict, Verdict::Confirmed);
    assert!(watch.is_idle());
    assert_eq!(watch.counts().unexplained, 0);
}

#[test]
fn a_hang_is_looked_into_after_its_time_or_when_its_peers_are_up() {
    let init =
        json!({"phase": "Pending", "conditions": [{"type": "Initialized", "status": "False"}]});
    let mut watch = Watch::new(Settings::default());
    watch.pod(pod("web", 0, &init), at(0));
    assert_eq!(run(&mut watch, 0, 59, nothing).len(), 0);
    let looks = run(&mut watch, 60, 61, nothing);
    assert_eq!(looks[0].trouble.to_string(), "in Init for long");
    // Not again before as much time has passed, and not for ever.
    assert_eq!(run(&mut watch, 62, 120, nothing).len(), 0);
    assert_eq!(run(&mut watch, 121, 130, nothing).len(), 1);
    assert_eq!(run(&mut watch, 131, 3000, nothing).len(), 1);
    assert_eq!(watch.counts().unexplained, 1);

    let mut watch = Watch::new(Settings::default());
    watch.pod(pod("web", 1, &json!({"conditions": ready(5)})), at(5));
    watch.pod(pod("web", 0, &json!({})), at(6));
    // It has been there since 0.
    assert_eq!(run(&mut watch, 6, 14, nothing).len(), 0);
    assert_eq!(run(&mut watch, 15, 16, nothing).len(), 1);

    // One that comes up in time is none.
    let mut watch = Watch::new(Settings::default());
    watch.pod(pod("web", 0, &json!({})), at(0));
    watch.pod(pod("web", 0, &json!({"conditions": ready(50)})), at(50));
    assert_eq!(run(&mut watch, 51, 300, nothing).len(), 0);
    assert_eq!(watch.pods(), (1, 0));
}

#[test]
fn pods_and_apiservers_that_are_gone_and_rates_are_counted() {
    let mut watch = Watch::new(Settings::default());
    let broken = json!({"containerStatuses": restarted("app", 1, 3)});
    for number in 0..2 {
        watch.pod(pod("web", number, &broken), at(3));
    }
    watch.gone("uid-web-1");
    let look = watch.next(s(5)).unwrap();
    assert_eq!(look.pod.as_ref().unwrap().1, "uid-web-0");
    watch.judged(&look, &Outcome::Gone, s(5));
    assert_eq!((watch.counts().missed, watch.is_idle()), (1, true));

    let mut watch = Watch::new(Settings { tries: 3, ..Settings::default() });
    watch.pod(pod("web", 0, &broken), at(3));
    let mut tried = Vec::new();
    for second in 4..600 {
        while let Some(look) = watch.next(s(second)) {
            tried.push(second);
            watch.judged(&look, &Outcome::Failed, s(second));
        }
    }
    assert_eq!((tried, watch.counts().failed), (vec![4, 6, 10], 3));

    // An owner's looks of an hour, and what is told of one workload.
    let settings =
        Settings { looks_hour: 2, told_hour: 1, looks: vec![s(0)], ..Settings::default() };
    let mut watch = Watch::new(settings);
    watch.pod(pod("web", 0, &json!({})), at(0));
    for container in ["a", "b", "c"] {
        let reason = json!([{"name": container, "state": {"waiting": {"reason": "ErrImagePull"}}}]);
        watch.pod(pod("web", 0, &json!({"containerStatuses": reason})), at(1));
    }
    let judge = |look: &Look| vec![finding(&look.trouble.to_string(), "web", Verdict::Likely)];
    assert_eq!(run(&mut watch, 1, 10, judge).len(), 2);
    let counts = watch.counts();
    assert_eq!((counts.left_out, counts.told, counts.hushed), (1, 1, 1));
    assert_eq!(watch.open().count(), 2);
}

#[test]
fn warnings_of_pods_that_are_known_and_of_what_makes_pods() {
    let about = |kind: &str, name: &str, uid: &str| {
        let event = json!({"type": "Warning", "reason": "FailedCreate",
            "involvedObject": {"kind": kind, "namespace": "shop", "name": name, "uid": uid}});
        Warning::read(&event)
    };
    assert_eq!(about("Node", "n", "n"), None);
    let mut watch = Watch::new(Settings::default());
    watch.warning(about("ReplicaSet", "web", "rs-web").unwrap(), true, s(1));
    watch.warning(about("Pod", "gone", "uid-gone").unwrap(), true, s(1));
    watch.pod(pod("up", 0, &json!({"conditions": ready(5)})), at(5));
    watch.warning(about("Pod", "up-0", "uid-up-0").unwrap(), true, s(6));
    let looks = run(&mut watch, 1, 7, nothing);
    assert_eq!(looks.len(), 2, "{looks:?}");
    assert!(looks.iter().all(|look| look.pod.is_none() && look.owner.name == "web"));
    watch.warning(about("Pod", "up-0", "uid-up-0").unwrap(), false, s(8));
    let looks = run(&mut watch, 8, 9, nothing);
    assert_eq!(looks[0].pod.as_ref().unwrap().0, "up-0");
    // A warning that is heard of before its pod is.
    watch.warning(about("Pod", "new-0", "uid-new-0").unwrap(), false, s(60));
    watch.pod(pod("new", 0, &json!({"conditions": ready(5)})), at(60));
    let looks = run(&mut watch, 60, 61, nothing);
    let new = |look: &&Look| look.pod.as_ref().is_some_and(|(name, _)| name == "new-0");
    assert_eq!(looks.iter().filter(new).count(), 1, "{looks:?}");
}

/// What becomes of a pod, state after state.
fn life(fate: u8) -> Vec<Value> {
    let broken = |times| json!({"containerStatuses": restarted("app", times, times * 2)});
    match fate {
        0 => vec![json!({}), json!({"conditions": ready(2)})],
        1 => vec![json!({}), broken(1), broken(2), broken(3)],
        2 => vec![
            json!({}),
            broken(1),
            json!({"containerStatuses": restarted("app", 1, 2),
            "conditions": ready(8)}),
        ],
        _ => vec![
            json!({}),
            json!({"containerStatuses":
            [{"name": "app", "state": {"waiting": {"reason": "ErrImagePull"}}}]}),
        ],
    }
}

proptest! {
    /// Whatever the order in which pods are heard of, each workload's faults are told once, healthy
    /// ones have no look, and looks do not grow with replicas.
    #[test]
    fn in_every_order_the_same_is_told(
        fates in prop::collection::vec((0_usize..4, 0_u8..4), 1..40),
        order in prop::collection::vec(any::<prop::sample::Index>(), 200),
    ) {
        let mut lives: Vec<(String, usize, Vec<Value>)> = fates.iter().enumerate()
            .map(|(number, (owner, fate))| (format!("w{owner}"), number, life(*fate))).collect();
        let mut watch = Watch::new(Settings::default());
        let judge = |look: &Look| {
            // What takes long is a matter of time, not of order.
            let rule = Some(look.trouble.kind()).filter(|kind| *kind != "not-ready");
            let found = rule.map(|rule| finding(rule, &look.owner.name, Verdict::Confirmed));
            found.into_iter().collect::<Vec<_>>()
        };
        let (mut told, mut looks) = (BTreeMap::<String, BTreeSet<String>>::new(), 0);
        let mut second = 1;
        let mut order = order.iter();
        while !lives.is_empty() {
            let place = order.next().map_or(0, |index| index.index(lives.len()));
            let (owner, number, states) = &mut lives[place];
            watch.pod(pod(owner, *number, &states.remove(0)), at(second));
            if states.is_empty() {
                lives.remove(place);
            }
            second += u64::from(second % 3 == 0);
        }
        for second in second..second + 40 {
            watch.tick(s(second));
            while let Some(look) = watch.next(s(second)) {
                let found = judge(&look);
                for new in watch.judged(&look, &Outcome::Judged(&found), s(second)).told {
                    let rules = told.entry(look.owner.name.clone()).or_default();
                    prop_assert!(rules.insert(found[new].rule.clone()), "told twice");
                }
                looks += found.len();
            }
        }
        let mut want = BTreeMap::<String, BTreeSet<String>>::new();
        for (owner, fate) in &fates {
            let rule = match fate { 0 => continue, 3 => "status", _ => "ended" };
            want.entry(format!("w{owner}")).or_default().insert(rule.to_owned());
        }
        let troubles: usize = want.values().map(BTreeSet::len).sum();
        prop_assert_eq!(&told, &want);
        prop_assert_eq!(looks, troubles);
    }
}
