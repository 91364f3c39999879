//! Volumes and where containers see them.

use serde::Deserialize;
use serde_json::Value;

/// Kinds of volumes that the lab has.
const KINDS: &[&str] = &["emptyDir", "configMap", "secret", "downwardAPI", "projected"];

/// Names the first volume that the lab doesn't have, which serde would not.
pub(super) fn check(volumes: &Value) -> anyhow::Result<()> {
    for volume in volumes.as_array().into_iter().flatten() {
        let mut keys = volume.as_object().into_iter().flat_map(|v| v.keys());
        if let Some(kind) = keys.find(|k| *k != "name" && !KINDS.contains(&k.as_str())) {
            let name = volume["name"].as_str().unwrap_or("?");
            anyhow::bail!("spec.volumes[{name}].{kind}: the lab has no such volumes");
        }
    }
    Ok(())
}

/// A volume of a pod.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Volume {
    /// Name.
    pub name: String,
    /// What is in it.
    #[serde(flatten)]
    pub source: Source,
}

/// What is in a volume. Anything else is refused by name.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Source {
    /// Nothing at first.
    EmptyDir(Value),
    /// A ConfigMap's data.
    #[serde(rename_all = "camelCase")]
    ConfigMap {
        /// Its name.
        name: String,
        /// Some of its keys, elsewhere.
        #[serde(default)]
        items: Vec<KeyPath>,
        /// It may be missing.
        #[serde(default)]
        optional: bool,
        /// Permissions.
        #[serde(default)]
        default_mode: Option<u32>,
    },
    /// A Secret's data.
    #[serde(rename_all = "camelCase")]
    Secret {
        /// Its name.
        secret_name: String,
        /// Some of its keys, elsewhere.
        #[serde(default)]
        items: Vec<KeyPath>,
        /// It may be missing.
        #[serde(default)]
        optional: bool,
        /// Permissions.
        #[serde(default)]
        default_mode: Option<u32>,
    },
    /// What the pod's own object says.
    #[serde(rename = "downwardAPI", rename_all = "camelCase")]
    DownwardApi {
        /// Files.
        items: Vec<Downward>,
        /// Permissions.
        #[serde(default)]
        default_mode: Option<u32>,
    },
    /// Several of these in one directory.
    #[serde(rename_all = "camelCase")]
    Projected {
        /// What is in it.
        sources: Vec<Projection>,
        /// Permissions.
        #[serde(default)]
        default_mode: Option<u32>,
    },
}

/// A key under another name.
#[derive(Debug, Clone, Deserialize)]
pub struct KeyPath {
    /// The key.
    pub key: String,
    /// The file.
    pub path: String,
}

/// A field of the pod as a file.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Downward {
    /// The file.
    pub path: String,
    /// A field.
    #[serde(default)]
    pub field_ref: Option<Value>,
    /// A request or limit.
    #[serde(default)]
    pub resource_field_ref: Option<Value>,
}

/// A part of a projected volume.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Projection {
    /// A ConfigMap's data.
    ConfigMap {
        /// Its name.
        name: String,
        /// Some of its keys, elsewhere.
        #[serde(default)]
        items: Vec<KeyPath>,
        /// It may be missing.
        #[serde(default)]
        optional: bool,
    },
    /// A Secret's data.
    Secret {
        /// Its name.
        name: String,
        /// Some of its keys, elsewhere.
        #[serde(default)]
        items: Vec<KeyPath>,
        /// It may be missing.
        #[serde(default)]
        optional: bool,
    },
    /// What the pod's own object says.
    #[serde(rename = "downwardAPI")]
    DownwardApi {
        /// Files.
        items: Vec<Downward>,
    },
    /// A token: the lab writes a placeholder, which no API server takes.
    ServiceAccountToken {
        /// The file.
        path: String,
    },
}

/// Where a container sees a volume.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VolumeMount {
    /// The volume.
    pub name: String,
    /// Where.
    pub mount_path: String,
    /// Not to be written.
    #[serde(default)]
    pub read_only: bool,
    /// A file or directory in the volume.
    #[serde(default)]
    pub sub_path: Option<String>,
    /// Nothing is mounted later.
    #[serde(default)]
    pub recursive_read_only: Option<String>,
}
