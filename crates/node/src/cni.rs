//! The protocol by which a container runtime calls a network plugin, as far as a chained one that
//! changes nothing needs it.
//!
//! Whatever comes, the answer is success with the previous result: a plugin that fails keeps a pod
//! from starting.
//!
//! # Sources
//! <https://www.cni.dev/docs/spec/>, 0.3.1 to 1.1.0; the arguments a kubelet's runtime passes:
//! containerd `internal/cri/server/sandbox_run.go`, CRI-O `internal/lib/sandbox`.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::wire::{Attachment, PodName, Request};

/// Versions of the specification that are spoken.
pub const VERSIONS: [&str; 5] = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];

/// Where the agent's socket is, unless the configuration says otherwise.
pub const SOCKET: &str = "/run/sunup-node/agent.sock";

/// What a runtime asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// A pod's network is there; its containers are not.
    Add,
    /// A pod's network goes.
    Del,
    /// Is all as it was added?
    Check,
    /// Which versions are spoken?
    Version,
    /// Could a pod be added now?
    Status,
    /// These attachments are all that there are.
    Gc,
}

/// A call, as far as it concerns the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// What is asked.
    pub verb: Verb,
    /// What standard output has to say.
    pub answer: String,
    /// Where the agent listens.
    pub socket: String,
    /// What the agent is to be told, if anything.
    pub request: Option<Request>,
    /// The namespace's path, for [`Verb::Add`].
    pub namespace: Option<String>,
}

/// What is odd about a call: for one line of a log, the pod comes up regardless.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Odd {
    /// No verb, or one that nobody knows.
    #[error("CNI_COMMAND is {0:?}")]
    Verb(String),
    /// The configuration is no JSON of ours.
    #[error("the configuration: {0}")]
    Config(String),
    /// Something that the verb needs is missing.
    #[error("{0} is missing")]
    Missing(&'static str),
}

#[derive(Deserialize)]
struct Config<'a> {
    #[serde(rename = "cniVersion", default)]
    version: String,
    #[serde(rename = "prevResult", borrow)]
    previous: Option<&'a RawValue>,
    #[serde(default)]
    socket: Option<String>,
    #[serde(rename = "cni.dev/valid-attachments", default)]
    valid: Vec<Attachment>,
}

/// Reads a call. The answer that belongs to it holds even where the rest is odd.
#[must_use]
pub fn read(env: impl Fn(&str) -> Option<String>, config: &str) -> (Call, Option<Odd>) {
    let command = env("CNI_COMMAND").unwrap_or_default();
    let verb = match command.as_str() {
        "ADD" => Some(Verb::Add),
        "DEL" => Some(Verb::Del),
        "CHECK" => Some(Verb::Check),
        "VERSION" => Some(Verb::Version),
        "STATUS" => Some(Verb::Status),
        "GC" => Some(Verb::Gc),
        _ => None,
    };
    let read = serde_json::from_str::<Config<'_>>(config);
    let mut odd = match (&verb, &read) {
        (None, _) => Some(Odd::Verb(command.chars().take(20).collect())),
        // Who asks for versions may have no configuration.
        (Some(verb), Err(why)) if *verb != Verb::Version => Some(Odd::Config(why.to_string())),
        _ => None,
    };
    let none = Config { version: String::new(), previous: None, socket: None, valid: Vec::new() };
    let config = read.unwrap_or(none);
    // A verb that nobody knows yet wants no result, as STATUS and GC do not.
    let verb = verb.unwrap_or(Verb::Status);
    let answer = answer(verb, &config);
    let mut need = |value: Option<String>, name: &'static str| {
        let value = value.filter(|value| !value.is_empty());
        if value.is_none() {
            odd.get_or_insert(Odd::Missing(name));
        }
        value
    };
    let request = match verb {
        Verb::Add => need(env("CNI_CONTAINERID"), "CNI_CONTAINERID").map(|sandbox| {
            let args = env("CNI_ARGS").unwrap_or_default();
            Request::Add { sandbox, pod: pod(&args), addresses: addresses(config.previous) }
        }),
        Verb::Del => {
            need(env("CNI_CONTAINERID"), "CNI_CONTAINERID").map(|sandbox| Request::Del { sandbox })
        }
        Verb::Gc => Some(Request::Gc { valid: config.valid }),
        Verb::Check | Verb::Version | Verb::Status => None,
    };
    let namespace = match verb {
        Verb::Add => need(env("CNI_NETNS"), "CNI_NETNS"),
        _ => None,
    };
    let socket = config.socket.unwrap_or_else(|| SOCKET.to_owned());
    (Call { verb, answer, socket, request, namespace }, odd)
}

fn answer(verb: Verb, config: &Config<'_>) -> String {
    match verb {
        Verb::Add => match config.previous {
            Some(previous) => previous.get().to_owned(),
            None => {
                let version = if config.version.is_empty() { "0.3.1" } else { &config.version };
                serde_json::json!({ "cniVersion": version }).to_string()
            }
        },
        Verb::Version => {
            let newest = VERSIONS[VERSIONS.len() - 1];
            serde_json::json!({"cniVersion": newest, "supportedVersions": VERSIONS}).to_string()
        }
        Verb::Del | Verb::Check | Verb::Status | Verb::Gc => String::new(),
    }
}

/// `IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=a;K8S_POD_UID=…`.
fn pod(args: &str) -> Option<PodName> {
    let of = |name: &str| {
        let mut pairs = args.split(';').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
    };
    Some(PodName {
        namespace: of("K8S_POD_NAMESPACE")?,
        name: of("K8S_POD_NAME")?,
        uid: of("K8S_POD_UID").unwrap_or_default(),
    })
}

/// The pod's addresses, without their prefixes.
fn addresses(previous: Option<&RawValue>) -> Vec<String> {
    #[derive(Deserialize)]
    struct Result {
        #[serde(default)]
        ips: Vec<Ip>,
    }
    #[derive(Deserialize)]
    struct Ip {
        address: String,
    }
    let read = previous.and_then(|raw| serde_json::from_str::<Result>(raw.get()).ok());
    let ips = read.map(|result| result.ips).unwrap_or_default();
    let bare = |ip: Ip| ip.address.split('/').next().unwrap_or_default().to_owned();
    ips.into_iter().map(bare).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARGS: &str = "K8S_POD_INFRA_CONTAINER_ID=f00;K8S_POD_UID=1-2;IgnoreUnknown=1;\
                        K8S_POD_NAMESPACE=shop;K8S_POD_NAME=a";
    const RESULT: &str = r#"{"cniVersion": "1.0.0",  "ips":[{"address":"10.0.0.7/24"},
        {"address":"fd00::7/64"}], "x":1.10}"#;

    fn call(verb: &str, config: &str) -> (Call, Option<Odd>) {
        let env = |name: &str| {
            let value = match name {
                "CNI_COMMAND" => verb,
                "CNI_CONTAINERID" => "f00",
                "CNI_NETNS" => "/var/run/netns/x",
                "CNI_IFNAME" => "eth0",
                "CNI_ARGS" => ARGS,
                _ => return None,
            };
            Some(value.to_owned())
        };
        read(env, config)
    }

    #[test]
    fn add_passes_the_previous_result_on_byte_for_byte_in_every_version() {
        for version in VERSIONS {
            let config = format!(
                r#"{{"cniVersion":"{version}","name":"n","type":"sunup-cni","prevResult":{RESULT}}}"#
            );
            let (call, odd) = call("ADD", &config);
            assert_eq!((call.answer.as_str(), odd), (RESULT, None));
            assert_eq!(call.namespace.as_deref(), Some("/var/run/netns/x"));
            let pod = PodName { namespace: "shop".into(), name: "a".into(), uid: "1-2".into() };
            let addresses = vec!["10.0.0.7".to_owned(), "fd00::7".to_owned()];
            let expected = Request::Add { sandbox: "f00".into(), pod: Some(pod), addresses };
            assert_eq!(call.request, Some(expected));
            assert_eq!(call.socket, SOCKET);
        }
    }

    #[test]
    fn other_verbs_say_what_the_specification_wants() {
        let config = r#"{"cniVersion":"1.1.0","socket":"/s","cni.dev/valid-attachments":
            [{"containerID":"f00","ifname":"eth0"}]}"#;
        let (version, odd) = call("VERSION", r#"{"cniVersion":"1.1.0"}"#);
        assert_eq!(odd, None);
        assert_eq!(call("VERSION", ""), (version.clone(), None));
        let said: serde_json::Value = serde_json::from_str(&version.answer).unwrap();
        assert_eq!(said["supportedVersions"], serde_json::json!(VERSIONS));
        for verb in ["DEL", "CHECK", "STATUS", "GC"] {
            let (call, odd) = call(verb, config);
            assert_eq!((call.answer.as_str(), odd, call.socket.as_str()), ("", None, "/s"));
        }
        let valid = vec![Attachment { sandbox: "f00".into() }];
        assert_eq!(call("GC", config).0.request, Some(Request::Gc { valid }));
        let del = Request::Del { sandbox: "f00".into() };
        assert_eq!(call("DEL", config).0.request, Some(del));
    }

    #[test]
    fn whatever_is_odd_the_answer_is_the_previous_result() {
        let (call, odd) = read(|_| None, "");
        assert_eq!((call.answer.as_str(), call.request), ("", None));
        assert_eq!(odd, Some(Odd::Verb(String::new())));
        let env = |name: &str| (name == "CNI_COMMAND").then(|| "ADD".to_owned());
        let (call, odd) = read(env, &format!(r#"{{"prevResult":{RESULT}}}"#));
        assert_eq!((call.answer.as_str(), call.request), (RESULT, None));
        assert_eq!(odd, Some(Odd::Missing("CNI_CONTAINERID")));
        let (call, odd) = read(env, "{");
        assert_eq!(call.answer, r#"{"cniVersion":"0.3.1"}"#);
        assert!(matches!(odd, Some(Odd::Config(_))));
        let (call, _) = read(env, r#"{"cniVersion":"1.0.0"}"#);
        assert_eq!(call.answer, r#"{"cniVersion":"1.0.0"}"#);
    }
}
