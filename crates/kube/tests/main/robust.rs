//! Each thing that goes wrong between here and an API server, and what becomes of it.

use std::time::{Duration, Instant};

use serde_json::json;
use sunup_kube::collect::{CollectError, Question};

use crate::world::{What, World, names, pod, shop};

const ALL: &[&str] = &[
    "collection.json",
    "deployments.json",
    "events.json",
    "logs/shop_a_app.log",
    "logs/shop_b_app.log",
    "logs/shop_b_app_previous.log",
    "pods.json",
    "replicasets.json",
];

fn without(missing: &str) -> Vec<&'static str> {
    ALL.iter().copied().filter(|name| !name.starts_with(missing)).collect()
}

#[test]
fn all_is_collected_and_nothing_is_missing() {
    let world = World::new();
    let (collected, pieces) = world.collect();
    let collected = collected.unwrap();
    assert_eq!(names(&pieces), ALL);
    assert_eq!((collected.pods, collected.logs, collected.cut), (2, 3, 0));
    assert_eq!(collected.gaps, []);
    assert_eq!(world.asked("secrets"), 0);
    let sets = String::from_utf8(pieces.last().unwrap().bytes.clone()).unwrap();
    assert!(sets.contains("web-67d56cdd") && !sets.contains("\"web-0\""), "{sets}");
}

#[test]
fn a_workload_gets_its_own_and_nothing_else() {
    let world = World::new();
    let workload = Some(("Deployment".to_owned(), "web".to_owned()));
    let (collected, pieces) = world.ask(&world.cluster(), &Question { workload, ..shop() });
    assert_eq!(collected.unwrap().pods, 2);
    assert_eq!(world.asked("labelSelector=app%3Dweb"), 1);
    let text = |name: &str| {
        let piece = pieces.iter().find(|piece| piece.name == name).unwrap();
        String::from_utf8(piece.bytes.clone()).unwrap()
    };
    assert!(!text("deployments.json").contains("deploy-2"));
    assert!(!text("events.json").contains("uid-shop-gone"));
    let workload = Some(("Deployment".to_owned(), "wbe".to_owned()));
    let (refused, _) = world.ask(&world.cluster(), &Question { workload, ..shop() });
    let error = refused.unwrap_err().to_string();
    assert_eq!(error, "there is no Deployment `wbe` in namespace shop");
}

#[test]
fn a_name_that_no_cluster_has_becomes_no_path() {
    let world = World::new();
    let strange = pod("/../../x", "c", 0);
    let mut dots = pod("shop", "d", 0);
    dots["status"]["containerStatuses"][0]["name"] = json!("..");
    let query = pod("shop", "e?x=y#", 0);
    world.put(
        "/api/v1/namespaces/shop/pods",
        vec![pod("shop", "a", 0), pod("shop", "b", 1), strange, dots, query],
    );
    let (collected, pieces) = world.collect();
    assert_eq!(names(&pieces), ALL);
    assert_eq!(world.asked("..") + world.asked("x=y"), 0);
    let gaps = collected.unwrap().gaps;
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert!(gaps[0].why.contains("`/../../x` is no name that Kubernetes takes"), "{gaps:?}");
}

#[test]
fn what_is_forbidden_is_named_and_the_rest_is_read() {
    let world = World::new();
    let body = json!({"kind": "Status", "reason": "Forbidden",
        "message": "events is forbidden: User \"jane\" cannot list resource \"events\""});
    world.fault("/events", 1, What::Status(403, body.clone()));
    world.fault("/log", 3, What::Status(403, body));
    let (collected, pieces) = world.collect();
    let collected = collected.unwrap();
    let read = without("events");
    assert_eq!(
        names(&pieces),
        read.into_iter().filter(|n| !n.starts_with("logs")).collect::<Vec<_>>()
    );
    let [logs, events] = collected.gaps.as_slice() else { panic!("{:?}", collected.gaps) };
    assert_eq!(logs.what, "container logs");
    assert_eq!(events.what, "events");
    assert!(events.why.contains("cannot list resource \"events\" (403)"), "{}", events.why);
    let command = events.get_it_with.as_deref().unwrap();
    assert!(command.contains(" --context test -n shop get events -o json"), "{command}");
    let about = String::from_utf8(pieces[0].bytes.clone()).unwrap();
    assert!(about.contains("cannot list resource"), "the gaps are kept with the evidence: {about}");
}

#[test]
fn services_of_other_namespaces_that_are_forbidden_leave_those_of_this_one() {
    let world = World::new();
    world.put("/api/v1/namespaces/shop/services", vec![json!({"metadata": {"name": "web"}})]);
    world.fault("/api/v1/services", 1, What::Status(403, json!({"message": "no"})));
    let (collected, pieces) = world.collect();
    assert_eq!(collected.unwrap().gaps.len(), 1);
    assert!(names(&pieces).contains(&"services.json"));
}

#[test]
fn a_pod_that_has_gone_and_a_mesh_that_is_not_installed_are_no_gaps() {
    let world = World::new();
    world.fault("/b/log", 2, What::Status(404, json!({"message": "pods \"b\" not found"})));
    let (collected, pieces) = world.collect();
    assert_eq!(collected.unwrap().gaps, []);
    assert_eq!(names(&pieces), without("logs/shop_b"));
}

#[test]
fn a_list_whose_beginning_is_gone_is_continued_or_begun_anew() {
    for token in ["500", ""] {
        let world = World::new();
        let many = (0..1203).map(|i| pod("shop", &format!("p{i:04}"), 0)).collect();
        world.put("/api/v1/namespaces/shop/pods", many);
        let gone = json!({"reason": "Expired", "metadata": {"continue": token}});
        world.fault("continue=", 1, What::Status(410, gone));
        let (collected, pieces) = world.collect();
        let collected = collected.unwrap();
        assert_eq!((collected.pods, collected.gaps.as_slice()), (1203, [].as_slice()));
        let mut seen = std::collections::BTreeSet::new();
        for piece in pieces.iter().filter(|piece| piece.name.starts_with("pods")) {
            let list: serde_json::Value = serde_json::from_slice(&piece.bytes).unwrap();
            for item in list["items"].as_array().unwrap() {
                assert!(seen.insert(item["metadata"]["name"].to_string()), "twice: {item}");
            }
        }
        assert_eq!(seen.len(), 1203);
    }
}

#[test]
fn a_busy_server_is_asked_again_when_it_says_so() {
    let world = World::new();
    world.fault("/events", 1, What::RetryAfter(429, 1));
    let began = Instant::now();
    let (collected, pieces) = world.collect();
    assert_eq!(collected.unwrap().gaps, []);
    assert_eq!(names(&pieces), ALL);
    assert!(began.elapsed() >= Duration::from_secs(1), "it was not waited for");
    // Longer than the query may take: not waited for, but named.
    world.fault("/events", 1, What::RetryAfter(429, 3600));
    let (collected, pieces) = world.collect();
    assert!(collected.unwrap().gaps[0].why.contains("429"));
    assert_eq!(names(&pieces), without("events"));
}

#[test]
fn failing_servers_and_dropped_connections_are_tried_again_then_named() {
    let error = || What::Status(503, json!({"message": "etcd is away"}));
    for what in [error(), What::Drop] {
        let world = World::new();
        world.fault("/pods?", 2, what.clone());
        world.fault("/a/log", 1, what.clone());
        let (collected, pieces) = world.collect();
        assert_eq!(collected.unwrap().gaps, []);
        assert_eq!(names(&pieces), ALL);
        world.fault("/events", usize::MAX, what);
        let (collected, pieces) = world.collect();
        let why = &collected.unwrap().gaps[0].why;
        assert!(why.contains("etcd is away (503)") || why.contains("broke off"), "{why}");
        assert_eq!(names(&pieces), without("events"));
    }
}

#[test]
fn a_query_that_is_not_answered_ends_at_its_deadline_alone() {
    let world = World::new();
    world.fault("/events", 1, What::Silence);
    world.fault("/a/log", 1, What::Silence);
    let question = Question { within: Duration::from_secs(3), ..shop() };
    let (collected, pieces) = world.ask(&world.cluster(), &question);
    let gaps = collected.unwrap().gaps;
    let named: Vec<(&str, &str)> = gaps.iter().map(|g| (g.what.as_str(), g.why.as_str())).collect();
    let late = "no answer within 3s";
    assert_eq!(named, [("events", late), ("the log of a/app", late)]);
    let read: Vec<&str> = without("events").into_iter().filter(|n| !n.contains("_a_")).collect();
    assert_eq!(names(&pieces), read);
}

#[test]
fn huge_pages_are_asked_for_in_parts_and_a_huge_object_is_named() {
    let world = World::new();
    let mut big = pod("shop", "big", 0);
    big["metadata"]["annotations"] = json!({"x": "y".repeat(100_000)});
    let mut many: Vec<_> = (0..40).map(|i| pod("shop", &format!("p{i}"), 0)).collect();
    many.push(big.clone());
    world.put("/api/v1/namespaces/shop/pods", many);
    let question = Question { page_bytes: 110_000, ..shop() };
    let (collected, _) = world.ask(&world.cluster(), &question);
    let collected = collected.unwrap();
    assert_eq!((collected.pods, collected.gaps.as_slice()), (41, [].as_slice()));
    world.put("/api/v1/namespaces/shop/pods", vec![pod("shop", "a", 0), big]);
    let question = Question { page_bytes: 50_000, ..shop() };
    let (collected, _) = world.ask(&world.cluster(), &question);
    let collected = collected.unwrap();
    assert_eq!((collected.pods, collected.gaps.len()), (1, 1), "what came before it counts");
    assert!(collected.gaps[0].why.contains("larger than"), "{:?}", collected.gaps);
}

#[test]
fn an_answer_of_something_else_is_named() {
    let world = World::new();
    world.fault("/events", 1, What::Status(200, json!("a login page")));
    let (collected, pieces) = world.collect();
    assert!(collected.unwrap().gaps[0].why.contains("not of the Kubernetes API"));
    assert_eq!(names(&pieces), without("events"));
}

#[test]
fn a_long_log_is_read_from_its_beginning() {
    let world = World::new();
    let long = "2026-11-23T10:41:15Z line\n".repeat(10);
    world.api.logs.lock().unwrap().insert("a/app".to_owned(), long);
    let question = Question { log_bytes: 100, ..shop() };
    let (collected, _) = world.ask(&world.cluster(), &question);
    assert_eq!(collected.unwrap().cut, 1);
    assert!(world.asked("limitBytes=100") > 0);
}

#[test]
fn names_that_could_be_misread_are_kept_the_longer_way() {
    let world = World::new();
    world.put("/api/v1/namespaces/shop/pods", Vec::new());
    world.put("/api/v1/namespaces/team-x7k2p/pods", vec![pod("team-x7k2p", "a", 0)]);
    let question = Question { namespace: Some("team-x7k2p".to_owned()), ..shop() };
    let (_, pieces) = world.ask(&world.cluster(), &question);
    assert!(names(&pieces).contains(&"namespaces/team-x7k2p/pods/a/app/app/logs/current.log"));
    world.put("/api/v1/namespaces/shop/pods", vec![pod("shop", "A", 0)]);
    let (collected, _) = world.collect();
    // `logs/shop_A_app.log` beside `logs/shop_a_app.log` would be one file for some systems.
    let gaps = collected.unwrap().gaps;
    assert!(gaps.iter().any(|gap| gap.why.contains("`A` is no name")), "{gaps:?}");
}

#[test]
fn credentials_that_are_not_accepted_end_it_with_what_to_do() {
    let world = World::new();
    *world.api.token.lock().unwrap() = Some("fresh".to_owned());
    let (refused, pieces) = world.collect();
    let error = refused.unwrap_err();
    assert!(matches!(error, CollectError::Trouble(_)));
    assert!(error.to_string().contains("(401): they have expired"), "{error}");
    assert_eq!(pieces, []);
    assert_eq!(world.asked("GET"), 1, "the same is not asked again and again");
}
