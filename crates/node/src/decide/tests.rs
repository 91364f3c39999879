//! Every row is a pod as an injector leaves it, with one thing changed.

use serde_json::{Value, json};

use super::*;

/// A pod of Istio's injector: classic sidecar, capture by istio-init.
fn istio() -> Value {
    json!({
        "metadata": {"name": "shop-1", "namespace": "shop", "uid": "u",
            "annotations": {"sidecar.istio.io/status": "{\"revision\":\"default\"}"}},
        "spec": {
            "initContainers": [{"name": "istio-init", "image": "istio/proxyv2:1.24.0",
                "args": ["istio-iptables", "-p", "15001", "-z", "15006", "-u", "1337",
                    "-m", "REDIRECT"]}],
            "containers": [
                {"name": "app", "image": "shop:1"},
                {"name": "istio-proxy", "image": "istio/proxyv2:1.24.0",
                    "args": ["proxy", "sidecar"], "securityContext": {"runAsUser": 1337},
                    "env": [{"name": "ISTIO_META_INTERCEPTION_MODE", "value": "REDIRECT"}]}],
        },
    })
}

fn host() -> Host {
    Host { kernel: "6.1.0-18-amd64".to_owned(), ..Host::default() }
}

fn proxy(pod: &mut Value) -> &mut Value {
    &mut pod["spec"]["containers"][1]
}

/// Changes one thing about a pod.
type Change = fn(&mut Value);

const ROWS: &[(&str, Change, &str)] = &[
    ("as it is", |_| (), "stand-in proxy-shares-port"),
    ("host network", |p| p["spec"]["hostNetwork"] = true.into(), "nothing host-network"),
    ("windows by os", |p| p["spec"]["os"] = json!({"name": "windows"}), "nothing windows"),
    (
        "windows by selector",
        |p| p["spec"]["nodeSelector"] = json!({"kubernetes.io/os": "windows"}),
        "nothing windows",
    ),
    ("ended", |p| p["status"] = json!({"phase": "Succeeded"}), "nothing ended"),
    (
        "turned off",
        |p| p["metadata"]["annotations"]["sunup.dev/node-gate"] = "off".into(),
        "nothing turned-off",
    ),
    (
        "gate asked for",
        |p| p["metadata"]["annotations"]["sunup.dev/node-gate"] = "gate".into(),
        "gate asked-for-gate",
    ),
    ("no mesh", |p| proxy(p)["name"] = "log".into(), "nothing no-mesh"),
    ("a gateway", |p| proxy(p)["args"] = json!(["proxy", "router"]), "nothing not-captured"),
    (
        "not captured",
        |p| {
            p["metadata"]["annotations"]["sidecar.istio.io/interceptionMode"] = "NONE".into();
        },
        "nothing not-captured",
    ),
    (
        "Sunup's capture",
        |p| p["spec"]["initContainers"][0]["image"] = "ghcr.io/sunup-dev/sunup:0.1.0".into(),
        "nothing own-gate",
    ),
    (
        "Sunup's proxy",
        |p| proxy(p)["image"] = "ghcr.io/sunup-dev/sunup@sha256:00".into(),
        "nothing own-gate",
    ),
    ("own users", |p| p["spec"]["hostUsers"] = false.into(), "gate user-namespace"),
    (
        "TPROXY by annotation",
        |p| {
            p["metadata"]["annotations"]["sidecar.istio.io/interceptionMode"] = "TPROXY".into();
        },
        "gate tproxy",
    ),
    (
        "TPROXY mesh-wide",
        |p| {
            p["spec"]["initContainers"] = json!([]);
            proxy(p)["env"][0]["value"] = "TPROXY".into();
        },
        "gate tproxy",
    ),
    (
        "TPROXY by istio-init",
        |p| p["spec"]["initContainers"][0]["args"][8] = "TPROXY".into(),
        "gate tproxy",
    ),
    ("too old", |p| proxy(p)["image"] = "istio/proxyv2:1.11.8".into(), "gate proxy-too-old"),
    ("private name", |p| proxy(p)["image"] = "corp/sidecar:9".into(), "gate proxy-version-unknown"),
    (
        "private name, vouched for",
        |p| {
            proxy(p)["image"] = "corp/sidecar:9".into();
            p["metadata"]["annotations"]["sunup.dev/node-gate"] = "stand-in".into();
        },
        "stand-in asked-for-stand-in",
    ),
    (
        "vouched for, though too old",
        |p| {
            proxy(p)["image"] = "istio/proxyv2:1.11.8".into();
            p["metadata"]["annotations"]["sunup.dev/node-gate"] = "stand-in".into();
        },
        "gate proxy-too-old",
    ),
    ("user unknown", |p| proxy(p)["securityContext"] = json!({}), "gate proxy-user-unknown"),
    (
        "user of the pod",
        |p| {
            proxy(p)["securityContext"] = json!({});
            p["spec"]["securityContext"] = json!({"runAsUser": 1_000_640_000});
        },
        "stand-in proxy-shares-port",
    ),
    ("Linkerd", |p| proxy(p)["name"] = "linkerd-proxy".into(), "gate proxy-not-sharing"),
    ("Kuma", |p| proxy(p)["name"] = "kuma-sidecar".into(), "gate proxy-not-sharing"),
    ("Consul", |p| proxy(p)["name"] = "consul-dataplane".into(), "gate proxy-not-sharing"),
];

#[test]
fn each_pod_gets_what_is_safe_for_it() {
    for (name, change, expected) in ROWS {
        let mut pod = istio();
        change(&mut pod);
        let decision = decide(&Pod::read(&pod).unwrap(), &host());
        let said = format!("{} {}", decision.mode.word(), decision.reason.word());
        assert_eq!(said, *expected, "{name}");
        // Whatever the case: a stand-in needs a user, the gate stands behind it, and who gets
        // nothing gets no port.
        assert_eq!(decision.mode == Mode::StandIn, !decision.ports.is_empty(), "{name}");
        assert_eq!(decision.mode == Mode::Nothing, decision.gate_ports.is_empty(), "{name}");
        assert!(decision.ports.is_empty() || decision.uid.is_some(), "{name}");
        assert!(decision.ports.iter().all(|p| decision.gate_ports.contains(&p.number)), "{name}");
        assert!(!decision.reason.to_string().is_empty(), "{name}");
    }
}

#[test]
fn kernels_decide_and_an_unreadable_one_is_too_old() {
    let pod = Pod::read(&istio()).unwrap();
    for (kernel, mode) in [
        ("5.14.0", Mode::StandIn),
        ("5.14.0-427.el9.x86_64", Mode::StandIn),
        ("6.18.44", Mode::StandIn),
        ("5.10.209-198.812.amzn2.x86_64", Mode::Gate),
        ("4.18.0-513.el8", Mode::Gate),
        ("", Mode::Gate),
        ("gVisor", Mode::Gate),
    ] {
        let host = Host { kernel: kernel.to_owned(), ..Host::default() };
        assert_eq!(decide(&pod, &host).mode, mode, "{kernel}");
    }
}

#[test]
fn ports_are_the_meshs_or_those_that_istio_init_was_given() {
    let mut pod = istio();
    let of = |pod: &Value, inbound| {
        let decision = decide(&Pod::read(pod).unwrap(), &Host { inbound, ..host() });
        let ports: Vec<(u16, bool)> =
            decision.ports.iter().map(|p| (p.number, p.inbound)).collect();
        (ports, decision.gate_ports, decision.gate_dns)
    };
    assert_eq!(of(&pod, false), (vec![(15001, false)], vec![15001, 15053], true));
    let both = (vec![(15001, false), (15006, true)], vec![15001, 15006, 15053], true);
    assert_eq!(of(&pod, true), both);
    pod["spec"]["initContainers"][0]["args"] = json!(["istio-iptables", "--envoy-port=16001"]);
    assert_eq!(of(&pod, false), (vec![(16001, false)], vec![16001, 15053], true));
    pod["spec"]["containers"][1]["name"] = "linkerd-proxy".into();
    pod["spec"]["initContainers"] = json!([]);
    assert_eq!(of(&pod, true), (vec![], vec![4140, 4143], false));
}

#[test]
fn under_cni_a_stand_in_waits_for_the_validation() {
    let mut pod = istio();
    assert!(!decide(&Pod::read(&pod).unwrap(), &host()).after_validation);
    pod["spec"]["initContainers"][0]["name"] = "istio-validation".into();
    let decision = decide(&Pod::read(&pod).unwrap(), &host());
    assert_eq!((decision.mode, decision.after_validation), (Mode::StandIn, true));
}

#[test]
fn before_the_pod_is_known_there_is_the_gate() {
    let decision = Decision::unknown_pod();
    assert_eq!((decision.mode, decision.reason), (Mode::Gate, Reason::PodUnknown));
    assert_eq!((decision.gate_ports, decision.ports), (vec![15001, 15053], vec![]));
}
