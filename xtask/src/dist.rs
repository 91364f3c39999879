//! `cargo xtask dist`: what a release hands out for one kind of machine, and the manifest by which
//! krew installs it as `kubectl sunup`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use flate2::{Compression, GzBuilder};
use sha2::{Digest as _, Sha256};

pub(crate) const USAGE: &str = "\
usage: cargo xtask dist --out FOLDER [--target TRIPLE] [--binary FILE] [--host FILE] [--url URL]
  --out FOLDER       gets sunup-VERSION-TRIPLE.tar.gz; SHA256SUMS and krew's sunup.yaml, which name
                     every archive that lies there
  --target TRIPLE    the kind of machine, if not this one's
  --binary FILE      with this program instead of building one
  --host FILE        this machine's program, where the other can't be run to write its pages
  --url URL          where the archives will lie, for krew";

/// What was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    out: PathBuf,
    target: Option<String>,
    binary: Option<PathBuf>,
    host: Option<PathBuf>,
    url: Option<String>,
}

impl Asked {
    /// Reads the command line.
    pub(crate) fn read(arguments: &[&str]) -> anyhow::Result<Self> {
        let mut asked = Asked::default();
        let mut left = arguments.iter();
        while let Some(option) = left.next() {
            let value = left.next().with_context(|| format!("{option}: no value\n{USAGE}"))?;
            match *option {
                "--out" => asked.out = value.into(),
                "--target" => asked.target = Some((*value).to_owned()),
                "--binary" => asked.binary = Some(value.into()),
                "--host" => asked.host = Some(value.into()),
                "--url" => asked.url = Some(value.trim_end_matches('/').to_owned()),
                other => anyhow::bail!("{other}: no such option\n{USAGE}"),
            }
        }
        anyhow::ensure!(!asked.out.as_os_str().is_empty(), "--out is missing\n{USAGE}");
        Ok(asked)
    }
}

/// Makes the archive and says what lies there now.
pub(crate) fn run(repository: &Path, asked: &Asked) -> anyhow::Result<Vec<String>> {
    let version = crate::image::version(repository)?;
    let triple = match &asked.target {
        Some(triple) => triple.clone(),
        None => crate::image::host()?,
    };
    let program = match &asked.binary {
        Some(program) => program.clone(),
        None => crate::image::build(repository, asked.target.as_deref(), None)?,
    };
    let name = format!("sunup-{version}-{triple}");
    let files = files(repository, &program, asked.host.as_deref().unwrap_or(&program))?;
    fs::create_dir_all(&asked.out).with_context(|| asked.out.display().to_string())?;
    let archive = asked.out.join(format!("{name}.tar.gz"));
    fs::write(&archive, packed(&name, &files)?).with_context(|| archive.display().to_string())?;
    let sums = sums(&asked.out)?;
    let url = asked.url.clone().unwrap_or_else(|| {
        format!("https://github.com/sunup-dev/sunup/releases/download/v{version}")
    });
    fs::write(asked.out.join("SHA256SUMS"), listed(&sums))?;
    fs::write(asked.out.join("sunup.yaml"), krew(&version, &url, &sums))?;
    Ok(vec![format!("{}: {} files", archive.display(), files.len())])
}

/// What is handed out, by its path, and whether it is run.
type Files = BTreeMap<String, (Vec<u8>, bool)>;

/// The program, and what it says of itself when it is run: completions and manual pages.
fn files(repository: &Path, program: &Path, runs: &Path) -> anyhow::Result<Files> {
    let mut files = Files::new();
    let read = |path: &Path| fs::read(path).with_context(|| path.display().to_string());
    files.insert("sunup".to_owned(), (read(program)?, true));
    for name in ["LICENSE", "README.md"] {
        files.insert(name.to_owned(), (read(&repository.join(name))?, false));
    }
    for (shell, name) in [("bash", "sunup.bash"), ("zsh", "_sunup"), ("fish", "sunup.fish")] {
        let out = said(Command::new(runs).args(["completions", shell]))?;
        files.insert(format!("completions/{name}"), (out, false));
    }
    let pages = tempfile::tempdir()?;
    said(Command::new(runs).arg("man").arg(pages.path()))?;
    for page in fs::read_dir(pages.path())? {
        let page = page?;
        let name = page.file_name().to_string_lossy().into_owned();
        files.insert(format!("man/man1/{name}"), (read(&page.path())?, false));
    }
    Ok(files)
}

fn said(command: &mut Command) -> anyhow::Result<Vec<u8>> {
    let out = command
        .output()
        .with_context(|| format!("{command:?}: is it of another kind of machine? (--host)"))?;
    anyhow::ensure!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
    Ok(out.stdout)
}

/// The same files give the same bytes.
fn packed(name: &str, files: &Files) -> anyhow::Result<Vec<u8>> {
    let gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::default());
    let mut tar = tar::Builder::new(gzip);
    for (path, (bytes, program)) in files {
        let mut header = tar::Header::new_ustar();
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mode(if *program { 0o755 } else { 0o644 });
        header.set_size(bytes.len().try_into()?);
        tar.append_data(&mut header, format!("{name}/{path}"), bytes.as_slice())?;
    }
    Ok(tar.into_inner()?.finish()?)
}

/// The archives of a folder and their digests.
fn sums(folder: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let mut sums = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".tar.gz") {
            let digest = Sha256::digest(fs::read(entry.path())?);
            sums.insert(name, digest.iter().map(|byte| format!("{byte:02x}")).collect());
        }
    }
    Ok(sums)
}

/// As `sha256sum --check` reads it.
fn listed(sums: &BTreeMap<String, String>) -> String {
    sums.iter().fold(String::new(), |mut out, (name, sum)| {
        let _ = writeln!(out, "{sum}  {name}");
        out
    })
}

/// A plugin's manifest for those archives whose machines krew knows.
///
/// # Sources
/// krew's documentation, "Writing Krew plugin manifests".
fn krew(version: &str, url: &str, sums: &BTreeMap<String, String>) -> String {
    let mut out = format!(
        "apiVersion: krew.googlecontainertools.github.com/v1alpha2\nkind: Plugin\n\
         metadata: {{name: sunup}}\nspec:\n  version: v{version}\n  \
         homepage: https://github.com/sunup-dev/sunup\n  \
         shortDescription: Why a mesh's pods do not come up, and the fix\n  description: |\n    \
         Reads pods, events, logs and manifests, names what keeps a workload in Istio or Cloud Service\n    \
         Mesh from starting, proves it, and mends it. `kubectl sunup` alone says what to type.\n  \
         platforms:\n"
    );
    for (name, sum) in sums {
        let folder = name.trim_end_matches(".tar.gz");
        let triple = folder.strip_prefix(&format!("sunup-{version}-"));
        let Some((os, machine)) = triple.and_then(platform) else { continue };
        let _ = write!(
            out,
            "  - selector: {{matchLabels: {{os: {os}, arch: {machine}}}}}\n    uri: {url}/{name}\n    \
             sha256: {sum}\n    bin: sunup\n    files:\n    - {{from: {folder}/sunup, to: .}}\n    \
             - {{from: {folder}/LICENSE, to: .}}\n"
        );
    }
    out
}

/// A triple in Go's words.
fn platform(triple: &str) -> Option<(&'static str, &'static str)> {
    let machine = match triple.split('-').next()? {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        _ => return None,
    };
    let os = if triple.contains("-linux-") {
        "linux"
    } else if triple.contains("-darwin") {
        "darwin"
    } else {
        return None;
    };
    Some((os, machine))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_and_others_refused() {
        let asked =
            Asked::read(&["--out", "d", "--target", "t", "--url", "https://x/"]).expect("fine");
        assert_eq!((asked.out, asked.url.as_deref()), ("d".into(), Some("https://x")));
        for wrong in [&["--out"][..], &[], &["--check", "x"], &["--target", "t"]] {
            assert!(Asked::read(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_same_files_give_the_same_archive_and_every_archive_is_named() {
        let files = Files::from([
            ("sunup".to_owned(), (b"program".to_vec(), true)),
            ("man/man1/sunup.1".to_owned(), (b"page".to_vec(), false)),
        ]);
        let bytes = packed("sunup-1.0.0-x", &files).expect("packed");
        assert_eq!(bytes, packed("sunup-1.0.0-x", &files).expect("packed"));
        let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(bytes.as_slice()));
        let members = tar.entries().expect("a tar").map(|entry| {
            let entry = entry.expect("a member");
            let path = entry.path().expect("a path").display().to_string();
            (path, entry.header().mode().expect("a mode"))
        });
        let members: Vec<_> = members.collect();
        assert_eq!(
            members,
            [
                ("sunup-1.0.0-x/man/man1/sunup.1".to_owned(), 0o644),
                ("sunup-1.0.0-x/sunup".to_owned(), 0o755)
            ]
        );
        let folder = tempfile::tempdir().expect("a folder");
        for triple in ["x86_64-unknown-linux-gnu", "aarch64-apple-darwin", "riscv64gc-unknown-none"]
        {
            let name = format!("sunup-1.0.0-{triple}.tar.gz");
            fs::write(folder.path().join(name), triple).expect("written");
        }
        fs::write(folder.path().join("SHA256SUMS"), "old").expect("written");
        let sums = sums(folder.path()).expect("read");
        assert_eq!(listed(&sums).lines().count(), 3);
        let manifest = krew("1.0.0", "https://x", &sums);
        assert!(manifest.contains("{os: linux, arch: amd64}"), "{manifest}");
        assert!(manifest.contains("{os: darwin, arch: arm64}"), "{manifest}");
        assert_eq!(manifest.matches("sha256: ").count(), 2, "no machine is made up: {manifest}");
    }
}
