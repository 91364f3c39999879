//! What a container finds in its pod: environment, volumes, user, names; and what is refused.

use std::collections::BTreeMap;

use serde_json::json;
use sunup_lab::Phase;
use sunup_lab::manifest::{self, Pod};

use crate::kit::{has_reason, with_lab};

#[test]
fn a_container_finds_its_environment_and_volumes() {
    with_lab("pods::a_container_finds_its_environment_and_volumes", |world| {
        let data = BTreeMap::from([("greeting".to_owned(), b"hello".to_vec())]);
        for secret in [false, true] {
            let (namespace, name) = ("test".to_owned(), "words".to_owned());
            let object = manifest::Object::Data { secret, namespace, name, data: data.clone() };
            world.lab.apply(object).unwrap();
        }
        let pod = world.run(
            "env",
            r#"
            hostname: box
            volumes:
            - {name: shared, emptyDir: {}}
            - {name: words, configMap: {name: words}}
            - {name: secret, secret: {secretName: words, items: [{key: greeting, path: deep/er}]}}
            - {name: info, downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}}
            initContainers:
            - {name: writer, image: shell, args: ["echo from the first > /shared/note"],
               volumeMounts: [{name: shared, mountPath: /shared}]}
            containers:
            - name: app
              image: shell
              args: ["echo $(NAME) $IP $CPU $greeting '$(NOBODY)'; cat /etc/words/greeting /data/x/deep/er /etc/info/labels; echo; cat /shared/note; hostname; touch /usr/x || echo no; test -e /etc/passwd && echo etc; cat /etc/resolv.conf; exec sleep 60"]
              env:
              - {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
              - {name: NAME, value: "pod-$(POD)"}
              - {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
              - {name: CPU, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}
              envFrom: [{configMapRef: {name: words}}]
              resources: {limits: {cpu: 1500m}}
              volumeMounts:
              - {name: shared, mountPath: /shared}
              - {name: words, mountPath: /etc/words, readOnly: true}
              - {name: secret, mountPath: /data/x}
              - {name: info, mountPath: /etc/info}
            "#,
        );
        world.line(&pod, "app", "ndots");
        let ip = pod.status().pod_ip.unwrap();
        let lines: Vec<String> = world.of(&pod).lines.into_iter().map(|l| l.text).collect();
        let has = |text: &str| assert!(lines.iter().any(|l| l == text), "{text}: {lines:?}");
        has(&format!("pod-env {ip} 2 hello $(NOBODY)"));
        has("hellohelloapp=\"env\"");
        has("from the first");
        has("box");
        has("no");
        has("etc");
        has("search test.svc.cluster.local svc.cluster.local cluster.local");
    });
}

#[test]
fn a_container_runs_as_its_user_with_its_capabilities() {
    with_lab("pods::a_container_runs_as_its_user_with_its_capabilities", |world| {
        let pod = world.run(
            "user",
            r#"
            securityContext: {runAsUser: 1000, runAsGroup: 2000, fsGroup: 3000}
            containers:
            - {name: user, image: shell, args: ["id -u; id -g; id -G; grep CapEff /proc/self/status; exec sleep 60"]}
            - name: root
              image: shell
              args: ["id -u; grep CapEff /proc/self/status; grep NoNewPrivs /proc/self/status; exec sleep 60"]
              securityContext: {runAsUser: 0, allowPrivilegeEscalation: false, capabilities: {drop: [ALL], add: [NET_ADMIN]}}
            "#,
        );
        world.line(&pod, "root", "NoNewPrivs:\t1");
        world.line(&pod, "user", "CapEff:\t0000000000000000");
        world.line(&pod, "root", "CapEff:\t0000000000001000");
        let lines = world.of(&pod).lines;
        let of = |name: &str| {
            let mine = lines.iter().filter(|l| &*l.container == name);
            mine.map(|l| l.text.clone()).collect::<Vec<_>>()
        };
        if world.lab.any_user() {
            assert_eq!(of("user")[..3], ["1000", "2000", "2000 3000"]);
        }
        assert_eq!(of("root")[0], "0");
    });
}

#[test]
fn a_sysctl_takes_effect_and_is_refused_with_the_host_network() {
    with_lab("pods::a_sysctl_takes_effect_and_is_refused_with_the_host_network", |world| {
        let sysctl =
            |name: &str| format!("securityContext: {{sysctls: [{{name: {name}, value: \"0\"}}]}}");
        let low = sysctl("net.ipv4.ip_unprivileged_port_start");
        let app = r#"containers: [{name: app, image: shell, args: ["cat /proc/sys/net/ipv4/ip_unprivileged_port_start; exec sleep 60"]}]"#;
        let pod = world.run("low", &format!("{{{low}, {app}}}"));
        let plain = world.run("plain", &format!("{{{app}}}"));
        world.line(&pod, "app", "0");
        world.line(&plain, "app", "1024");
        let refused = |name: &str, spec: &str, text: &str| {
            let pod = world.run(name, spec);
            let status = world.until(&pod, |s| s.phase == Phase::Failed);
            assert_eq!(status.reason.as_deref(), Some("SysctlForbidden"));
            assert!(status.message.unwrap().contains(text));
            world.event(&pod, "SysctlForbidden", text);
        };
        let host = format!("{{hostNetwork: true, {low}, {app}}}");
        refused("host", &host, "not allowed with host net enabled");
        let unsafe_one = format!("{{{}, {app}}}", sysctl("net.core.somaxconn"));
        refused("unsafe", &unsafe_one, "\"net.core.somaxconn\" not allowlisted");
    });
}

#[test]
fn what_the_lab_cannot_carry_out_is_named() {
    let read = |spec: serde_json::Value| {
        let pod = json!({"kind": "Pod", "metadata": {"name": "x"}, "spec": spec});
        format!("{:#}", Pod::read(pod).unwrap_err())
    };
    let with = |key: &str, value: serde_json::Value| {
        let mut spec = json!({"containers": [{"name": "app", "image": "x"}]});
        spec[key] = value;
        read(spec)
    };
    let app = |key: &str, value: serde_json::Value| {
        let mut container = json!({"name": "app", "image": "x"});
        container[key] = value;
        read(json!({"containers": [container]}))
    };
    for (error, path) in [
        (with("hostPID", json!(true)), "hostPID"),
        (with("activeDeadlineSeconds", json!(3)), "activeDeadlineSeconds"),
        (
            with("volumes", json!([{"name": "v", "hostPath": {"path": "/"}}])),
            "spec.volumes[v].hostPath",
        ),
        (
            app("lifecycle", json!({"stopSignal": "SIGUSR1"})),
            "spec.containers[0].lifecycle.stopSignal",
        ),
        (
            app("livenessProbe", json!({"grpc": {"port": 1}})),
            "spec.containers[app].livenessProbe: grpc",
        ),
        (
            app("readinessProbe", json!({"httpGet": {"port": 1, "scheme": "HTTPS"}})),
            "readinessProbe: httpGet.scheme",
        ),
        (app("restartPolicy", json!("Always")), "spec.containers[app].restartPolicy"),
        (app("volumeMounts", json!([{"name": "v", "mountPath": "/v"}])), "there is no volume v"),
        (app("volumeDevices", json!([])), "spec.containers[0].volumeDevices"),
        (read(json!({"containers": []})), "spec.containers"),
    ] {
        assert!(error.contains(path), "{path}: {error}");
    }
    let kinds = manifest::read("{kind: PersistentVolume, metadata: {name: v}}").unwrap_err();
    assert!(kinds.to_string().contains("PersistentVolume v"), "{kinds}");
}

#[test]
fn what_cannot_start_says_why_in_the_kubelets_words() {
    with_lab("pods::what_cannot_start_says_why_in_the_kubelets_words", |world| {
        let pod = world.run(
            "bad",
            r#"
            containers:
            - {name: image, image: nobody/knows}
            - {name: program, image: shell, command: [/no/such/program]}
            - {name: config, image: shell, args: [x], envFrom: [{configMapRef: {name: gone}}]}
            - {name: root, image: shell, args: [x], securityContext: {runAsNonRoot: true}}
            "#,
        );
        let all = |s: &sunup_lab::PodStatus| {
            has_reason(s, "image", "ErrImagePull")
                && has_reason(s, "config", "CreateContainerConfigError")
                && has_reason(s, "root", "CreateContainerConfigError")
        };
        world.until(&pod, all);
        world.event(&pod, "Failed", "configmap \"gone\" not found");
        world.event(&pod, "Failed", "runAsNonRoot");
        world.event(&pod, "Failed", "\"/no/such/program\": executable file not found");
    });
}
