//! A guard that is asked to mend classic sidecars of Istio's injector, on an API server: what comes
//! out starts in order, and whoever creates the pod reads why.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::cluster::{names, with_cluster};
use super::orders::{authority, istio, other, ours};
use super::server::{pod, start_in};
use super::standin::{self, Change};

/// What the server is asked for, the containers that come of it, and what is said.
type Case = (&'static [&'static str], [&'static [&'static str]; 2], Option<&'static str>);

const CASES: [Case; 4] = [
    (&[], [&["istio-init"], &["app", "istio-proxy"]], None),
    (
        &["--classic-sidecars=hold"],
        [&["istio-init"], &["istio-proxy", "app"]],
        Some("done: hold the application until istio-proxy is ready"),
    ),
    (
        &["--classic-sidecars=native", "--kubernetes-version=1.33"],
        [&["istio-init", "istio-proxy"], &["app"]],
        Some("done: run istio-proxy as a native sidecar, which starts first"),
    ),
    (
        // Nodes that don't run them.
        &["--classic-sidecars=native", "--kubernetes-version=1.28"],
        [&["istio-init"], &["istio-proxy", "app"]],
        Some("done: hold the application until istio-proxy is ready"),
    ),
];

#[test]
fn classic_sidecars_start_first_where_the_guard_is_asked_to_see_to_it() {
    let test = "classic_sidecars_start_first_where_the_guard_is_asked_to_see_to_it";
    with_cluster(test, async |cluster| {
        let home = cluster.namespace("home", json!({})).await;
        let paths = BTreeMap::from([("/istio", standin::istio(istio(false)) as Change)]);
        let standin = standin::serve(paths).await;
        for (number, (options, lists, said)) in CASES.iter().enumerate() {
            let server = start_in(&cluster, &home, "none", 0, options).await;
            let ca = authority(&cluster, &home).await;
            let label = format!("s{number}-{}", cluster.id);
            let space = cluster.namespace(&format!("s{number}"), json!({"order": label})).await;
            let (first, last) = (format!("m-{label}"), format!("zz-{label}"));
            let hooks = [
                other(&standin, "istio", first, label.clone()).configuration(),
                ours(server.port, "/guard", last, label, &ca).configuration(),
            ];
            cluster.configure(&hooks).await;
            let wanted = [lists[0], lists[1]];
            let as_wanted =
                |made: &Value| [names(made, "initContainers"), names(made, "containers")] == wanted;
            let is_it = |got: &Result<Value, kube::Error>| got.as_ref().is_ok_and(as_wanted);
            cluster.until(&space, &pod(json!({})), is_it).await.unwrap();
            let (made, warnings) = cluster.warned(&space, &pod(json!({}))).await;
            assert!(as_wanted(&made), "{options:?}: {made}");
            match said {
                None => assert!(warnings.is_empty(), "{warnings:?}"),
                Some(done) => {
                    let told = warnings.iter().any(|w| {
                        w.contains("app-before-proxy: The application connects before its proxy")
                            && w.contains(done)
                    });
                    assert!(told && warnings.len() == 1, "{options:?}: {warnings:?}");
                }
            }
            cluster.forget(&hooks).await;
        }
    });
}
