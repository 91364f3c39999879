//! The order of containers. What starts first decides who has a network.

use serde_json::Value;
use sunup_api::container;

use crate::value::{containers, find, name};

/// The init container that allows core dumps; not injected any more, but still ordered.
const CORE_DUMP: &str = "enable-core-dump";

/// Puts the containers in order. `hold` puts a classic proxy first, so that the kubelet waits
/// for its postStart hook before it starts the others.
pub(crate) fn reorder(pod: &mut Value, hold: bool) {
    if let Some(list) = list(pod, "containers") {
        if hold { first(list, container::PROXY) } else { last(list, container::PROXY) }
    }
    init(pod);
}

/// Puts a proxy that holds the others back in front of them.
pub(crate) fn hold(pod: &mut Value) {
    if let Some(list) = list(pod, "containers") {
        first(list, container::PROXY);
    }
}

/// Puts the init containers in order.
pub(crate) fn init(pod: &mut Value) {
    let native = find(containers(pod, "initContainers"), container::PROXY).is_some();
    let Some(list) = list(pod, "initContainers") else { return };
    if native {
        // The proxy before all others, so that init containers are in the mesh; only what sets
        // capture up precedes it.
        first(list, CORE_DUMP);
        first(list, container::PROXY);
        first(list, container::VALIDATION);
        first(list, container::INIT);
    } else {
        // The check first, to stop everybody where capture is missing; capture last, so that
        // nobody runs behind it without a proxy.
        first(list, container::VALIDATION);
        last(list, container::INIT);
        last(list, CORE_DUMP);
    }
}

fn list<'v>(pod: &'v mut Value, key: &str) -> Option<&'v mut Vec<Value>> {
    pod.get_mut("spec")?.get_mut(key)?.as_array_mut()
}

fn take(list: &mut Vec<Value>, wanted: &str) -> Option<Value> {
    let at = list.iter().position(|c| name(c) == wanted)?;
    Some(list.remove(at))
}

fn first(list: &mut Vec<Value>, wanted: &str) {
    if let Some(container) = take(list, wanted) {
        list.insert(0, container);
    }
}

fn last(list: &mut Vec<Value>, wanted: &str) {
    if let Some(container) = take(list, wanted) {
        list.push(container);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ordered(init: &[&str], app: &[&str], hold: bool) -> (Vec<String>, Vec<String>) {
        let list =
            |names: &[&str]| -> Value { names.iter().map(|n| json!({ "name": n })).collect() };
        let mut pod = json!({"spec": {"initContainers": list(init), "containers": list(app)}});
        reorder(&mut pod, hold);
        let names = |key| containers(&pod, key).iter().map(|c| name(c).to_owned()).collect();
        (names("initContainers"), names("containers"))
    }

    #[test]
    fn every_order_of_arrival_ends_in_the_same_order() {
        let arrivals = [["istio-init", "istio-proxy", "a"], ["a", "istio-proxy", "istio-init"]];
        for init in arrivals {
            assert_eq!(ordered(&init, &["x"], false).0, ["istio-init", "istio-proxy", "a"]);
        }
        for init in [["istio-init", "a"], ["a", "istio-init"]] {
            assert_eq!(ordered(&init, &["istio-proxy", "x"], false).0, ["a", "istio-init"]);
        }
        assert_eq!(ordered(&["a", "istio-validation"], &["x"], false).0, ["istio-validation", "a"]);
    }

    #[test]
    fn hold_decides_the_place_of_a_classic_proxy() {
        assert_eq!(ordered(&[], &["istio-proxy", "x"], false).1, ["x", "istio-proxy"]);
        assert_eq!(ordered(&[], &["x", "istio-proxy"], true).1, ["istio-proxy", "x"]);
    }
}
