//! Archives and compressed files, in each other.

use std::io::Write;

use super::common::{REFUSED, directory, text, with};
use sunup_evidence::object::Origin;
use sunup_intake::{Input, Options};

pub(crate) fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, *bytes).expect("added");
    }
    builder.into_inner().expect("finished")
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("written");
    encoder.finish().expect("finished")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(bytes, 1).expect("packed")
}

#[test]
fn members_are_named_behind_the_archive() {
    let line = format!("2020-03-31T10:41:15Z {REFUSED}\n");
    let deploy = b"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {template: {spec: {containers: [{name: app}]}}}\n";
    let inner = tar(&[
        ("./web-0.app.log", line.as_bytes()),
        ("deploy.yaml", deploy),
        (".git/x.log", line.as_bytes()),
    ]);
    let nested = tar(&[("inner.tgz", &gzip(&inner))]);
    for (name, bytes, prefix) in [
        ("a.tar", inner.clone(), "a.tar"),
        ("a.bin", gzip(&inner), "a.bin"),
        ("a.tar.zst", zstd(&inner), "a.tar.zst"),
        ("twice.gz", gzip(&gzip(&inner)), "twice.gz"),
        ("outer.tar", nested, "outer.tar/inner.tgz"),
    ] {
        let got = directory(&[(name, &bytes)]);
        assert_eq!(got.unreadable(), Vec::<String>::new(), "{name}");
        assert_eq!(
            got.refusals(),
            [format!("-/web-0/app {prefix}/web-0.app.log:1 2020-03-31T10:41:15Z {REFUSED}")]
        );
        let (_, manifest) = &got.snapshot.workloads[0];
        assert_eq!((&manifest.origin, &manifest.path), (&Origin::NotAFile, &None));
        assert_eq!(got.summary.files, 2);
    }
}

#[test]
fn compressed_logs_and_streams() {
    let line = format!("2020-03-31T10:41:15Z {REFUSED}\n");
    for packed in [gzip(line.as_bytes()), zstd(line.as_bytes())] {
        assert_eq!(text(&packed).refusals().len(), 1);
        assert!(
            directory(&[("web-0.app.log.gz", &packed)]).refusals()[0].starts_with("-/web-0/app")
        );
    }
    // gzip allows members one after another, as log rotation makes them.
    let two = [gzip(b"2020-03-31T10:41:14Z up\n"), gzip(line.as_bytes())].concat();
    assert!(text(two).refusals()[0].contains(":2 "));
}

#[test]
fn a_compressed_file_opens_for_others_too() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("x");
    for bytes in [gzip(b"text"), zstd(b"text"), b"text".to_vec(), gzip(&zstd(b"text"))] {
        std::fs::write(&path, bytes).expect("written");
        let text = std::io::read_to_string(sunup_intake::open(&path).expect("opened"));
        assert_eq!(text.expect("read"), "text");
    }
    let kind = sunup_intake::open(dir.path()).err().map(|e| e.kind());
    assert_eq!(kind, Some(std::io::ErrorKind::IsADirectory));
}

#[test]
fn archives_within_each_other_end_somewhere() {
    let mut bytes = tar(&[("x.log", b"2020-03-31T10:41:15Z up\n")]);
    for _ in 0..10 {
        bytes = tar(&[("x.tar", &bytes)]);
    }
    let got = text(bytes);
    assert_eq!(got.unreadable().len(), 1);
    assert!(got.unreadable()[0].contains("archives within each other"), "{:?}", got.unreadable());
}

#[test]
fn loops_of_links_and_hidden_folders() {
    let dir = tempfile::tempdir().expect("a directory");
    let line = format!("2020-03-31T10:41:15Z {REFUSED}\n");
    super::common::write(
        dir.path(),
        &[("a/web-0.app.log", line.as_bytes()), (".git/web-0.app.log", line.as_bytes())],
    );
    std::os::unix::fs::symlink(dir.path(), dir.path().join("a/loop")).expect("linked");
    std::os::unix::fs::symlink("nowhere", dir.path().join("a/dead")).expect("linked");
    let got = with(vec![Input::Path(dir.path().to_owned())], &Options::default());
    assert_eq!(got.refusals().len(), 1);
    assert_eq!(got.unreadable(), ["a/dead: no such file or directory"]);
}
