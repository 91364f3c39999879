//! A finding told in the cluster: an Event on its workload, once for as long as Events live.

use std::hash::Hasher;

use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::follow::meta;
use crate::list::List;
use crate::need::{Need, workload};
use crate::request::{Bounds, tell};
use crate::{Cluster, Trouble};

/// Bytes that an Event's message may have.
const MESSAGE_MAX: usize = 1024;

/// What is told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// Namespace of the workload, and of the Event.
    pub namespace: String,
    /// Kind of the workload.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// In a word.
    pub reason: String,
    /// In words; what is too long for an Event is cut.
    pub message: String,
    /// Whether somebody should do something.
    pub warning: bool,
    /// Who says it.
    pub component: &'static str,
    /// What makes two tellings the same, beside workload and reason.
    pub which: String,
}

/// Records it. Where it is told already, by whomever, only its time is made anew.
///
/// # Errors
/// What kept it from being recorded.
pub async fn record(cluster: &Cluster, told: &Told) -> Result<(), Trouble> {
    let (version, uid) = match workload(&told.kind) {
        Some(need) => (need.api_version(), uid(cluster, need, told).await?),
        None => (String::new(), String::new()),
    };
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let name = name(told, &uid);
    let event = json!({"apiVersion": "v1", "kind": "Event",
        "metadata": {"name": name, "namespace": told.namespace},
        "involvedObject": {"apiVersion": version, "kind": told.kind, "namespace": told.namespace,
            "name": told.name, "uid": uid},
        "reason": told.reason, "message": cut(&told.message),
        "type": if told.warning { "Warning" } else { "Normal" },
        "source": {"component": told.component}, "count": 1,
        "firstTimestamp": now, "lastTimestamp": now});
    let path = format!("/api/v1/namespaces/{}/events", told.namespace);
    match tell(cluster, Method::POST, path.clone(), "application/json", &event).await {
        Err(trouble) if trouble.code() == Some(409) => {
            let part = json!({"lastTimestamp": now});
            let path = format!("{path}/{name}");
            tell(cluster, Method::PATCH, path, "application/merge-patch+json", &part).await
        }
        told => told,
    }
}

/// uid of the workload, by which `kubectl describe` finds its Events; empty where it is gone.
async fn uid(cluster: &Cluster, need: &Need, told: &Told) -> Result<String, Trouble> {
    let by_name = format!("metadata.name={}", told.name);
    let query = vec![("fieldSelector", by_name.as_str())];
    let list = List { need, version: None, namespace: Some(&told.namespace), query };
    let mut uid = String::new();
    let each = |item: &serde_json::value::RawValue| {
        let object: Value = serde_json::from_str(item.get()).unwrap_or_default();
        uid = meta(&object, "uid").to_owned();
        false
    };
    list.read(cluster, Bounds::object(), each, async |_| {}).await?;
    Ok(uid)
}

/// The same for the same finding, so that it is there once whoever tells it, and again under another
/// name for a workload that was made anew.
fn name(told: &Told, uid: &str) -> String {
    let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
    for part in [&told.kind, uid, &told.reason, &told.which] {
        hash.write(part.as_bytes());
        hash.write(&[0]);
    }
    // A name has at most 253 signs.
    let name: String = told.name.chars().take(200).collect();
    format!("{}.{:016x}", name.trim_end_matches(['-', '.']), hash.finish())
}

/// FNV-1a: the same in every build, as a name that others made must be.
struct Fnv(u64);

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

fn cut(message: &str) -> &str {
    &message[..message.floor_char_boundary(MESSAGE_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_findings_and_messages_as_long_as_may_be() {
        let told = Told { name: "web".into(), reason: "a".into(), ..Told::default() };
        let other = Told { which: "b".into(), ..told.clone() };
        assert_eq!(name(&told, "1"), name(&told, "1"));
        assert!(name(&told, "1") != name(&other, "1") && name(&told, "1") != name(&told, "2"));
        let long = Told { name: "a-".repeat(126), ..told };
        assert!(name(&long, "1").len() <= 253);
        assert_eq!(cut(&"ä".repeat(600)).len(), 1024);
        assert_eq!(cut(&format!("x{}", "ä".repeat(600))).len(), 1023);
    }
}
