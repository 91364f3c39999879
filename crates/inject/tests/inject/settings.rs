//! Settings from every file a mesh has, and Istio's templates with their functions.

use serde_json::{Value, json};
use sunup_inject::{Context, Injector, NativeSidecars, Options, ProxyKind, Settings, Sources};

fn settings(feed: impl FnOnce(&mut Sources)) -> Settings {
    let mut sources = Sources::default();
    feed(&mut sources);
    sources.build(Options::default()).unwrap()
}

#[test]
fn an_istio_operator_file_gives_values_mesh_and_revision() {
    let text = "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nspec:\n  revision: r1\n  \
                hub: h\n  tag: 1.30\n  components: {cni: {enabled: true}}\n  meshConfig:\n    \
                defaultConfig: {holdApplicationUntilProxyStarts: true}\n    trustDomain: td\n  \
                values: {global: {proxy: {excludeIPRanges: 10.0.0.1/32}}}\n";
    let s = settings(|from| from.values(text).unwrap());
    assert_eq!(s.policy.revision, "r1");
    assert_eq!(s.values["global"]["hub"], "h");
    assert_eq!(s.values["pilot"]["cni"]["enabled"], true);
    assert_eq!(s.values["global"]["proxy"]["excludeIPRanges"], "10.0.0.1/32");
    assert_eq!(s.values["global"]["proxy"]["includeIPRanges"], "*");
    assert_eq!(s.mesh["defaultConfig"]["holdApplicationUntilProxyStarts"], true);
    assert_eq!(s.mesh["defaultConfig"]["statusPort"], 15020);
    assert_eq!(s.mesh["trustDomain"], "td");
}

#[test]
fn config_maps_are_known_by_their_content() {
    let mesh = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "istio"},
        "data": {"mesh": "enablePrometheusMerge: false\n"}});
    let injector = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "istio-sidecar-injector"}, "data": {
            "config": "policy: disabled\nneverInjectSelector:\n- matchLabels: {a: b}\n\
                       injectedAnnotations: {x: z}\ntemplates: {sidecar: ''}\n",
            "values": "{\"global\": {\"network\": \"n1\"}}"}});
    let both = json!({"apiVersion": "v1", "kind": "List", "items": [mesh, injector]});
    let s = settings(|from| from.values(&both.to_string()).unwrap());
    assert_eq!(s.mesh["enablePrometheusMerge"], false);
    assert!(!s.policy.enabled);
    assert_eq!(s.policy.never.len(), 1);
    assert_eq!(s.injected_annotations["x"], "z");
    // The ConfigMap's values are complete: nothing is added to them.
    assert_eq!(s.values, json!({"global": {"network": "n1"}}));
}

#[test]
fn helm_values_merge_and_the_later_file_wins() {
    let s = settings(|from| {
        from.values(
            "global: {proxy: {resources: {limits: {cpu: 1}}}}\nmeshConfig: {trustDomain: a}",
        )
        .unwrap();
        from.values("global: {proxy: {resources: {limits: {cpu: 2, memory: null}}}}").unwrap();
        from.mesh_config("trustDomain: b").unwrap();
    });
    let resources = &s.values["global"]["proxy"]["resources"];
    assert_eq!(resources["limits"], json!({"cpu": 2}));
    assert_eq!(resources["requests"]["cpu"], "100m");
    assert_eq!(s.mesh["trustDomain"], "b");
}

#[test]
fn wrong_files_are_refused_with_the_right_one_named() {
    let refused = |text: &str| Sources::default().injector_config(text).unwrap_err().to_string();
    assert!(refused("global: {}").contains("istio-sidecar-injector"));
    assert!(refused("kind: Deployment\napiVersion: apps/v1").contains("Deployment"));
    assert!(refused("a: [").contains("can't be read"));
    assert!(refused("- a").contains("a list"));
    let mesh = Sources::default().mesh_config("defaultConfig: {statusPort: many}").unwrap_err();
    assert!(mesh.to_string().contains("statusPort"));
    let options = Options { proxy: ProxyKind::Istio, ..Options::default() };
    let error = Sources::default().build(options).unwrap_err().to_string();
    assert!(error.contains("kubectl -n istio-system get cm istio-sidecar-injector"));
    let mut broken = Sources::default();
    broken.injector_config("policy: enabled\ntemplates: {sidecar: '{{ nosuch 1 }}'}").unwrap();
    let error = Injector::new(broken.build(Options::default()).unwrap()).unwrap_err();
    assert!(error.to_string().contains("nosuch"), "{error}");
}

#[test]
fn istios_templates_see_what_istio_shows_them() {
    let injector = crate::istio(NativeSidecars::Always);
    let pod = json!({"metadata": {"generateName": "web-5d4f-", "labels": {"pod-template-hash": "5d4f"},
        "annotations": {"inject.istio.io/templates": "both",
            "proxy.istio.io/config": "drainDuration: 23s"},
        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-5d4f",
            "controller": true}]},
        "spec": {"containers": [{"name": "a", "ports": [{"containerPort": 80, "hostIP": "::"}]}]}});
    let done = injector.inject(&pod, &Context::default()).unwrap().pod;
    assert_eq!(done["metadata"]["labels"]["service.istio.io/canonical-name"], "web");
    assert_eq!(done["metadata"]["annotations"]["extra"], "registry.istio.io/release");
    let proxy = &done["spec"]["initContainers"][1];
    let env: Vec<Value> = ["PROXY_CONFIG", "PORTS"]
        .iter()
        .map(|name| {
            let env = proxy["env"].as_array().unwrap().iter().find(|e| e["name"] == *name).unwrap();
            serde_json::from_str(env["value"].as_str().unwrap()).unwrap()
        })
        .collect();
    assert_eq!(env[0], json!({"drainDuration": "23s"}));
    assert_eq!(env[1], json!([{"containerPort": 80, "hostIP": "::"}]));
    assert_eq!(proxy["resources"]["limits"]["cpu"], "2000m");
    assert_eq!(done["spec"]["volumes"], json!([{"name": "workload-socket"}]));
}

#[test]
fn a_template_that_fails_on_a_pod_is_named() {
    let mut sources = Sources::default();
    sources.injector_config("templates: {sidecar: 'spec: {{ fail \"no such luck\" }}'}").unwrap();
    let options = Options { proxy: ProxyKind::Istio, ..Options::default() };
    let injector = Injector::new(sources.build(options).unwrap()).unwrap();
    let pod = json!({"metadata": {}, "spec": {}});
    let error = injector.inject(&pod, &Context::default()).unwrap_err().to_string();
    assert!(error.contains("sidecar") && error.contains("no such luck"), "{error}");
}

#[test]
fn a_pods_own_network_wins_over_the_meshs() {
    let mut sources = Sources::default();
    sources.values("global: {network: n1}").unwrap();
    let injector = Injector::new(sources.build(Options::default()).unwrap()).unwrap();
    for (labels, network) in [(json!({}), "n1"), (json!({"topology.istio.io/network": "n2"}), "n2")]
    {
        let pod = json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "a"}]}});
        let done = injector.inject(&pod, &Context::default()).unwrap().pod;
        assert_eq!(done["metadata"]["labels"]["topology.istio.io/network"], network);
        let env = done["spec"]["containers"][0]["env"].as_array().unwrap();
        let env = env.iter().find(|e| e["name"] == "ISTIO_META_NETWORK").unwrap();
        assert_eq!(env["value"], network);
    }
}

/// Where probes, collectors and captured connections are led, and where the proxy is told to
/// listen, are the same ports.
#[test]
fn the_proxy_is_told_every_port_that_others_are_led_to() {
    let mesh = "proxyListenPort: 15101\nproxyInboundListenPort: 15106\n\
                defaultConfig: {statusPort: 15029}\n";
    for (annotated, probes) in [(None, 15029), (Some("15999"), 15999)] {
        let injector = crate::sunup("{}", mesh, NativeSidecars::Always, false);
        let mut pod = json!({"metadata": {"name": "web"}, "spec": {"containers": [
            {"name": "web", "image": "web:1",
                "readinessProbe": {"httpGet": {"port": 80, "path": "/"}}}]}});
        if let Some(port) = annotated {
            let name = "status.sidecar.istio.io/port";
            pod["metadata"]["annotations"] = json!({ name: port });
        }
        let injected = injector.inject(&pod, &Context::default()).unwrap().pod;
        let probe = &injected["spec"]["containers"][0]["readinessProbe"]["httpGet"]["port"];
        assert_eq!(*probe, json!(probes));
        let init = injected["spec"]["initContainers"].as_array().unwrap();
        let of = |name: &str| init.iter().find(|c| c["name"] == name).unwrap();
        let words = |value: &Value| -> Vec<String> {
            let words = value.as_array().unwrap().iter();
            words.map(|word| word.as_str().unwrap().to_owned()).collect()
        };
        let capture = words(&of("istio-init")["args"]);
        let after = |flag: &str| {
            let at = capture.iter().position(|word| word == flag).unwrap();
            capture[at + 1].clone()
        };
        assert_eq!((after("-p"), after("-z")), ("15101".into(), "15106".into()));
        let excluded = after("-d");
        let excluded: Vec<&str> = excluded.split(',').collect();
        let scraped = injected["metadata"]["annotations"]["prometheus.io/port"].as_str().unwrap();
        for port in [&probes.to_string(), scraped] {
            assert_eq!(excluded.iter().filter(|p| **p == port).count(), 1, "{excluded:?}");
        }
        let proxy = of("istio-proxy");
        let args = words(&proxy["args"]);
        for arg in ["--outbound-port=15101", "--inbound-port=15106"] {
            assert!(args.iter().any(|word| word == arg), "{args:?}");
        }
        let told = args.iter().any(|word| *word == format!("--agent-port={probes}"));
        // ProxyConfig, which it is given, says the other one.
        assert_eq!(told, annotated.is_some(), "{args:?}");
        let hook = proxy["lifecycle"]["preStop"]["exec"]["command"].to_string();
        assert!(hook.contains(&format!("--debug-port={probes}")), "{hook}");
    }
    // Standard ports need no word.
    let plain = crate::sunup("{}", "{}", NativeSidecars::Always, false);
    let pod = json!({"metadata": {"name": "web"}, "spec": {"containers": [{"name": "web"}]}});
    let injected = plain.inject(&pod, &Context::default()).unwrap().pod;
    for flag in ["--agent-port", "--outbound-port", "--inbound-port"] {
        assert!(!injected.to_string().contains(flag), "{injected}");
    }
}
