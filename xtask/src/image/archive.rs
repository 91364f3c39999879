//! An image as one file that both kinds of readers take: an OCI layout with the older manifest of
//! `docker save` beside it, which names the same blobs.
//!
//! # Sources
//! OCI image format 1.1: `image-layout.md`, `config.md`, `manifest.md`; Docker's image specification
//! 1.2, "Combined Image JSON + Filesystem Changeset Format".

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::root::{AUTHORITIES, Entry, Root};

/// What is said of an image beside its content.
#[derive(Debug, Clone)]
pub(super) struct About {
    /// Repository and tag, `ghcr.io/sunup-dev/sunup:0.1.0`.
    pub(super) name: String,
    pub(super) version: String,
    /// The commit it was made from.
    pub(super) revision: String,
    /// The commit's time, as RFC 3339 writes it.
    pub(super) created: String,
    /// As Go calls it: `amd64`, `arm64`.
    pub(super) architecture: String,
}

/// A written image.
#[derive(Debug)]
pub(super) struct Image {
    /// The archive.
    pub(super) bytes: Vec<u8>,
    /// The manifest's digest, by which registries know the image.
    pub(super) digest: String,
    /// What is pulled: the layer, compressed.
    pub(super) compressed: usize,
    /// The layer as it is unpacked.
    pub(super) unpacked: usize,
}

/// Writes an image. The same content gives the same bytes.
pub(super) fn image(root: &Root, about: &About) -> anyhow::Result<Image> {
    let layer = layer(root)?;
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(&layer)?;
    let packed = gzip.finish()?;
    let config = serde_json::to_vec(&config(about, &layer))?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": described("application/vnd.oci.image.config.v1+json", &config),
        "layers": [described("application/vnd.oci.image.layer.v1.tar+gzip", &packed)],
        "annotations": labels(about),
    });
    let manifest = serde_json::to_vec(&manifest)?;
    let mut listed = described("application/vnd.oci.image.manifest.v1+json", &manifest);
    let tag = about.name.rsplit_once(':').map_or("latest", |(_, tag)| tag);
    // The first is containerd's, the second the specification's.
    listed["annotations"] = json!({
        "io.containerd.image.name": about.name,
        "org.opencontainers.image.ref.name": tag,
    });
    listed["platform"] = json!({"architecture": about.architecture, "os": "linux"});
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [listed],
    });
    let older = json!([{
        "Config": blob(&config),
        "RepoTags": [about.name],
        "Layers": [blob(&packed)],
    }]);
    let parts = [
        ("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
        ("index.json".to_owned(), serde_json::to_vec(&index)?),
        ("manifest.json".to_owned(), serde_json::to_vec(&older)?),
        (blob(&manifest), manifest.clone()),
        (blob(&config), config),
        (blob(&packed), packed.clone()),
    ];
    let mut files = Root::new();
    files.insert("blobs/".to_owned(), Entry::Folder { mode: 0o755 });
    files.insert("blobs/sha256/".to_owned(), Entry::Folder { mode: 0o755 });
    for (path, bytes) in parts {
        files.insert(path, Entry::File { mode: 0o644, bytes });
    }
    Ok(Image {
        bytes: self::layer(&files)?,
        digest: format!("sha256:{}", sha256(&manifest)),
        compressed: packed.len(),
        unpacked: layer.len(),
    })
}

/// What a container of this image starts with.
fn config(about: &About, layer: &[u8]) -> Value {
    json!({
        "created": about.created,
        "architecture": about.architecture,
        "os": "linux",
        "config": {
            // Pods say themselves who runs what; who doesn't say isn't root.
            "User": "65532:65532",
            "Env": ["PATH=/usr/local/bin", format!("SSL_CERT_FILE=/{AUTHORITIES}")],
            "Entrypoint": ["/usr/local/bin/sunup"],
            "WorkingDir": "/",
            "Labels": labels(about),
        },
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", sha256(layer))]},
        "history": [{"created": about.created, "created_by": "cargo xtask image"}],
    })
}

fn labels(about: &About) -> Value {
    json!({
        "org.opencontainers.image.title": "sunup",
        "org.opencontainers.image.description":
            "Makes sure that workloads in a service mesh come up",
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.source": "https://github.com/sunup-dev/sunup",
        "org.opencontainers.image.version": about.version,
        "org.opencontainers.image.revision": about.revision,
    })
}

/// A tar of these, owned by root, all of the same instant.
fn layer(root: &Root) -> anyhow::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, entry) in root {
        let mut header = tar::Header::new_ustar();
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        match entry {
            Entry::Folder { mode } => {
                header.set_entry_type(tar::EntryType::Directory);
                header.set_mode(*mode);
                header.set_size(0);
                tar.append_data(&mut header, path, std::io::empty())?;
            }
            Entry::File { mode, bytes } => {
                header.set_mode(*mode);
                header.set_size(bytes.len().try_into()?);
                tar.append_data(&mut header, path, bytes.as_slice())?;
            }
            Entry::Link { to } => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_mode(0o777);
                header.set_size(0);
                tar.append_link(&mut header, path, to)?;
            }
        }
    }
    Ok(tar.into_inner()?)
}

fn described(kind: &str, bytes: &[u8]) -> Value {
    json!({
        "mediaType": kind,
        "digest": format!("sha256:{}", sha256(bytes)),
        "size": bytes.len(),
    })
}

fn blob(bytes: &[u8]) -> String {
    format!("blobs/sha256/{}", sha256(bytes))
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::root::{root, write};

    fn about() -> About {
        About {
            name: "registry.example/sunup:1".to_owned(),
            version: "1".to_owned(),
            revision: "0123".to_owned(),
            created: "2026-09-21T14:13:20Z".to_owned(),
            architecture: "amd64".to_owned(),
        }
    }

    /// A binary of this content in a new folder, packed.
    fn packed(content: &[u8]) -> Image {
        let folder = tempfile::tempdir().unwrap();
        let binary = folder.path().join("program");
        std::fs::write(&binary, content).unwrap();
        image(&root(&binary).unwrap(), &about()).unwrap()
    }

    /// The files of an archive, by path.
    fn files(bytes: &[u8]) -> Root {
        let mut found = Root::new();
        for entry in tar::Archive::new(bytes).entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().to_str().unwrap().to_owned();
            let (mode, mut bytes) = (entry.header().mode().unwrap(), Vec::new());
            assert_eq!((entry.header().mtime().unwrap(), entry.header().uid().unwrap()), (0, 0));
            std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
            let kind = entry.header().entry_type();
            let one = match kind {
                tar::EntryType::Directory => Entry::Folder { mode },
                tar::EntryType::Symlink => Entry::Link { to: "sunup" },
                _ => Entry::File { mode, bytes },
            };
            found.insert(path, one);
        }
        found
    }

    fn bytes<'r>(root: &'r Root, path: &str) -> &'r [u8] {
        match root.get(path) {
            Some(Entry::File { bytes, .. }) => bytes,
            other => panic!("{path}: {other:?}"),
        }
    }

    fn parsed(root: &Root, path: &str) -> Value {
        serde_json::from_slice(bytes(root, path)).unwrap()
    }

    #[test]
    fn the_same_content_gives_the_same_bytes_in_another_folder() {
        let (one, other) = (packed(b"program"), packed(b"program"));
        assert_eq!(one.bytes, other.bytes);
        assert_ne!(one.digest, packed(b"another").digest);
    }

    #[test]
    fn every_blob_is_named_by_its_digest_and_both_manifests_name_the_same_ones() {
        let image = packed(b"program");
        let files = files(&image.bytes);
        let blobs = files.iter().filter_map(|(path, entry)| match entry {
            Entry::File { bytes, .. } => Some((path.strip_prefix("blobs/sha256/")?, bytes)),
            _ => None,
        });
        let mut count = 0;
        for (digest, bytes) in blobs {
            assert_eq!(digest, sha256(bytes));
            count += 1;
        }
        assert_eq!(count, 3);
        let path = |digest: &Value| digest.as_str().unwrap().replace("sha256:", "blobs/sha256/");
        let listed = &parsed(&files, "index.json")["manifests"][0];
        assert_eq!(listed["digest"], image.digest);
        let manifest = parsed(&files, &path(&listed["digest"]));
        let older = parsed(&files, "manifest.json");
        assert_eq!(older[0]["Config"], path(&manifest["config"]["digest"]));
        assert_eq!(older[0]["Layers"][0], path(&manifest["layers"][0]["digest"]));
        assert_eq!(older[0]["RepoTags"][0], listed["annotations"]["io.containerd.image.name"]);
        let layer = bytes(&files, &path(&manifest["layers"][0]["digest"]));
        let mut unpacked = Vec::new();
        let mut gzip = flate2::read::GzDecoder::new(layer);
        std::io::Read::read_to_end(&mut gzip, &mut unpacked).unwrap();
        let config = parsed(&files, &path(&manifest["config"]["digest"]));
        assert_eq!(config["rootfs"]["diff_ids"][0], format!("sha256:{}", sha256(&unpacked)));
    }

    #[test]
    fn the_content_is_what_pods_look_for() {
        let folder = tempfile::tempdir().unwrap();
        let binary = folder.path().join("program");
        std::fs::write(&binary, b"program").unwrap();
        let content = root(&binary).unwrap();
        let unpacked = files(&layer(&content).unwrap());
        assert_eq!(unpacked, content, "a layer holds the root, no more and no less");
        for link in ["usr/local/bin/pilot-agent", "usr/local/bin/kubectl-sunup"] {
            assert_eq!(content.get(link), Some(&Entry::Link { to: "sunup" }));
        }
        let text = |path| String::from_utf8_lossy(bytes(&content, path)).into_owned();
        for who in ["nonroot:x:65532:65532:", "istio-proxy:x:1337:1337:"] {
            assert!(text("etc/passwd").contains(who));
        }
        assert!(text(AUTHORITIES).matches("BEGIN CERTIFICATE").count() > 100);
        // The same as a folder, for whoever builds images of folders.
        let at = folder.path().join("root");
        std::fs::create_dir(&at).unwrap();
        write(&content, &at).unwrap();
        write(&content, &at).unwrap();
        assert_eq!(std::fs::read(at.join("usr/local/bin/pilot-agent")).unwrap(), b"program");
    }
}
