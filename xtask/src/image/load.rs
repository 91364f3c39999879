//! An archive brought to where containers are run, by that place's own program.

use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

/// Where images are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Where {
    Docker,
    Containerd,
    Kind,
}

impl std::str::FromStr for Where {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        match text {
            "docker" => Ok(Where::Docker),
            "containerd" => Ok(Where::Containerd),
            "kind" => Ok(Where::Kind),
            other => anyhow::bail!("--load {other}: docker, containerd or kind"),
        }
    }
}

/// Loads it; what to tell of it.
pub(super) fn load(place: Where, archive: &Path, name: &str) -> anyhow::Result<String> {
    // Kubelets see the images of this namespace of containerd's and no others.
    let (program, arguments): (&str, &[&str]) = match place {
        Where::Docker => ("docker", &["load", "--input"]),
        Where::Containerd => ("ctr", &["--namespace", "k8s.io", "images", "import"]),
        Where::Kind => ("kind", &["load", "image-archive"]),
    };
    let mut command = Command::new(program);
    command.args(arguments).arg(archive);
    let status = command.status().with_context(|| format!("{program} could not be started"))?;
    anyhow::ensure!(status.success(), "{program} could not load {}", archive.display());
    Ok(format!("{name}: loaded by {program}"))
}
