//! What a pod's containers run, as far as manifests say it: commands, hooks, and scripts in
//! ConfigMaps that are mounted; and what they do with their proxy.
//!
//! # Sources
//! istio/istio `pilot/cmd/pilot-agent/status/server.go` (`/quitquitquit` takes POST only, on the
//! agent's port); Envoy "Administration interface" (`/quitquitquit` by POST; `/ready` answers 503
//! until the server is live); redboxllc/scuttle (`ISTIO_QUIT_API`).

use sunup_api::port;
use sunup_evidence::object::{Container, PodTemplate};
use sunup_evidence::snapshot::Snapshot;

/// The words and scripts of one container: its command line, its hooks, and the scripts that these
/// name from mounted ConfigMaps.
pub(crate) fn of_container<'a>(
    snapshot: &'a Snapshot,
    namespace: Option<&str>,
    template: &'a PodTemplate,
    container: &'a Container,
) -> Vec<&'a str> {
    let hooks = [
        container.lifecycle.post_start.as_ref(),
        container.lifecycle.pre_stop.as_ref(),
        container.startup_probe.as_ref(),
    ];
    let of_hooks = hooks.into_iter().flatten().filter_map(|p| p.exec.as_ref());
    let words = container.command.iter().chain(&container.args);
    let mut all: Vec<&str> =
        words.chain(of_hooks.flat_map(|e| &e.command)).map(String::as_str).collect();
    let named = all.clone();
    for mount in &container.volume_mounts {
        let volume = template.spec.volumes.iter().find(|v| v.name == mount.name);
        let Some(config_map) = volume.and_then(|v| v.config_map.as_ref()) else { continue };
        let found = snapshot.config_map_named(namespace, &config_map.name);
        for (file, text) in found.into_iter().flatten() {
            if named.iter().any(|word| word.contains(file.as_str())) {
                all.push(text);
            }
        }
    }
    all
}

/// A script's statements, each with its pipes.
pub(crate) fn statements(script: &str) -> impl Iterator<Item = &str> {
    let joined = |c: char| matches!(c, '\n' | ';');
    let parts = script.split(joined).flat_map(|part| part.split("&&"));
    parts.flat_map(|part| part.split("||")).map(str::trim).filter(|s| !s.is_empty())
}

/// Whether something tells the proxy of a pod to quit when the work is done, or ends it by another
/// known way.
pub(crate) fn quits(snapshot: &Snapshot, namespace: Option<&str>, template: &PodTemplate) -> bool {
    template.spec.containers.iter().any(|container| {
        container.env.iter().any(|e| e.name == "ISTIO_QUIT_API")
            || of_container(snapshot, namespace, template, container)
                .into_iter()
                .any(|script| ends_proxy(script) || statements(script).any(asks_to_quit))
    })
}

/// Helpers that end the proxy themselves.
fn ends_proxy(script: &str) -> bool {
    ["pkill", "killall", "scuttle", "envoy-preflight", "kubexit"].iter().any(|w| script.contains(w))
}

/// A request to quit that the proxy heeds: by POST, to the agent or to the admin port.
fn asks_to_quit(statement: &str) -> bool {
    if !statement.contains("quitquitquit") {
        return false;
    }
    // The port of readiness has no such path.
    if names_port(statement, port::READINESS) {
        return false;
    }
    let lower = statement.to_ascii_lowercase();
    let curl_data =
        statement.contains("curl") && [" -d", " --data"].iter().any(|d| lower.contains(d));
    // `curl -sfXPOST`, `wget --post-data=''`, `http.Post(…)`, `requests.post(…)`.
    lower.contains("post") || curl_data
}

/// Whether a statement reaches for a port of the pod itself, however it is written.
pub(crate) fn names_port(statement: &str, port: u16) -> bool {
    ["localhost", "127.0.0.1", "[::1]", "0.0.0.0"].iter().any(|host| {
        [':', ' ', '/'].iter().any(|gap| {
            let wanted = format!("{host}{gap}{port}");
            statement.match_indices(&wanted).any(|(at, found)| {
                !statement[at + found.len()..].starts_with(|c: char| c.is_ascii_digit())
            })
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_request_that_the_proxy_heeds_makes_it_quit() {
        for (statement, heeded) in [
            ("curl -fsS -X POST http://localhost:15020/quitquitquit", true),
            ("curl -sf -XPOST http://127.0.0.1:15000/quitquitquit", true),
            ("wget --post-data='' -qO- http://localhost:15020/quitquitquit", true),
            ("pilot-agent request POST quitquitquit", true),
            ("curl -d '' localhost:15020/quitquitquit", true),
            ("curl http://localhost:15020/quitquitquit", false),
            ("wget -qO- http://127.0.0.1:15020/quitquitquit", false),
            ("curl -X POST http://localhost:15021/quitquitquit", false),
            ("curl -X POST http://localhost:15020/healthz/ready", false),
        ] {
            assert_eq!(asks_to_quit(statement), heeded, "{statement}");
        }
    }

    #[test]
    fn a_port_is_named_as_a_url_a_pair_of_words_or_a_device() {
        for statement in [
            "curl localhost:15000",
            "nc -z 127.0.0.1 15000",
            "echo > /dev/tcp/127.0.0.1/15000",
            "dockerize -wait tcp://localhost:15000",
        ] {
            assert!(names_port(statement, port::ADMIN), "{statement}");
        }
        for statement in ["curl localhost:150001", "curl other:15000", "nc -l 15000"] {
            assert!(!names_port(statement, port::ADMIN), "{statement}");
        }
    }
}
