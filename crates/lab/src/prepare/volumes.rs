//! Volumes: directories of the pod, filled before its first container starts.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::context::{Context, field};
use crate::manifest::{Downward, KeyPath, Projection, Source};

/// Makes all volumes of a pod.
///
/// # Errors
/// A ConfigMap or Secret that isn't there, in the kubelet's words.
pub(crate) fn fill(context: &Context<'_>) -> anyhow::Result<()> {
    for volume in &context.pod.spec.volumes {
        let path = context.directory.join("volumes").join(&volume.name);
        std::fs::create_dir_all(&path)?;
        one(context, &volume.source, &path)
            .with_context(|| format!("MountVolume.SetUp failed for volume \"{}\"", volume.name))?;
        // As emptyDir is: any user of the pod may write.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777))?;
    }
    Ok(())
}

fn one(context: &Context<'_>, source: &Source, path: &Path) -> anyhow::Result<()> {
    match source {
        Source::EmptyDir(_) => Ok(()),
        Source::ConfigMap { name, items, optional, default_mode } => {
            data(context, false, name, items, *optional, *default_mode, path)
        }
        Source::Secret { secret_name, items, optional, default_mode } => {
            data(context, true, secret_name, items, *optional, *default_mode, path)
        }
        Source::DownwardApi { items, default_mode } => {
            downward(context, items, *default_mode, path)
        }
        Source::Projected { sources, default_mode } => {
            for source in sources {
                match source {
                    Projection::ConfigMap { name, items, optional } => {
                        data(context, false, name, items, *optional, *default_mode, path)?;
                    }
                    Projection::Secret { name, items, optional } => {
                        data(context, true, name, items, *optional, *default_mode, path)?;
                    }
                    Projection::DownwardApi { items } => {
                        downward(context, items, *default_mode, path)?;
                    }
                    Projection::ServiceAccountToken { path: file } => {
                        let text = b"a token of the lab, which has no API server";
                        write(path, file, text, *default_mode)?;
                    }
                }
            }
            Ok(())
        }
    }
}

fn data(
    context: &Context<'_>,
    secret: bool,
    name: &str,
    items: &[KeyPath],
    optional: bool,
    mode: Option<u32>,
    path: &Path,
) -> anyhow::Result<()> {
    let Some(data) = context.node.data(secret, &context.name.namespace, name) else {
        if optional {
            return Ok(());
        }
        bail!("{} \"{name}\" not found", if secret { "secret" } else { "configmap" });
    };
    if items.is_empty() {
        for (key, bytes) in &data {
            write(path, key, bytes, mode)?;
        }
    }
    for item in items {
        match data.get(&item.key) {
            Some(bytes) => write(path, &item.path, bytes, mode)?,
            None if optional => {}
            None => bail!("references non-existent key: {}", item.key),
        }
    }
    Ok(())
}

fn downward(
    context: &Context<'_>,
    items: &[Downward],
    mode: Option<u32>,
    path: &Path,
) -> anyhow::Result<()> {
    for item in items {
        let named = item.field_ref.as_ref().and_then(|f| f["fieldPath"].as_str());
        let text = match (named, &item.resource_field_ref) {
            (Some(named), _) => field(context, named),
            // Sizes of containers in files: nothing that starts here reads them.
            (None, Some(Value::Object(_))) => bail!("downwardAPI: resourceFieldRef in a file"),
            _ => None,
        };
        let text = text.with_context(|| format!("downwardAPI: the lab has no {named:?}"))?;
        write(path, &item.path, text.as_bytes(), mode)?;
    }
    Ok(())
}

fn write(volume: &Path, file: &str, bytes: &[u8], mode: Option<u32>) -> anyhow::Result<()> {
    let inside = PathBuf::from(file);
    let plain = |c| matches!(c, std::path::Component::Normal(_));
    anyhow::ensure!(inside.components().all(plain), "{file} leads out of the volume");
    let path = volume.join(inside);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    std::fs::write(&path, bytes)?;
    let mode = mode.unwrap_or(0o644) & 0o777;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))?;
    Ok(())
}
