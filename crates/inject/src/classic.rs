//! Classic sidecars of Istio's injector, behind which the application starts before its proxy is
//! ready: made to hold it back, or made native ones, by a guard that is asked to.
//!
//! The pod becomes what Istio's own template makes of it with the other setting, and nothing else
//! of it changes. Left alone is who has a start of its own: a pod without capture, one that holds
//! already or says that it won't, one whose proxy has a hook of its user's.
//!
//! # Sources
//! `files/injection-template.yaml` of istio/istio's istiod chart (86c9f01): what `$nativeSidecar` and
//! `$holdProxy` change. `pilot-agent wait` since Istio 1.7; `sidecar.istio.io/nativeSidecar` since
//! 1.24; native sidecars on by default since Kubernetes 1.29 (KEP-753).

use serde_json::{Value, json};
use sunup_api::{annotation as keys, container, port};

use crate::mutate::order;
use crate::settings::{NATIVE_SINCE, Settings, proxy_config};
use crate::value::{
    annotation, at, containers, find, find_mut, list_mut, map_mut, name, set_annotation, text_at,
};

/// What the guard does with classic sidecars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Classic {
    /// Leaves them as they are.
    #[default]
    Leave,
    /// Has them hold the application back until the proxy is ready.
    Hold,
    /// Makes native ones of them where every kubelet and the mesh's Istio run those; else holds.
    Native,
}

/// What was done to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mended {
    /// It holds the application back now.
    Held,
    /// It is a native one now.
    Native,
}

/// The first Istio whose pods can ask for a native sidecar, and whose agent has all that it takes.
const ISTIO_WITH_NATIVE: (u32, u32) = (1, 24);
/// The first Istio whose agent can be waited for.
const ISTIO_WITH_WAIT: (u32, u32) = (1, 7);

/// Mends a pod whose shape was checked. Doing it twice changes nothing more.
pub(crate) fn mend(pod: &mut Value, wanted: Classic, mesh: &Settings) -> Option<Mended> {
    if wanted == Classic::Leave || !starts_too_early(pod) {
        return None;
    }
    if wanted == Classic::Native && may_be_native(pod, mesh) {
        return native(pod, mesh);
    }
    hold(pod)
}

/// Whether applications of this pod start behind capture and before a proxy, and nobody has said
/// that this is meant.
fn starts_too_early(pod: &Value) -> bool {
    let init = containers(pod, "initContainers");
    let apps = containers(pod, "containers");
    let captured =
        [container::INIT, container::VALIDATION].iter().any(|one| find(init, one).is_some());
    let proxy = find(apps, container::PROXY);
    captured
        && apps.len() > 1
        && annotation(pod, keys::STATUS).is_some()
        // A hook of anybody's is there to hold others back, or can't be told from one that is.
        && proxy.is_some_and(|p| at(p, &["lifecycle", "postStart"]).is_none_or(Value::is_null))
        && !refuses_to_hold(pod)
}

fn refuses_to_hold(pod: &Value) -> bool {
    let own = annotation(pod, keys::PROXY_CONFIG).and_then(|text| proxy_config::parse(text).ok());
    own.is_some_and(|own| at(&own, &[keys::HOLD]) == Some(&Value::Bool(false)))
}

/// Whether every kubelet, the control plane and the proxy are known to carry a native sidecar.
fn may_be_native(pod: &Value, mesh: &Settings) -> bool {
    let refused = annotation(pod, keys::NATIVE_SIDECAR) == Some("false");
    // What another revision's control plane allows isn't known here.
    let injector = status(pod).and_then(|s| Some(s.get("revision")?.as_str()?.to_owned()));
    let plain = |revision: &str| match revision {
        "default" => String::new(),
        other => other.to_owned(),
    };
    let ours = injector.is_some_and(|own| plain(&own) == plain(mesh.revision()));
    let forbidden = mesh.helm(&["pilot", "env", "ENABLE_NATIVE_SIDECARS"]) == "false";
    let kubelets = mesh.options.kubernetes.is_some_and(|v| v >= NATIVE_SINCE);
    let proxy = find(containers(pod, "containers"), container::PROXY);
    let istio = proxy.and_then(release).is_some_and(|v| v >= ISTIO_WITH_NATIVE);
    // The kubelet has to be told when the proxy is ready.
    let asked = proxy.is_some_and(|p| p.get("startupProbe").is_some() || probed(p));
    !refused && ours && !forbidden && kubelets && istio && asked
}

/// Major and minor release of a proxy's image; a digest or a word of one's own has none.
fn release(proxy: &Value) -> Option<(u32, u32)> {
    let image = text_at(proxy, &["image"])?.split('@').next()?;
    let (_, tag) = image.rsplit_once(':').filter(|(_, tag)| !tag.contains('/'))?;
    let mut parts = tag.split(|c: char| !c.is_ascii_digit());
    let mut number = || parts.next()?.parse().ok();
    Some((number()?, number()?))
}

/// Whether the kubelet asks the proxy's own port for readiness.
fn probed(proxy: &Value) -> bool {
    let port = at(proxy, &["readinessProbe", "httpGet", "port"]).and_then(Value::as_u64);
    port == Some(port::READINESS.into())
}

fn hold(pod: &mut Value) -> Option<Mended> {
    // The failed hook of a slow proxy kills it, and nobody starts it again here: the work would
    // have no proxy for ever.
    if matches!(text_at(pod, &["spec", "restartPolicy"]), Some("Never" | "OnFailure")) {
        return None;
    }
    let proxy = find_mut(pod, container::PROXY)?;
    if release(proxy).is_some_and(|v| v < ISTIO_WITH_WAIT) {
        return None;
    }
    let wait = json!({"exec": {"command": ["pilot-agent", "wait"]}});
    map_mut(proxy, "lifecycle")?.insert("postStart".to_owned(), wait);
    order::hold(pod);
    Some(Mended::Held)
}

fn native(pod: &mut Value, mesh: &Settings) -> Option<Mended> {
    let port = annotation(pod, "status.sidecar.istio.io/port").map(str::to_owned);
    let port = port.unwrap_or_else(|| mesh.helm(&["global", "proxy", "statusPort"]));
    let spec = pod.get_mut("spec")?;
    let list = list_mut(spec, "containers")?;
    let place = list.iter().position(|c| name(c) == container::PROXY)?;
    let mut proxy = list.remove(place);
    let fields = proxy.as_object_mut()?;
    fields.insert("restartPolicy".to_owned(), "Always".into());
    // Its SIGTERM comes when the application has gone; draining has to begin before.
    let drain = json!(["pilot-agent", "request", format!("--debug-port={port}"), "POST", "drain"]);
    fields.entry("lifecycle").or_insert_with(|| json!({"preStop": {"exec": {"command": drain}}}));
    fields.entry("startupProbe").or_insert_with(|| {
        json!({"httpGet": {"path": "/healthz/ready", "port": port::READINESS},
            "periodSeconds": 1, "timeoutSeconds": 3, "failureThreshold": 600})
    });
    list_mut(spec, "initContainers")?.push(proxy);
    order::init(pod);
    restate(pod);
    Some(Mended::Native)
}

fn status(pod: &Value) -> Option<Value> {
    serde_json::from_str(annotation(pod, keys::STATUS)?).ok()
}

/// The injector's own account of what it added, for whoever takes that out again.
fn restate(pod: &mut Value) {
    let Some(mut status) = status(pod).filter(Value::is_object) else { return };
    if let Some(list) = list_mut(&mut status, "containers") {
        list.retain(|one| one != container::PROXY);
    }
    if let Some(list) = list_mut(&mut status, "initContainers") {
        list.push(container::PROXY.into());
    }
    set_annotation(pod, keys::STATUS, status.to_string());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Options, ProxyKind, Sources};

    fn mesh(kubernetes: Option<(u32, u32)>, values: &str) -> Settings {
        let mut sources = Sources::default();
        sources.values(values).unwrap();
        let options = Options { proxy: ProxyKind::Sunup, kubernetes, ..Options::default() };
        sources.build(options).unwrap()
    }

    /// A pod as Istio's injector leaves it.
    fn pod(change: impl FnOnce(&mut Value)) -> Value {
        let mut pod = json!({
            "metadata": {"annotations": {"sidecar.istio.io/status":
                r#"{"initContainers":["istio-init"],"containers":["istio-proxy"],"revision":"default"}"#}},
            "spec": {
                "initContainers": [{"name": "migrate"}, {"name": "istio-init"}],
                "containers": [{"name": "app"}, {"name": "istio-proxy",
                    "image": "docker.io/istio/proxyv2:1.28.1-distroless",
                    "readinessProbe": {"httpGet": {"path": "/healthz/ready", "port": 15021}}}],
            },
        });
        change(&mut pod);
        pod
    }

    fn mended(mut pod: Value, wanted: Classic, mesh: &Settings) -> (Option<Mended>, Value) {
        let done = super::mend(&mut pod, wanted, mesh);
        let mut twice = pod.clone();
        assert_eq!(super::mend(&mut twice, wanted, mesh), None, "once is enough");
        assert_eq!(pod, twice);
        (done, pod)
    }

    fn names(pod: &Value, list: &str) -> Vec<String> {
        containers(pod, list).iter().map(|c| name(c).to_owned()).collect()
    }

    const NEW: Option<(u32, u32)> = Some((1, 29));

    #[test]
    fn off_is_off() {
        let before = pod(|_| ());
        assert_eq!(mended(before.clone(), Classic::Leave, &mesh(NEW, "")), (None, before));
    }

    #[test]
    fn held_is_first_and_waited_for() {
        let (done, after) = mended(pod(|_| ()), Classic::Hold, &mesh(NEW, ""));
        assert_eq!(done, Some(Mended::Held));
        assert_eq!(names(&after, "containers"), ["istio-proxy", "app"]);
        let hook = &after["spec"]["containers"][0]["lifecycle"]["postStart"]["exec"]["command"];
        assert_eq!(*hook, json!(["pilot-agent", "wait"]));
        // A hook for the end is no reason.
        let stops = json!({"preStop": {"exec": {"command": ["sleep", "5"]}}});
        let with = pod(|p| p["spec"]["containers"][1]["lifecycle"] = stops.clone());
        let (done, after) = mended(with, Classic::Hold, &mesh(NEW, ""));
        assert_eq!(done, Some(Mended::Held));
        assert_eq!(after["spec"]["containers"][0]["lifecycle"]["preStop"], stops["preStop"]);
    }

    #[test]
    fn native_is_what_istios_template_makes_of_it() {
        let (done, after) = mended(pod(|_| ()), Classic::Native, &mesh(NEW, ""));
        assert_eq!(done, Some(Mended::Native));
        assert_eq!(names(&after, "containers"), ["app"]);
        assert_eq!(names(&after, "initContainers"), ["istio-init", "istio-proxy", "migrate"]);
        let proxy = &after["spec"]["initContainers"][1];
        assert_eq!(proxy["restartPolicy"], "Always");
        assert_eq!(proxy["startupProbe"]["httpGet"]["port"], 15021);
        let drain = &proxy["lifecycle"]["preStop"]["exec"]["command"];
        assert_eq!(
            *drain,
            json!(["pilot-agent", "request", "--debug-port=15020", "POST", "drain"])
        );
        let told = status(&after).unwrap();
        assert_eq!(told["containers"], json!([]));
        assert_eq!(told["initContainers"], json!(["istio-init", "istio-proxy"]));
    }

    #[test]
    fn a_native_sidecar_takes_all_of_them_to_allow_it() {
        let annotate = |key: &'static str, text: &'static str| {
            pod(|p| p["metadata"]["annotations"][key] = text.into())
        };
        let image =
            |image: &'static str| pod(|p| p["spec"]["containers"][1]["image"] = image.into());
        let forbids = "pilot: {env: {ENABLE_NATIVE_SIDECARS: \"false\"}}";
        for (why, pod, mesh) in [
            ("an old kubelet", pod(|_| ()), mesh(Some((1, 28)), "")),
            ("kubelets not known", pod(|_| ()), mesh(None, "")),
            ("istiod says no", pod(|_| ()), mesh(NEW, forbids)),
            ("another revision", pod(|_| ()), mesh(NEW, "revision: canary")),
            ("an old proxy", image("istio/proxyv2:1.23.4"), mesh(NEW, "")),
            ("a digest", image("istio/proxyv2@sha256:12"), mesh(NEW, "")),
            ("the pod says no", annotate(keys::NATIVE_SIDECAR, "false"), mesh(NEW, "")),
            (
                "nobody asks the proxy",
                pod(|p| p["spec"]["containers"][1]["readinessProbe"] = Value::Null),
                mesh(NEW, ""),
            ),
        ] {
            let (done, after) = mended(pod, Classic::Native, &mesh);
            assert_eq!(done, Some(Mended::Held), "{why}");
            assert_eq!(names(&after, "containers"), ["istio-proxy", "app"], "{why}");
        }
    }

    #[test]
    fn who_has_a_start_of_its_own_is_left_alone() {
        let annotated = |key: &'static str, text: &'static str| {
            pod(|p| p["metadata"]["annotations"][key] = text.into())
        };
        let hook = json!({"postStart": {"exec": {"command": ["sleep", "3"]}}});
        for (why, before) in [
            ("nobody injected it", pod(|p| p["metadata"] = json!({}))),
            ("no capture", pod(|p| p["spec"]["initContainers"] = json!([{"name": "a"}]))),
            ("a gateway", pod(|p| drop(p["spec"]["containers"].as_array_mut().unwrap().remove(0)))),
            ("a hook of its own", pod(|p| p["spec"]["containers"][1]["lifecycle"] = hook.clone())),
            (
                "it says no",
                annotated(keys::PROXY_CONFIG, "{holdApplicationUntilProxyStarts: false}"),
            ),
            (
                "an old agent",
                pod(|p| p["spec"]["containers"][1]["image"] = "p/proxyv2:1.6.2".into()),
            ),
            ("a job", pod(|p| p["spec"]["restartPolicy"] = "OnFailure".into())),
        ] {
            let (done, after) = mended(before.clone(), Classic::Hold, &mesh(NEW, ""));
            assert_eq!((done, after), (None, before), "{why}");
        }
        // A job's work ends, and takes a native sidecar along.
        let job = pod(|p| p["spec"]["restartPolicy"] = "Never".into());
        assert_eq!(mended(job, Classic::Native, &mesh(NEW, "")).0, Some(Mended::Native));
    }
}
