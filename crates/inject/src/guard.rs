//! The guard: what other webhooks did to a pod that was injected before is put right, so that the
//! order in which webhooks are called doesn't decide whether it starts.
//!
//! It adds no container of its own. The injector may be Istio's: pods that it didn't inject are
//! left alone, and so is everything that isn't about who starts when and who has a network.
//!
//! What is put right:
//! - a classic sidecar's capture container goes last among the init containers, since those behind
//!   it would have no network; under CNI the check goes first;
//! - a native sidecar goes first behind what sets capture up, and gets `restartPolicy: Always`
//!   back where a webhook that doesn't know the field has dropped it: without it the proxy is an
//!   init container that never ends;
//! - a proxy that holds the others back goes first among the containers again;
//! - Vault's address is left out of capture where Vault's agent runs before the proxy.
//!
//! A guard that is asked to ([`Classic`]) changes one thing more: it has a classic sidecar start
//! before the application.

use serde_json::Value;
use sunup_api::{annotation as keys, container};

use crate::classic::{self, Classic};
use crate::decide::{DecidedBy, Decision};
use crate::mutate::{order, vault};
use crate::patch::diff;
use crate::reason::{Level, Reason};
use crate::request::{Answer, Asked, ReviewError, read};
use crate::settings::Settings;
use crate::value::{annotation, check_pod, containers, find, find_mut, list_at, name, text_at};

/// Puts a pod right that was injected before; any other is left as it is. `mesh` says what the
/// control plane and the nodes allow.
///
/// # Errors
/// A pod that can't be read.
pub fn review(
    asked: &Asked<'_>,
    sidecars: Classic,
    mesh: &Settings,
) -> Result<Answer, ReviewError> {
    let pod = read(asked)?;
    check_pod(&pod)?;
    let mut after = pod.clone();
    let mut reasons = Vec::new();
    let mended = classic::mend(&mut after, sidecars, mesh);
    settle(&mut after, &mut reasons);
    let patch = diff(&pod, &after);
    let decision = Decision { inject: false, reason: DecidedBy::Selected };
    let patch = (!patch.is_empty()).then(|| serde_json::to_vec(&patch)).transpose();
    Ok(Answer {
        decision,
        patch: patch.map_err(|e| ReviewError::Unreadable(e.to_string()))?,
        warnings: reasons
            .iter()
            .filter(|r| r.level == Level::Warning)
            .map(ToString::to_string)
            .collect(),
        mended,
    })
}

/// The guard's work on a pod whose shape was checked. Doing it twice changes nothing more.
fn settle(pod: &mut Value, reasons: &mut Vec<Reason>) {
    let has_proxy = |list| find(containers(pod, list), container::PROXY).is_some();
    let native = has_proxy("initContainers");
    if annotation(pod, keys::STATUS).is_none() || !(native || has_proxy("containers")) {
        return;
    }
    if native
        && let Some(proxy) = find_mut(pod, container::PROXY).and_then(Value::as_object_mut)
        && proxy.get("restartPolicy").and_then(Value::as_str) != Some("Always")
    {
        proxy.insert("restartPolicy".to_owned(), "Always".into());
        reasons.push(Reason::warning(
            "restartPolicy: Always of the native sidecar was put back: a webhook that is called \
             after the injector drops fields it doesn't know (update it)",
        ));
    }
    order::init(pod);
    if holds(pod) {
        order::hold(pod);
    }
    vault::exclude(pod, true, reasons);
}

/// Whether the proxy's start holds the other containers back.
fn holds(pod: &Value) -> bool {
    let proxy = find(containers(pod, "containers"), container::PROXY);
    let command =
        proxy.map(|p| list_at(p, &["lifecycle", "postStart", "exec", "command"])).unwrap_or(&[]);
    command.iter().any(|word| word == "wait")
}

/// What keeps an injected pod from the order in which it would start; for a check of the final
/// pod, which can change nothing any more.
#[must_use]
pub fn disorder(pod: &Value) -> Option<String> {
    annotation(pod, keys::STATUS)?;
    let init = containers(pod, "initContainers");
    let at = |wanted: &str| init.iter().position(|c| name(c) == wanted);
    let others = |from: usize| {
        let rest = init.iter().skip(from).map(name);
        let rest = rest
            .filter(|n| ![container::INIT, container::PROXY, container::VALIDATION].contains(n));
        rest.collect::<Vec<_>>().join(", ")
    };
    if let Some(proxy) = at(container::PROXY) {
        if text_at(&init[proxy], &["restartPolicy"]) != Some("Always") {
            return Some(
                "the native sidecar istio-proxy has lost restartPolicy: Always to a webhook that \
                 doesn't know the field; the pod would hang in Init"
                    .to_owned(),
            );
        }
        let before: Vec<&str> = init[..proxy].iter().map(name).collect();
        let captured = before.iter().position(|n| *n == container::INIT).map(|i| &before[i + 1..]);
        return captured.filter(|between| !between.is_empty()).map(|between| {
            format!("{} would run behind the redirect before the proxy", between.join(", "))
        });
    }
    let capture = at(container::INIT)?;
    let behind = others(capture + 1);
    (!behind.is_empty())
        .then(|| format!("{behind} would run behind the redirect of istio-init, before any proxy"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settled(pod: &Value) -> Value {
        let mut once = pod.clone();
        settle(&mut once, &mut Vec::new());
        let mut twice = once.clone();
        settle(&mut twice, &mut Vec::new());
        assert_eq!(once, twice, "doing it twice changes nothing");
        once
    }

    fn names(pod: &Value, list: &str) -> Vec<String> {
        containers(pod, list).iter().map(|c| name(c).to_owned()).collect()
    }

    fn pod(init: Value, app: Value) -> Value {
        json!({"metadata": {"annotations": {"sidecar.istio.io/status": "{}"}},
            "spec": {"initContainers": init, "containers": app}})
    }

    #[test]
    fn a_pod_that_nobody_injected_is_left_alone() {
        let mut plain = pod(json!([{"name": "istio-init"}, {"name": "a"}]), json!([{"name": "x"}]));
        assert_eq!(settled(&plain), plain);
        plain["metadata"] = json!({});
        plain["spec"]["containers"] = json!([{"name": "istio-proxy"}]);
        assert_eq!(settled(&plain), plain);
    }

    #[test]
    fn capture_goes_last_and_a_lost_restart_policy_comes_back() {
        let proxy = json!([{"name": "istio-proxy"}, {"name": "x"}]);
        let init = json!([{"name": "istio-init"}, {"name": "vault-agent-init"}]);
        let before = pod(init, proxy);
        assert!(disorder(&before).unwrap().contains("vault-agent-init"));
        let after = settled(&before);
        assert_eq!(names(&after, "initContainers"), ["vault-agent-init", "istio-init"]);
        assert_eq!(names(&after, "containers"), ["istio-proxy", "x"]);
        assert_eq!(disorder(&after), None);
        let before = pod(
            json!([{"name": "a"}, {"name": "istio-init"}, {"name": "b"}, {"name": "istio-proxy"}]),
            json!([{"name": "x"}]),
        );
        assert!(disorder(&before).unwrap().contains("restartPolicy"));
        let after = settled(&before);
        assert_eq!(names(&after, "initContainers"), ["istio-init", "istio-proxy", "a", "b"]);
        assert_eq!(after["spec"]["initContainers"][1]["restartPolicy"], "Always");
        assert_eq!(disorder(&after), None);
        let mut behind = after;
        behind["spec"]["initContainers"].as_array_mut().unwrap().swap(1, 2);
        assert!(disorder(&behind).unwrap().starts_with("a would run"));
    }

    #[test]
    fn a_proxy_that_holds_the_app_is_first_again() {
        let wait = json!({"postStart": {"exec": {"command": ["pilot-agent", "wait"]}}});
        let app = json!([{"name": "late"}, {"name": "istio-proxy", "lifecycle": wait}]);
        let after = settled(&pod(json!([{"name": "istio-init"}]), app));
        assert_eq!(names(&after, "containers"), ["istio-proxy", "late"]);
    }

    #[test]
    fn vault_is_not_captured_where_its_agent_comes_before_the_proxy() {
        let app = json!([{"name": "istio-proxy"}, {"name": "x"}]);
        let mut classic = pod(json!([{"name": "istio-init", "args": ["-x", "10.1.0.0/16"]}]), app);
        let all = &mut classic["metadata"]["annotations"];
        all["vault.hashicorp.com/agent-inject"] = "true".into();
        all["vault.hashicorp.com/service"] = "http://10.0.9.5:8200".into();
        let after = settled(&classic);
        assert_eq!(
            after["spec"]["initContainers"][0]["args"],
            json!(["-x", "10.1.0.0/16,10.0.9.5/32"])
        );
        let mut cni = classic;
        cni["spec"]["initContainers"] = json!([{"name": "istio-validation"}]);
        let after = settled(&cni);
        let key = "traffic.sidecar.istio.io/excludeOutboundIPRanges";
        assert_eq!(after["metadata"]["annotations"][key], "10.0.9.5/32");
    }
}
