//! The places where Sunup's way differs from Istio's on purpose, and `istio_compat` takes
//! Istio's: one test each, both ways.

use serde_json::{Value, json};
use sunup_inject::manifest::{self, Namespaces};
use sunup_inject::{Context, Injection, Level, NativeSidecars};

const NATIVE: NativeSidecars = NativeSidecars::Always;
const CLASSIC: NativeSidecars = NativeSidecars::Never;

fn injected(values: &Value, native: NativeSidecars, compat: bool, pod: &Value) -> Injection {
    let injector = crate::sunup(&values.to_string(), "{}", native, compat);
    injector.inject(pod, &Context::default()).unwrap()
}

/// Ours and Istio's.
fn both(values: &Value, native: NativeSidecars, pod: &Value) -> [Value; 2] {
    [false, true].map(|compat| injected(values, native, compat, pod).pod)
}

fn proxy(pod: &Value) -> &Value {
    let lists = ["initContainers", "containers"].map(|l| pod["spec"][l].as_array());
    let mut all = lists.into_iter().flatten().flatten();
    all.find(|c| c["name"] == "istio-proxy").unwrap()
}

fn pod(annotations: Value) -> Value {
    json!({"metadata": {"name": "p", "annotations": annotations},
        "spec": {"containers": [{"name": "app"}]}})
}

#[test]
fn one_resource_annotation_leaves_the_other_three_to_the_mesh() {
    let pod = pod(json!({"sidecar.istio.io/proxyCPULimit": "500m"}));
    let [ours, istio] = both(&json!({}), NATIVE, &pod);
    let all = json!({"limits": {"cpu": "500m", "memory": "1024Mi"},
        "requests": {"cpu": "100m", "memory": "128Mi"}});
    assert_eq!(proxy(&ours)["resources"], all);
    assert_eq!(ours["spec"]["initContainers"][0]["resources"], all);
    assert_eq!(proxy(&istio)["resources"], json!({"limits": {"cpu": "500m"}}));
}

/// Without it the application starts at the kubelet's next look; only where it is needless.
#[test]
fn a_startup_probe_is_left_out_only_where_the_start_gate_holds() {
    let probed = |values: &Value, native, compat, pod: &Value| {
        !proxy(&injected(values, native, compat, pod).pod)["startupProbe"].is_null()
    };
    let (none, plain) = (json!({}), pod(json!({})));
    assert!(!probed(&none, NATIVE, false, &plain));
    assert!(probed(&none, NATIVE, true, &plain), "Istio's way");
    assert!(probed(&none, CLASSIC, false, &plain), "it holds nobody back there");
    let kept = json!({"global": {"sunup": {"startupProbe": true}}});
    assert!(probed(&kept, NATIVE, false, &plain));
    let cni = json!({"pilot": {"cni": {"enabled": true}}});
    assert!(probed(&cni, NATIVE, false, &plain), "a plugin sets no gate");
    for (annotation, value) in [
        ("proxy.istio.io/config", "proxyMetadata: {SUNUP_START_GATE: \"off\"}"),
        ("sidecar.istio.io/interceptionMode", "NONE"),
    ] {
        let pod = pod(json!({annotation: value}));
        assert!(probed(&none, NATIVE, false, &pod), "{annotation}: {value}");
    }
    let disabled = json!({"global": {"proxy": {"startupProbe": {"enabled": false}}}});
    assert!(!probed(&disabled, CLASSIC, true, &plain));
}

#[test]
fn a_custom_lifecycle_keeps_the_hooks_it_does_not_define() {
    let sleep = json!({"exec": {"command": ["sleep", "5"]}});
    let pre_stop = json!({"global": {"proxy": {"lifecycle": {"preStop": sleep}}}});
    let [ours, istio] = both(
        &pre_stop,
        CLASSIC,
        &pod(json!({"proxy.istio.io/config":
        "holdApplicationUntilProxyStarts: true"})),
    );
    let wait = json!({"exec": {"command": ["pilot-agent", "wait"]}});
    assert_eq!(proxy(&ours)["lifecycle"], json!({"preStop": sleep, "postStart": wait}));
    assert_eq!(proxy(&istio)["lifecycle"], json!({"preStop": sleep}));

    let post_start = json!({"global": {"proxy": {"lifecycle": {"postStart": sleep}}}});
    let [ours, istio] = both(&post_start, NATIVE, &pod(json!({})));
    assert!(proxy(&ours)["lifecycle"]["preStop"].to_string().contains("drain"));
    assert_eq!(proxy(&istio)["lifecycle"], json!({"postStart": sleep}));

    // The very hook: one of each kind is all a container has, so the user's wins and it is said.
    let done = injected(&pre_stop, NATIVE, false, &pod(json!({})));
    assert_eq!(proxy(&done.pod)["lifecycle"], json!({"preStop": sleep}));
    let said = |l: Level| done.reasons.iter().find(|r| r.level == l).map(|r| r.text.clone());
    assert!(said(Level::Warning).unwrap().contains("drain"));
}

#[test]
fn a_hook_of_the_users_own_container_replaces_ours_whole() {
    let own = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "app"},
        {"name": "istio-proxy", "image": "auto",
         "lifecycle": {"preStop": {"httpGet": {"port": 1, "path": "/bye"}}},
         "readinessProbe": {"tcpSocket": {"port": 2}}}]}});
    let [ours, istio] = both(&json!({}), NATIVE, &own);
    let hook = &proxy(&ours)["lifecycle"]["preStop"];
    assert!(hook.get("httpGet").is_some() && hook.get("exec").is_none());
    assert!(proxy(&ours)["readinessProbe"].get("httpGet").is_none());
    // A handler of each kind, which the API server refuses.
    let hook = &proxy(&istio)["lifecycle"]["preStop"];
    assert!(hook.get("httpGet").is_some() && hook.get("exec").is_some());
}

#[test]
fn the_gateways_sysctl_joins_what_is_there() {
    let sysctls = |pod: &Value| -> Vec<String> {
        let list = pod["spec"]["securityContext"]["sysctls"].as_array();
        list.into_iter().flatten().map(|s| s["name"].as_str().unwrap().to_owned()).collect()
    };
    let gateway = json!({"inject.istio.io/templates": "gateway"});
    let port = "net.ipv4.ip_unprivileged_port_start".to_owned();
    // The mesh's securityContext.
    let mesh = json!({"gateways": {"securityContext": {"runAsNonRoot": true}}});
    let [ours, istio] = both(&mesh, NATIVE, &pod(gateway.clone()));
    assert_eq!(ours["spec"]["securityContext"]["runAsNonRoot"], true);
    assert_eq!(sysctls(&ours), std::slice::from_ref(&port));
    assert_eq!(sysctls(&istio), Vec::<String>::new());
    // The pod's own sysctls.
    let mut own = pod(gateway.clone());
    own["spec"]["securityContext"] =
        json!({"fsGroup": 7, "sysctls": [{"name": "net.core.somaxconn", "value": "1024"}]});
    let [ours, istio] = both(&json!({}), NATIVE, &own);
    assert_eq!(sysctls(&ours), ["net.core.somaxconn".to_owned(), port.clone()]);
    assert_eq!(ours["spec"]["securityContext"]["fsGroup"], 7);
    assert_eq!(sysctls(&istio), [port]);
    // The pod's own value of the same sysctl stays.
    own["spec"]["securityContext"]["sysctls"][0] =
        json!({"name": "net.ipv4.ip_unprivileged_port_start", "value": "80"});
    let ours = injected(&json!({}), NATIVE, false, &own).pod;
    assert_eq!(ours["spec"]["securityContext"]["sysctls"][0]["value"], "80");
}

#[test]
fn a_classic_sidecar_holds_the_app_unless_told_or_unless_it_would_end_badly() {
    let first = |pod: &Value| pod["spec"]["containers"][0]["name"].clone();
    let [ours, istio] = both(&json!({}), CLASSIC, &pod(json!({})));
    assert_eq!(first(&ours), "istio-proxy");
    assert!(proxy(&ours)["lifecycle"]["postStart"].is_object());
    assert_eq!(first(&istio), "app");
    // The pod's no counts, even against the mesh's yes.
    let mesh = json!({"global": {"proxy": {"holdApplicationUntilProxyStarts": true}}});
    let no = pod(json!({"proxy.istio.io/config": "holdApplicationUntilProxyStarts: false"}));
    let [ours, istio] = both(&mesh, CLASSIC, &no);
    assert_eq!(first(&ours), "app");
    assert_eq!(first(&istio), "istio-proxy");
    // A failed wait kills the proxy, and nobody restarts it in a Job's pod.
    let mut job = pod(json!({}));
    job["spec"]["restartPolicy"] = "Never".into();
    assert_eq!(first(&injected(&json!({}), CLASSIC, false, &job).pod), "app");
}

#[test]
fn a_cronjobs_pods_get_their_labels() {
    let text = "apiVersion: batch/v1\nkind: CronJob\nmetadata:\n  name: tick\nspec:\n  jobTemplate:\n    \
                spec:\n      template:\n        spec:\n          containers:\n          - name: a\n";
    let labels = |compat: bool| {
        let injector = crate::sunup("{}", "{}", NATIVE, compat);
        let done = manifest::inject(&injector, text, &Namespaces::default()).unwrap();
        let stream = sunup_yaml::read_values(&done.text, &sunup_yaml::Limits::default());
        let job = &stream.documents[0].value["spec"]["jobTemplate"];
        let name = |v: &Value| v["metadata"]["labels"]["service.istio.io/canonical-name"].clone();
        [name(&job["spec"]["template"]), name(job)]
    };
    assert_eq!(labels(false), [json!("tick"), Value::Null]);
    assert_eq!(labels(true), [Value::Null, json!("tick")]);
}

#[test]
fn a_gateways_canonical_name_fits_a_label() {
    let mut long = pod(json!({"inject.istio.io/templates": "gateway"}));
    long["metadata"]["name"] = "g".repeat(80).into();
    let key = "/metadata/labels/service.istio.io~1canonical-name";
    let [ours, istio] =
        both(&json!({}), NATIVE, &long).map(|p| p.pointer(key).unwrap().as_str().unwrap().len());
    assert_eq!((ours, istio), (63, 80));
}

#[test]
fn what_sunups_proxy_cannot_do_is_said() {
    let mut own = pod(json!({"sidecar.istio.io/bootstrapOverride": "x"}));
    own["metadata"]["labels"] = json!({"security.istio.io/tlsMode": "istio"});
    let done = injected(&json!({}), NATIVE, true, &own);
    let warnings: Vec<_> = done.reasons.iter().filter(|r| r.level == Level::Warning).collect();
    assert_eq!(warnings.len(), 2);
    let unknown = pod(json!({"inject.istio.io/templates": "no-such"}));
    let injector = crate::sunup("{}", "{}", NATIVE, false);
    let error = injector.inject(&unknown, &Context::default()).unwrap_err().to_string();
    assert!(error.contains("no-such") && error.contains("gateway, grpc-agent"), "{error}");
}

#[test]
fn vaults_address_is_excluded_where_its_agent_runs_before_the_proxy() {
    let range = |pod: &Value| -> String {
        let all = pod["spec"]["initContainers"].as_array().unwrap();
        let init = all.iter().find(|c| c["name"] == "istio-init").unwrap();
        let args = init["args"].as_array().unwrap();
        let at = args.iter().position(|a| a == "-x").unwrap();
        args[at + 1].as_str().unwrap().to_owned()
    };
    let vault = |more: Value| {
        let mut annotations = json!({"vault.hashicorp.com/agent-inject": "true",
            "vault.hashicorp.com/service": "https://10.0.9.5:8200"});
        annotations.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        pod(annotations)
    };
    let [ours, istio] = both(&json!({}), CLASSIC, &vault(json!({})));
    assert_eq!((range(&ours).as_str(), range(&istio).as_str()), ("10.0.9.5/32", ""));
    let own = json!({"traffic.sidecar.istio.io/excludeOutboundIPRanges": "10.1.0.0/16"});
    let ours = injected(&json!({}), CLASSIC, false, &vault(own)).pod;
    assert_eq!(range(&ours), "10.1.0.0/16,10.0.9.5/32");
    // Where it isn't needed it isn't done: before capture, or with the proxy already up.
    let first = vault(json!({"vault.hashicorp.com/agent-init-first": "true"}));
    assert_eq!(range(&injected(&json!({}), CLASSIC, false, &first).pod), "");
    assert_eq!(range(&injected(&json!({}), NATIVE, false, &vault(json!({}))).pod), "");
    let named = vault(json!({"vault.hashicorp.com/service": "https://vault.vault.svc:8200"}));
    let done = injected(&json!({}), CLASSIC, false, &named);
    assert!(done.reasons.iter().any(|r| r.level == Level::Warning && r.text.contains("CIDR")));
}

#[test]
fn a_sidecar_that_turns_native_is_made_anew() {
    let classic = injected(&json!({}), CLASSIC, false, &pod(json!({}))).pod;
    let values = json!({"global": {"sunup": {"image": "registry.example/sunup:2"}}});
    let done = injected(&values, NATIVE, false, &classic).pod;
    assert_eq!(proxy(&done)["image"], "registry.example/sunup:2");
    assert_eq!(done["spec"]["containers"].as_array().unwrap().len(), 1);
    assert_eq!(injected(&values, NATIVE, false, &done).pod, done);
}

/// Istio's own Prometheus sample writes its mount as a list.
#[test]
fn volumes_and_mounts_of_users_may_be_maps_or_lists() {
    let listed = pod(json!({
        "sidecar.istio.io/userVolume": r#"[{"name": "certs", "emptyDir": {"medium": "Memory"}}]"#,
        "sidecar.istio.io/userVolumeMount": r#"[{"name": "certs", "mountPath": "/etc/certs"}]"#,
    }));
    let by_name = pod(json!({
        "sidecar.istio.io/userVolume": r#"{"certs": {"emptyDir": {"medium": "Memory"}}}"#,
        "sidecar.istio.io/userVolumeMount": r#"{"certs": {"mountPath": "/etc/certs"}}"#,
    }));
    let mount = json!({"name": "certs", "mountPath": "/etc/certs"});
    let volume = json!({"name": "certs", "emptyDir": {"medium": "Memory"}});
    let has = |list: &Value, item: &Value| list.as_array().unwrap().contains(item);
    for pod in [&listed, &by_name] {
        for out in both(&json!({}), NATIVE, pod) {
            assert!(has(&proxy(&out)["volumeMounts"], &mount), "{out}");
            assert!(has(&out["spec"]["volumes"], &volume), "{out}");
        }
        let out = crate::istio(CLASSIC).inject(pod, &Context::default()).unwrap().pod;
        assert!(has(&proxy(&out)["volumeMounts"], &mount), "{out}");
        assert!(has(&out["spec"]["volumes"], &volume), "{out}");
    }
}
