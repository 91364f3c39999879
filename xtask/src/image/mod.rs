//! `cargo xtask image`: the image that clusters run, made without a container daemon.

mod archive;
mod binary;
mod git;
mod load;
mod root;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use archive::{About, Image};
pub(crate) use binary::{build, host};

pub(crate) const USAGE: &str = "\
usage: cargo xtask image [--out FILE] [--load WHERE] [--check] …
  without options    only the binary, target/image/sunup: one static file
  --out FILE         an image as OCI layout that `docker load` and `ctr images import` read too
  --load WHERE       into docker, containerd (CONTAINERD_ADDRESS says where) or kind (the cluster
                     that KIND_CLUSTER_NAME names); needs --out
  --rootfs FOLDER    its files as a folder, for a Containerfile
  --tag NAME         repository and tag, if not ghcr.io/sunup-dev/sunup:VERSION
  --target TRIPLE    for another kind of machine, such as aarch64-unknown-linux-gnu: takes a linker
                     for it (CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER) and a C compiler
  --binary FILE      with this program instead of building one
  --check            built again from a clone of the commit in another folder: the same digest?
SUNUP_IMAGE_BUILD names a folder for what is compiled, which clones share: the next one compiles what
differs. Else it is target/image/build.";

/// Names a folder to compile in, which clones share.
const SHARED: &str = "SUNUP_IMAGE_BUILD";

/// What was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    out: Option<PathBuf>,
    load: Option<load::Where>,
    rootfs: Option<PathBuf>,
    tag: Option<String>,
    target: Option<String>,
    binary: Option<PathBuf>,
    check: bool,
}

impl Asked {
    /// Reads the command line.
    pub(crate) fn read(arguments: &[&str]) -> anyhow::Result<Self> {
        let mut asked = Asked::default();
        let mut left = arguments.iter();
        while let Some(option) = left.next() {
            if *option == "--check" {
                asked.check = true;
                continue;
            }
            let value = left.next().with_context(|| format!("{option}: no value\n{USAGE}"))?;
            match *option {
                "--out" => asked.out = Some(value.into()),
                "--load" => asked.load = Some(value.parse()?),
                "--rootfs" => asked.rootfs = Some(value.into()),
                "--tag" => asked.tag = Some((*value).to_owned()),
                "--target" => asked.target = Some((*value).to_owned()),
                "--binary" => asked.binary = Some(value.into()),
                other => anyhow::bail!("{other}: no such option\n{USAGE}"),
            }
        }
        anyhow::ensure!(asked.load.is_none() || asked.out.is_some(), "--load needs --out");
        Ok(asked)
    }
}

/// Does what was asked for; what to tell of it.
pub(crate) fn run(repository: &Path, asked: &Asked) -> anyhow::Result<Vec<String>> {
    let mut told = Vec::new();
    let program = match &asked.binary {
        Some(program) => program.clone(),
        None => {
            let shared = std::env::var_os(SHARED).map(std::path::absolute).transpose()?;
            build(repository, asked.target.as_deref(), shared.as_deref())?
        }
    };
    let bytes = std::fs::metadata(&program).with_context(|| program.display().to_string())?.len();
    told.push(format!("{}: {}", program.display(), megabytes(bytes)));
    let content = root::root(&program)?;
    if let Some(folder) = &asked.rootfs {
        root::write(&content, folder)?;
        told.push(format!("{}: the image's files", folder.display()));
    }
    let about = about(repository, asked)?;
    if asked.out.is_none() && !asked.check {
        return Ok(told);
    }
    let image = archive::image(&content, &about)?;
    told.push(told_of(&image, &about));
    if let Some(out) = &asked.out {
        std::fs::write(out, &image.bytes).with_context(|| out.display().to_string())?;
        if let Some(place) = asked.load {
            told.push(load::load(place, out, &about.name)?);
        }
    }
    if asked.check {
        told.push(again(repository, asked, &image)?);
    }
    Ok(told)
}

fn told_of(image: &Image, about: &About) -> String {
    let sizes = [image.compressed, image.unpacked].map(|n| megabytes(n as u64));
    format!("{}@{}: {} to pull, {} unpacked", about.name, image.digest, sizes[0], sizes[1])
}

fn megabytes(bytes: u64) -> String {
    format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10)
}

/// The image's labels, from the commit and the workspace.
fn about(repository: &Path, asked: &Asked) -> anyhow::Result<About> {
    let version = version(repository)?;
    let name = asked.tag.clone().unwrap_or_else(|| format!("ghcr.io/sunup-dev/sunup:{version}"));
    let architecture = match asked.target.as_deref().map(|t| t.split('-').next().unwrap_or(t)) {
        None => go(std::env::consts::ARCH),
        Some(machine) => go(machine),
    };
    let git = |arguments: &[&str]| git::git(repository, arguments);
    let created = git(&["show", "-s", "--format=%cd", "--date=format-local:%Y-%m-%dT%H:%M:%SZ"]);
    let mut revision = git(&["rev-parse", "HEAD"]).unwrap_or_else(|| "unknown".to_owned());
    // What git ignores or doesn't know yet is none of the commit's, but may be of the build's.
    if git(&["status", "--porcelain"]).is_some_and(|changed| !changed.is_empty()) {
        revision.push_str("-dirty");
    }
    let created = created.unwrap_or_else(|| "1970-01-01T00:00:00Z".to_owned());
    Ok(About { name, version, revision, created, architecture })
}

/// A machine's name in Go's words, which images are labelled with.
fn go(machine: &str) -> String {
    match machine {
        "x86_64" => "amd64".to_owned(),
        "aarch64" => "arm64".to_owned(),
        other => other.to_owned(),
    }
}

pub(crate) fn version(repository: &Path) -> anyhow::Result<String> {
    let path = repository.join("Cargo.toml");
    let file: toml::Table = std::fs::read_to_string(&path)?.parse().context("Cargo.toml")?;
    let version = file.get("workspace").and_then(|w| w.get("package")?.get("version")?.as_str());
    Ok(version.context("Cargo.toml: workspace.package.version")?.to_owned())
}

/// Builds the commit from a clone elsewhere and compares.
fn again(repository: &Path, asked: &Asked, image: &Image) -> anyhow::Result<String> {
    let folder = tempfile::tempdir()?;
    let clone = folder.path().join("elsewhere");
    let mut git = Command::new("git");
    git.args(["clone", "--quiet"]).arg(repository).arg(&clone);
    anyhow::ensure!(git.status()?.success(), "the repository could not be cloned");
    let program = build(&clone, asked.target.as_deref(), None)?;
    let other = archive::image(&root::root(&program)?, &about(&clone, asked)?)?;
    anyhow::ensure!(
        other.bytes == image.bytes,
        "built in {} it is {} instead of {}",
        clone.display(),
        other.digest,
        image.digest
    );
    Ok(format!("the same digest when it is built in {}", clone.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_and_others_refused() {
        let all = ["--out", "a.tar", "--load", "kind", "--tag", "me/sunup:2", "--check"];
        let asked = Asked::read(&all).unwrap();
        assert_eq!(asked.out, Some("a.tar".into()));
        assert_eq!((asked.load, asked.check), (Some(load::Where::Kind), true));
        for (wrong, why) in [
            (&["--load", "docker"][..], "needs --out"),
            (&["--out"], "no value"),
            (&["--load", "podman", "--out", "a"], "podman"),
            (&["--layers", "3"], "no such option"),
        ] {
            let error = Asked::read(wrong).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn an_image_says_what_it_is_made_from() {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let target = Some("aarch64-unknown-linux-gnu".to_owned());
        let about = about(repository, &Asked { target, ..Asked::default() }).unwrap();
        assert_eq!(about.architecture, "arm64");
        assert_eq!(about.name, format!("ghcr.io/sunup-dev/sunup:{}", about.version));
        assert_eq!(about.version, env!("CARGO_PKG_VERSION"));
        assert_eq!(about.created.len(), "1970-01-01T00:00:00Z".len(), "{}", about.created);
    }
}
