//! Fields that a manifest may have although the lab does nothing about them, each with the reason
//! why leaving it out changes nothing about how the pod starts here.

use serde_json::Value;

/// Of `spec`.
const SPEC: &[&str] = &[
    // Where it runs: there is one node.
    "nodeSelector",
    "affinity",
    "tolerations",
    "topologySpreadConstraints",
    "schedulerName",
    "priority",
    "priorityClassName",
    "preemptionPolicy",
    "overhead",
    "schedulingGates",
    "runtimeClassName",
    // Who it is to the API server, which isn't there.
    "serviceAccount",
    "automountServiceAccountToken",
    // Images are programs of this machine.
    "imagePullSecrets",
    // ClusterFirst, the default, is what the lab's DNS does; `dnsConfig` is refused.
    "dnsPolicy",
    // Legacy variables for Services, which nothing here reads.
    "enableServiceLinks",
    "setHostnameAsFQDN",
];

/// Of `spec.securityContext` and of a container's.
const SECURITY: &[&str] = &[
    // Filters of system calls and mandatory access control only ever take away.
    "seccompProfile",
    "seLinuxOptions",
    "appArmorProfile",
    "fsGroupChangePolicy",
    "supplementalGroupsPolicy",
    "procMount",
];

/// Of a container.
const CONTAINER: &[&str] = &[
    "imagePullPolicy",
    // The log holds the same words.
    "terminationMessagePath",
    "terminationMessagePolicy",
    "resizePolicy",
];

/// Takes them out of a pod's spec.
pub(super) fn strip(spec: &mut Value) {
    remove(Some(spec), SPEC);
    remove(spec.get_mut("securityContext"), SECURITY);
    for list in ["initContainers", "containers"] {
        let containers = spec.get_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            remove(Some(container), CONTAINER);
            remove(container.get_mut("securityContext"), SECURITY);
        }
    }
}

fn remove(map: Option<&mut Value>, keys: &[&str]) {
    if let Some(map) = map.and_then(Value::as_object_mut) {
        map.retain(|key, value| !keys.contains(&key.as_str()) && !value.is_null());
    }
}
