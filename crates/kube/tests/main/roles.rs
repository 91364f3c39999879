//! The printed roles allow what is really asked, and nothing else.

use std::collections::BTreeSet;

use serde_json::json;
use sunup_kube::collect::Question;
use sunup_kube::rbac::{Task, rules};

use crate::world::{World, pod, shop};

/// Group, resource and verb of a request, as the API server's authorizer reads them.
pub(crate) fn attributes(asked: &str) -> (String, String, String) {
    let (method, path) = asked.split_once(' ').unwrap();
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let (group, rest) = match parts.as_slice() {
        ["api", _, rest @ ..] => ("", rest),
        ["apis", group, _, rest @ ..] => (*group, rest),
        other => panic!("no resource: {other:?}"),
    };
    let rest = match rest {
        ["namespaces", _, rest @ ..] if !rest.is_empty() => rest,
        rest => rest,
    };
    let (resource, named) = match rest {
        [resource] => ((*resource).to_owned(), false),
        [resource, _] => ((*resource).to_owned(), true),
        [resource, _, sub] => (format!("{resource}/{sub}"), true),
        other => panic!("no resource: {other:?}"),
    };
    let verb = match (method, named) {
        ("GET", true) => "get",
        ("GET", false) if query.contains("watch=") => "watch",
        ("GET", false) => "list",
        ("PATCH", _) => "patch",
        ("POST", _) => "create",
        ("DELETE", _) => "delete",
        other => panic!("{other:?}"),
    };
    (group.to_owned(), resource, verb.to_owned())
}

#[test]
fn reading_asks_for_each_thing_in_the_role_and_for_nothing_else() {
    let world = World::new();
    let everywhere = Question { namespace: None, ..shop() };
    world.put("/api/v1/pods", vec![pod("shop", "a", 0)]);
    let cronjob = Question { workload: Some(("CronJob".into(), "report".into())), ..shop() };
    let report = json!({"metadata": {"name": "report", "uid": "cron-1"}});
    world.put("/apis/batch/v1/namespaces/shop/cronjobs", vec![report]);
    for question in [shop(), everywhere, cronjob] {
        world.ask(&world.cluster(), &question).0.unwrap();
    }
    let asked = world.api.asked.lock().unwrap();
    let asked: BTreeSet<_> = asked.iter().map(|asked| attributes(asked)).collect();
    let own = |text: &str| text.to_owned();
    let allowed: BTreeSet<_> = rules(Task::Doctor)
        .iter()
        .flat_map(|rule| {
            rule.verbs.iter().map(|(verb, _)| (own(rule.group), own(rule.resource), own(verb)))
        })
        .collect();
    assert_eq!(asked, allowed);
}
