//! What an image holds: files, folders and links, sorted, with nothing of when or where they were
//! made. Must not know how an image is written down.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;

/// One thing in an image, at its path below `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    Folder { mode: u32 },
    File { mode: u32, bytes: Vec<u8> },
    Link { to: &'static str },
}

/// Everything, by path. A folder's path ends with `/`, and comes before what is in it.
pub(super) type Root = BTreeMap<String, Entry>;

/// Who there is: the webhook runs as `nonroot`, a sidecar as Istio's user, capture as `root`. Names
/// are for logs; owner groups of capture are looked up in the second.
const PASSWD: &str = "\
root:x:0:0:root:/:/sbin/nologin
nobody:x:65534:65534:nobody:/:/sbin/nologin
nonroot:x:65532:65532:nonroot:/:/sbin/nologin
istio-proxy:x:1337:1337:istio-proxy:/:/sbin/nologin
";
const GROUP: &str = "\
root:x:0:
nobody:x:65534:
nonroot:x:65532:
istio-proxy:x:1337:
";
/// As Debian has it: `/etc/hosts` counts, which the kubelet writes.
const NSSWITCH: &str = "hosts: files dns\n";

/// Where TLS libraries look for authorities, Go's and OpenSSL's as well as ours.
pub(super) const AUTHORITIES: &str = "etc/ssl/certs/ca-certificates.crt";

/// Other names of the program: hooks and probes that were written for Istio's proxy image call it
/// `pilot-agent`, and a plugin of kubectl has its name from its file.
const NAMES: [&str; 2] = ["pilot-agent", "kubectl-sunup"];

/// The image's content around this binary.
pub(super) fn root(binary: &Path) -> anyhow::Result<Root> {
    let program = std::fs::read(binary).with_context(|| binary.display().to_string())?;
    let mut root = Root::new();
    for folder in ["etc/", "etc/ssl/", "etc/ssl/certs/", "usr/", "usr/local/", "usr/local/bin/"] {
        root.insert(folder.to_owned(), Entry::Folder { mode: 0o755 });
    }
    root.insert("tmp/".to_owned(), Entry::Folder { mode: 0o1777 });
    let bundle = authorities();
    let texts = [
        ("etc/passwd", PASSWD),
        ("etc/group", GROUP),
        ("etc/nsswitch.conf", NSSWITCH),
        (AUTHORITIES, &bundle),
    ];
    for (path, text) in texts {
        let bytes = text.as_bytes().to_vec();
        root.insert(path.to_owned(), Entry::File { mode: 0o644, bytes });
    }
    let file = Entry::File { mode: 0o755, bytes: program };
    root.insert("usr/local/bin/sunup".to_owned(), file);
    for name in NAMES {
        root.insert(format!("usr/local/bin/{name}"), Entry::Link { to: "sunup" });
    }
    Ok(root)
}

/// Mozilla's list of authorities, of the version that the lock file names: the host's own would
/// differ from machine to machine.
fn authorities() -> String {
    let mut out = String::new();
    for certificate in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        out.push_str("-----BEGIN CERTIFICATE-----\n");
        let text = base64(certificate);
        for line in text.as_bytes().chunks(64) {
            out.push_str(&String::from_utf8_lossy(line));
            out.push('\n');
        }
        out.push_str("-----END CERTIFICATE-----\n");
    }
    out
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// Writes all of it below a folder, for tools that make images of folders. Owners are whoever runs
/// this.
pub(super) fn write(root: &Root, folder: &Path) -> anyhow::Result<()> {
    for (path, entry) in root {
        let at = folder.join(path);
        let place = || at.display().to_string();
        match entry {
            Entry::Folder { mode } => {
                std::fs::create_dir_all(&at).with_context(place)?;
                mode_of(&at, *mode)?;
            }
            Entry::File { mode, bytes } => {
                std::fs::write(&at, bytes).with_context(place)?;
                mode_of(&at, *mode)?;
            }
            Entry::Link { to } => link(to, &at).with_context(place)?,
        }
    }
    Ok(())
}

#[cfg(unix)]
fn mode_of(path: &Path, mode: u32) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?)
}

#[cfg(unix)]
fn link(to: &str, at: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(at) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => std::os::unix::fs::symlink(to, at),
    }
}

#[cfg(not(unix))]
fn mode_of(_: &Path, _: u32) -> anyhow::Result<()> {
    anyhow::bail!("an image's files can be written on Unix only")
}

#[cfg(not(unix))]
fn link(_: &str, _: &Path) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}
