//! Tables as kubectl, panes and dashboards print them, and descriptions of all kinds.

use std::time::{Duration, Instant};

use super::common::{Got, directory, text};

/// Rows of pods and of other kinds: `kind ns/name status ready restarts age`.
fn rows(got: &Got) -> Vec<String> {
    let of_pods = got.snapshot.pods.iter().flat_map(|pod| &pod.listed);
    of_pods
        .chain(&got.snapshot.listed)
        .map(|row| {
            let dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
            format!(
                "{} {}/{} {} {} {} {}",
                row.kind,
                dash(row.namespace.clone()),
                dash(row.name.clone()),
                dash(row.status.clone()),
                dash(row.ready.map(|(have, want)| format!("{have}/{want}"))),
                dash(row.restarts.map(|n| n.to_string())),
                dash(row.age.map(|age| age.least.as_secs().to_string())),
            )
        })
        .collect()
}

const CART: &str = "Pod -/cart-6c9f7d5b8-x2x9z CrashLoopBackOff 1/2 6 480";
const SHOP: &str = "Pod shop/cart-6c9f7d5b8-x2x9z CrashLoopBackOff 1/2 6 480";

#[test]
fn pods_in_every_tables_form() {
    for (want, input) in [
        (
            CART,
            "NAME                   READY   STATUS             RESTARTS      AGE\ncart-6c9f7d5b8-x2x9z   1/2     CrashLoopBackOff   6 (12s ago)   8m\n",
        ),
        (
            CART,
            "NAME                   READY     STATUS             RESTARTS   AGE\r\ncart-6c9f7d5b8-x2x9z   1/2       CrashLoopBackOff   6          8m\r\n",
        ),
        (
            CART,
            "NAME                   READY   STATUS             RESTARTS      AGE   IP          NODE     NOMINATED NODE   READINESS GATES\ncart-6c9f7d5b8-x2x9z   1/2     CrashLoopBackOff   6 (12s ago)   8m    10.8.2.17   node-1   <none>           <none>\n",
        ),
        (
            SHOP,
            "NAMESPACE   NAME                   READY   STATUS             RESTARTS   AGE\nshop        cart-6c9f7d5b8-x2x9z   1/2     CrashLoopBackOff   6          8m\n",
        ),
        (
            CART,
            "NAME READY STATUS RESTARTS AGE\ncart-6c9f7d5b8-x2x9z 1/2 CrashLoopBackOff 6 (12s ago) 8m\n",
        ),
        (
            CART,
            "NAME                       READY   STATUS             RESTARTS   AGE\npod/cart-6c9f7d5b8-x2x9z   1/2     CrashLoopBackOff   6          8m\n",
        ),
        (
            CART,
            "| NAME | READY | STATUS | RESTARTS | AGE |\n|---|---|---|---|---|\n| cart-6c9f7d5b8-x2x9z | 1/2 | CrashLoopBackOff | 6 | 8m |\n",
        ),
        (
            SHOP,
            "Name\tNamespace\tReady\tRestarts\tControlled By\tNode\tQoS\tAge\tStatus\ncart-6c9f7d5b8-x2x9z\tshop\t1/2\t6\tReplicaSet/cart-6c9f7d5b8\tnode-1\tBurstable\t8m\tCrashLoopBackOff\n",
        ),
        (
            SHOP,
            "┌────────────────────── Pods(shop)[1] ──────────────────────┐\n│ NAME↑                 PF READY  RESTARTS STATUS             CPU MEM IP        NODE   AGE │\n│ cart-6c9f7d5b8-x2x9z  ●  1/2           6 CrashLoopBackOff     1  30 10.8.2.17 node-1 8m  │\n└────────────────────────────────────────────────────────────┘\n",
        ),
        (
            SHOP,
            " Pods(shop)[1]\n NAME↑                 PF READY  RESTARTS STATUS             CPU MEM IP        NODE   AGE\n cart-6c9f7d5b8-x2x9z  ●  1/2           6 CrashLoopBackOff     1  30 10.8.2.17 node-1 8m\n",
        ),
        (
            CART,
            "\u{1b}[1mNAME                   READY   STATUS             RESTARTS   AGE\u{1b}[0m\ncart-6c9f7d5b8-x2x9z   \u{1b}[33m1/2\u{1b}[0m     CrashLoopBackOff   6          8m\n",
        ),
    ] {
        let got = text(input);
        assert_eq!(rows(&got), [want], "{input}");
        assert_eq!(got.unreadable(), Vec::<String>::new(), "{input}");
    }
}

#[test]
fn other_kinds_and_peoples_own_columns() {
    for (want, input) in [
        (
            "Job -/shop-realm - 0/1 - 2460",
            "NAME                   COMPLETIONS   DURATION   AGE\njob.batch/shop-realm   0/1           41m        41m\n",
        ),
        (
            "Job -/shop-realm - 0/1 - 2460",
            "NAME         DESIRED   SUCCESSFUL   AGE\nshop-realm   1         0            41m\n",
        ),
        (
            "Job -/shop-realm Running 0/1 - 2460",
            "NAME         STATUS    COMPLETIONS   DURATION   AGE\nshop-realm   Running   0/1           41m        41m\n",
        ),
        (
            "Deployment -/web - 0/3 - 1036800",
            "NAME   READY   UP-TO-DATE   AVAILABLE   AGE\nweb    0/3     3            0           12d\n",
        ),
        (
            "Deployment -/web - 0/3 - 1036800",
            "NAME   DESIRED   CURRENT   UP-TO-DATE   AVAILABLE   AGE\nweb    3         3         3            0           12d\n",
        ),
        (
            "ReplicaSet -/web-5b6f7c9d4 - 0/3 - 1036800",
            "NAME            DESIRED   CURRENT   READY   AGE\nweb-5b6f7c9d4   3         3         0       12d\n",
        ),
        (
            "DaemonSet -/agent - 4/5 - 1036800",
            "NAME    DESIRED   CURRENT   READY   UP-TO-DATE   AVAILABLE   NODE SELECTOR   AGE\nagent   5         5         4       5            4           <none>          12d\n",
        ),
        ("StatefulSet -/db - 1/3 - 1036800", "NAME   READY   AGE\ndb     1/3     12d\n"),
        (
            "CronJob -/nightly - - - 1036800",
            "NAME      SCHEDULE      SUSPEND   ACTIVE   LAST SCHEDULE   AGE\nnightly   0 3 * * *     False     1        9h              12d\n",
        ),
        (
            "DeploymentConfig -/catalog - 1/1 - -",
            "NAME      REVISION   DESIRED   CURRENT   TRIGGERED BY\ncatalog   2          1         1         config,image(catalog:latest)\n",
        ),
        (
            "Pod -/web-5b6f7c9d4-9xk2l Running 1/2 6 -",
            "POD                     PHASE     READY        RESTARTS   CONTAINERS\nweb-5b6f7c9d4-9xk2l     Running   true,false   0,6        app,istio-proxy\n",
        ),
        (
            "Deployment shop/web Does not have minimum availability 0/3 - -",
            "Name\tStatus\tType\tPods\tNamespace\tCluster\nweb\tDoes not have minimum availability\tDeployment\t0/3\tshop\tprod\n",
        ),
        (
            "Pod -/web-5b6f7c9d4-9xk2l Running - - -",
            "NAME                    PHASE     NODE\nweb-5b6f7c9d4-9xk2l     Running   node-1\n",
        ),
    ] {
        let got = text(input);
        assert_eq!(rows(&got), [want], "{input}");
        assert_eq!(got.unreadable(), Vec::<String>::new(), "{input}");
    }
    let got = text(
        "POD                     CONTAINERS        READY        RESTARTS\nweb-5b6f7c9d4-9xk2l     app,istio-proxy   true,false   0,6\n",
    );
    let proxy = got.pod().listed_container("istio-proxy").expect("named");
    assert_eq!((proxy.ready, proxy.restart_count), (false, 6));
}

#[test]
fn several_tables_below_each_other_and_words_between_them() {
    let got = text(
        "\nNAME                                     READY   STATUS     RESTARTS   AGE\npod/shop-kc-0                            2/2     Running    0          46m\npod/shop-realm-lvbqt                     1/2     NotReady   0          41m\n\nNAME                   COMPLETIONS   DURATION   AGE\njob.batch/shop-realm   0/1           41m        41m\n\nqux=17 %% quux\n",
    );
    let mut rows = rows(&got);
    rows.sort();
    assert_eq!(
        rows,
        [
            "Job -/shop-realm - 0/1 - 2460",
            "Pod -/shop-kc-0 Running 2/2 0 2760",
            "Pod -/shop-realm-lvbqt NotReady 1/2 0 2460"
        ]
    );
    // What is no row is not passed over in silence.
    let partly: Vec<u64> = got.summary.read.partly.iter().map(|read| read.lines).collect();
    assert_eq!(partly, [1]);
}

#[test]
fn nodes_and_namespaces_are_objects_as_far_as_they_are_shown() {
    let got = text(
        "NAME     STATUS   ROLES           AGE   VERSION   INTERNAL-IP   EXTERNAL-IP   OS-IMAGE             KERNEL-VERSION      CONTAINER-RUNTIME\nnode-1   Ready    control-plane   12d   v1.27.3   10.0.0.9      <none>        Ubuntu 22.04.3 LTS   5.15.0-91-generic   containerd://1.7.2\n",
    );
    let (name, info) = &got.snapshot.nodes[0];
    assert_eq!(name, "node-1");
    assert_eq!(info.kernel_version, "5.15.0-91-generic");
    assert_eq!(info.container_runtime_version, "containerd://1.7.2");
    assert_eq!(info.kubelet_version, "v1.27.3");
    let got = text(
        "NAME           STATUS   AGE   ISTIO-INJECTION\ndefault        Active   12d   \nkeycloak       Active   47m   enabled\n",
    );
    let names: Vec<&str> = got.snapshot.namespaces.iter().map(|(ns, _)| ns.name.as_str()).collect();
    // Of the other nothing is known: it may well have labels.
    assert_eq!(names, ["keycloak"]);
    assert_eq!(got.snapshot.namespaces[0].0.labels["istio-injection"], "enabled");
}

#[test]
fn containers_of_docker_and_crictl() {
    let got = text(
        "CONTAINER ID   IMAGE          COMMAND                  CREATED         STATUS                     PORTS     NAMES\n3f2a1b4c5d6e   7f2a1b4c5d6e   \"/usr/local/bin/pilo…\"   3 minutes ago   Up 3 minutes                         k8s_istio-proxy_web-0_shop_6dfc038a_0\n4f2a1b4c5d6e   8f2a1b4c5d6e   \"/app\"                   3 minutes ago   Exited (1) 2 minutes ago             k8s_app_web-0_shop_6dfc038a_4\n",
    );
    let pod = got.pod();
    assert_eq!((pod.namespace.as_deref(), pod.name.as_deref()), (Some("shop"), Some("web-0")));
    let app = pod.listed_container("app").expect("named");
    assert_eq!(app.restart_count, 4);
    assert_eq!(app.state.terminated.as_ref().map(|t| t.exit_code), Some(1));
    assert!(pod.listed_container("istio-proxy").is_some_and(|c| c.state.running.is_some()));
    let got = text(
        "CONTAINER           IMAGE               CREATED             STATE               NAME                ATTEMPT             POD ID              POD\n87d3992f84f74       8cb9a2d5d0b3f       2 minutes ago       Exited              app                 3                   4ccd2a1f0c9a1       web-0\n",
    );
    assert!(got.pod().listed_container("app").is_some_and(|c| c.state.terminated.is_some()));
    // What compose runs is no pod.
    let got = text(
        "NAME                IMAGE          COMMAND       SERVICE   CREATED         STATUS         PORTS\nshop-redis-1        redis:7        \"redis\"       redis     2 minutes ago   Up 2 minutes   6379/tcp\n",
    );
    assert!(got.snapshot.pods.is_empty());
    assert_eq!(rows(&got), ["Container -/shop-redis-1 Up 2 minutes - - -"]);
}

#[test]
fn log_lines_in_a_dashboards_table() {
    let refused = "dial tcp 10.0.0.1:6379: connect: connection refused";
    let got = text(format!(
        "Time | Message\n-- | --\n2020-11-28 00:27:25.595 | up | and running\n2020-11-28 00:27:23.595 | {refused}\n"
    ));
    assert_eq!(got.refusals(), [format!("-/-/ -:4 2020-11-28T00:27:23.595Z {refused}")]);
    let got = text(format!(
        "| Time | Namespace | Pod | Container | Message |\n|---|---|---|---|---|\n| 2020-11-28T00:27:23.595Z | shop | web-0 | app | {refused} |\n"
    ));
    assert_eq!(got.refusals(), [format!("shop/web-0/app -:3 2020-11-28T00:27:23.595Z {refused}")]);
}

#[test]
fn the_log_of_a_pane_as_it_was_saved() {
    let refused = "dial tcp 10.0.0.1:6379: connect: connection refused";
    let got = text(format!(
        "2026-10-02T07:14:05.812Z       web-5b6f7c9d4-9xk2l app {refused}\n2026-10-02T07:14:07.400Z       web-5b6f7c9d4-9xk2l istio-proxy up\n"
    ));
    assert_eq!(
        got.refusals(),
        [format!("-/web-5b6f7c9d4-9xk2l/app -:1 2026-10-02T07:14:05.812Z {refused}")]
    );
}

#[test]
fn states_that_were_asked_for() {
    let got = text(
        "istio-proxy\t{\"running\":{\"startedAt\":\"2024-08-23T15:31:04Z\"}}\nkeycloak\t{\"terminated\":{\"exitCode\":0,\"reason\":\"Completed\"}}\n",
    );
    let facts = &got.snapshot.pods[0];
    assert_eq!(facts.name, None);
    let ended = facts.listed_container("keycloak").and_then(|c| c.state.terminated.clone());
    assert_eq!(ended.and_then(|t| t.reason).as_deref(), Some("Completed"));
}

#[test]
fn descriptions_of_what_makes_pods() {
    let got = text(
        "Name:             web\nNamespace:        shop\nLabels:           app=web\nSelector:         app=web\nReplicas:         3 desired | 3 updated | 3 total | 1 available | 2 unavailable\nStrategyType:     RollingUpdate\nPod Template:\n  Labels:  app=web\n  Containers:\n   app:\n    Image:  x\nEvents:\n  Type    Reason             Age  From                   Message\n  ----    ------             ---- ----                   -------\n  Normal  ScalingReplicaSet  12m  deployment-controller  Scaled up replica set web-5b6f7c9d4 to 3\n\n\nName:           shop-realm\nNamespace:      shop\nControlled By:  CronJob/realm\nCompletions:    1\nPods Statuses:  1 Active (0 Ready) / 0 Succeeded / 0 Failed\nEvents:         <none>\n",
    );
    assert_eq!(rows(&got), ["Deployment shop/web - 1/3 - -", "Job shop/shop-realm - 0/1 - -"]);
    assert_eq!(got.snapshot.listed[1].owner, Some(("CronJob".to_owned(), "realm".to_owned())));
    assert_eq!(
        got.events(),
        ["Deployment/web - ScalingReplicaSet - Scaled up replica set web-5b6f7c9d4 to 3"]
    );
    assert!(got.snapshot.workloads.is_empty() && got.snapshot.pods.is_empty());
}

#[test]
fn a_description_below_a_prompt_indented_or_in_utf16() {
    let described = "PS C:\\> kubectl describe pod web-0\r\nName:         web-0\r\nNamespace:    shop\r\nContainers:\r\n  app:\r\n    Args:\r\n      -x\r\n      \r\n      -b\r\n    State:          Running\r\n    Ready:          True\r\n    Restart Count:  2\r\nVolumes:\r\n  token:\r\n    Name:      istio-ca-root-cert\r\n    Optional:  false\r\nEvents:\r\n  Type     Reason     Age                From     Message\r\n  ----     ------     ----               ----     -------\r\n  Warning  Unhealthy  3s (x12 over 40s)  kubelet  Readiness probe failed\r\n";
    let indented: String = described.lines().map(|line| format!("    {line}\n")).collect();
    let wide: Vec<u8> = [0xff, 0xfe]
        .into_iter()
        .chain(described.encode_utf16().flat_map(u16::to_le_bytes))
        .collect();
    for input in [described.as_bytes(), indented.as_bytes(), &wide] {
        let got = text(input);
        let (pod, _) = got.pod().pod.as_ref().expect("the pod");
        assert_eq!(pod.metadata.name, "web-0");
        assert_eq!(pod.spec.containers[0].args, ["-x", "", "-b"]);
        assert_eq!(pod.status.container("app").map(|c| c.restart_count), Some(2));
        assert_eq!(got.events(), ["Pod/web-0 - Unhealthy - Readiness probe failed"]);
        assert_eq!(got.unreadable(), Vec::<String>::new());
    }
}

#[test]
fn a_described_node_and_a_namespace() {
    let got = text(
        "Name:               node-1\nRoles:              <none>\nLabels:             a=b\nSystem Info:\n  Kernel Version:             5.15.0\n  Container Runtime Version:  cri-o://1.25.3\n  Kubelet Version:            v1.25.3\nNon-terminated Pods:          (1 in total)\n  Namespace                   Name    CPU Requests\n  shop                        web-0   100m\nEvents:              <none>\n\n\nName:         shop\nLabels:       istio-injection=enabled\n              kubernetes.io/metadata.name=shop\nAnnotations:  <none>\nStatus:       Active\n\nNo resource quota.\n",
    );
    assert_eq!(got.snapshot.nodes[0].1.container_runtime_version, "cri-o://1.25.3");
    assert_eq!(got.snapshot.namespaces[0].0.labels.len(), 2);
    assert!(got.snapshot.pods.is_empty(), "{:?}", got.snapshot.pods);
}

#[test]
fn the_events_of_a_block_name_their_pod() {
    let got = text(
        "Events:\n  Type     Reason     Age  From               Message\n  ----     ------     ---- ----               -------\n  Normal   Scheduled  18m  default-scheduler  Successfully assigned shop/web-5b6f7c9d4-9xk2l to n1\n  Warning  Unhealthy  3m   kubelet            Readiness probe failed: HTTP probe failed with statuscode: 503\n",
    );
    let pod = got.pod();
    assert_eq!(pod.name.as_deref(), Some("web-5b6f7c9d4-9xk2l"));
    assert_eq!(pod.namespace.as_deref(), Some("shop"));
    assert_eq!(pod.events.len(), 2);
}

#[test]
fn a_kubelets_log_is_read_as_the_events_it_makes() {
    let got = text(
        "2026-11-30T10:41:58+0000 node-1 kubelet[1234]: I1130 10:41:58.123456    1234 server.go:1] \"Started kubelet\"\n2026-11-30T10:41:59+0000 node-1 kubelet[1234]: I1130 10:41:59.123456    1234 prober.go:107] \"Probe failed\" probeType=\"Readiness\" pod=\"shop/web-0\" podUID=\"6dfc\" containerName=\"istio-proxy\" probeResult=\"failure\" output=\"HTTP probe failed with statuscode: 503\"\n",
    );
    let pod = got.pod();
    assert_eq!((pod.namespace.as_deref(), pod.name.as_deref()), (Some("shop"), Some("web-0")));
    assert!(pod.logs.is_empty(), "a node's log is no pod's");
    assert_eq!(
        pod.events[0].event.message,
        "Readiness probe failed: HTTP probe failed with statuscode: 503"
    );
    assert_eq!(pod.events[0].event.container.as_deref(), Some("istio-proxy"));
}

#[test]
fn what_is_no_table_of_ours() {
    for input in [
        "NAME AND AGE OF THE CHILDREN\nAnna, 7\n",
        "The STATUS of the pod is NotReady, its READY column says 1/2.\n",
        "id,name,status,age\n1,web-0,Running,8m\n",
        "# Values\n\n| Key | Type | Default | Description |\n|---|---|---|---|\n| replicas | int | 1 | how many |\n",
        "| Name | Age | City |\n|---|---|---|\n| Anna | 7 | Kyiv |\n",
        "PASS  FAIL  SKIP\n12    0     3\n",
    ] {
        let got = text(input);
        assert!(got.snapshot.pods.iter().all(|pod| pod.name.is_none()), "{input}");
        assert!(got.snapshot.listed.is_empty(), "{input}: {:?}", got.snapshot.listed);
    }
}

#[test]
fn hostile_tables_are_read_in_time() {
    let began = Instant::now();
    let head = "NAME   READY   STATUS   RESTARTS   AGE\n";
    let inputs = [
        format!("{head}{}", "x ".repeat(500_000)),
        format!("{head}{}", "1 (".repeat(300_000)),
        format!("{head}{}", "é│".repeat(300_000)),
        format!("{head}{}", "web-0   1/2   Running   0   8m\n".repeat(40_000)),
        head.repeat(20_000),
        format!("{}\n{}", "NAME  AGE  ".repeat(50_000), "a  1m\n".repeat(1000)),
        format!("| Time | Message |\n{}", "|".repeat(500_000)),
        format!("Name:  a\nNamespace:  b\n{}", "Name:  a\nNamespace:  b\n".repeat(20_000)),
        format!(
            "Name:  a\nNamespace:  b\nEvents:\n{}",
            "  Warning  A  1s  kubelet  x\n    y\n".repeat(20_000)
        ),
        format!("Name:  a\nNamespace:  b\nContainers:\n{}", "  a:\n    Args:\n\n\n".repeat(20_000)),
        format!(
            "I1130 10:41:58.1    1 x.go:1] \"Probe failed\" pod=\"a/b\" {}",
            "output=".repeat(100_000)
        ),
        format!("app {}", "{\"running\":".repeat(100_000)),
    ];
    for input in &inputs {
        let _ = text(input);
    }
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
}

#[test]
fn a_table_does_not_make_its_pods_the_subject_of_a_log_beside_it() {
    let pod = br#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"catalog-2-x7k2q","namespace":"shop","uid":"u"},"spec":{"initContainers":[{"name":"istio-init"}],"containers":[{"name":"catalog"}]},"status":{"phase":"Pending"}}"#;
    let table = b"NAME               READY   STATUS     RESTARTS   AGE\ncatalog-2-x7k2q    0/2     Init:0/1   5          4m\ncatalog-2-deploy   1/1     Running    0          4m\n";
    let log = b"2020-11-28T00:27:23Z dial tcp 10.0.0.1:80: connect: connection refused\n";
    let got = directory(&[
        ("pod.json", pod.as_slice()),
        ("oc-get-pods.txt", table.as_slice()),
        ("istio-init.log", log.as_slice()),
    ]);
    let names: Vec<_> = got.snapshot.pods.iter().map(|pod| pod.name.as_deref()).collect();
    assert_eq!(names, [Some("catalog-2-deploy"), Some("catalog-2-x7k2q")]);
    let pod = &got.snapshot.pods[1];
    assert!(pod.logs.contains_key("istio-init"), "{:?}", pod.logs.keys());
    assert_eq!(pod.listed.len(), 1);
}

#[test]
fn a_proxys_log_names_its_pod() {
    let got = directory(&[
        (
            "one.log",
            b"2021-11-23T13:02:05.203000Z\tinfo\tProxy role: ips=[10.244.1.33] type=sidecar id=dash-79f489b55-6qbzx.kubeflow domain=kubeflow.svc.cluster.local\n2021-11-23T13:02:06.203000Z\tinfo\tEnvoy proxy is ready\n".as_slice(),
        ),
        (
            "two.log",
            b"2021-11-23T13:02:05.203000Z\tinfo\tProxy role: ips=[10.244.1.34] type=sidecar id=cart-6c9f7d5b8-x2x9z.shop domain=shop.svc.cluster.local\n".as_slice(),
        ),
    ]);
    let pods: Vec<_> = got
        .snapshot
        .pods
        .iter()
        .map(|pod| {
            (pod.namespace.as_deref(), pod.name.as_deref(), pod.logs.contains_key("istio-proxy"))
        })
        .collect();
    assert_eq!(
        pods,
        [
            (Some("kubeflow"), Some("dash-79f489b55-6qbzx"), true),
            (Some("shop"), Some("cart-6c9f7d5b8-x2x9z"), true)
        ]
    );
}

#[test]
fn a_control_planes_log_is_not_its_proxys() {
    let got = directory(&[
        (
            "pod.txt",
            b"Name:         gw-69c668779-ffnrs\nNamespace:    istio-system\nContainers:\n  istio-proxy:\n    State:          Running\n    Ready:          False\n".as_slice(),
        ),
        (
            "from-the-console.log",
            b"2020-11-28T00:22:43.481190Z\twarn\tads\tADS:LDS: ACK ERROR router~10.16.2.7~gw-69c668779-ffnrs.istio-system~istio-system.svc.cluster.local-7 Internal:Error adding/updating listener(s) 0.0.0.0_443: cannot bind '0.0.0.0:443': Permission denied\n".as_slice(),
        ),
    ]);
    let of = |name: Option<&str>| {
        got.snapshot.pods.iter().find(|pod| pod.name.as_deref() == name).expect("it is there")
    };
    assert!(of(Some("gw-69c668779-ffnrs")).logs.is_empty());
    assert!(of(None).logs.contains_key("discovery"));
}
