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

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(bytes).expect("written");
    encoder.finish().expect("finished")
}

/// `2020-03-31T10:41:15Z` and [`REFUSED`] on a line, as `xz` packs them.
const XZ: &[u8] = &[
    0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x04, 0xe6, 0xd6, 0xb4, 0x46, 0x02, 0x00, 0x21, 0x01,
    0x16, 0x00, 0x00, 0x00, 0x74, 0x2f, 0xe5, 0xa3, 0xe0, 0x00, 0x48, 0x00, 0x41, 0x5d, 0x00, 0x19,
    0x0c, 0x1c, 0x04, 0x5b, 0x83, 0x62, 0x79, 0xde, 0xcf, 0x21, 0x2d, 0x41, 0xb4, 0x25, 0x4c, 0xe2,
    0x0f, 0x56, 0x40, 0x70, 0x19, 0x19, 0x31, 0xcb, 0xdb, 0x3e, 0xf5, 0x4b, 0xac, 0xc9, 0x09, 0x98,
    0x8f, 0x87, 0xec, 0xa4, 0x25, 0xab, 0x99, 0x2c, 0x26, 0x25, 0x01, 0xe7, 0xbd, 0x08, 0xee, 0x8c,
    0xba, 0x00, 0xd3, 0xf3, 0x51, 0xce, 0xda, 0xe0, 0xb6, 0x23, 0x54, 0x0e, 0x73, 0xc2, 0xba, 0x00,
    0x00, 0x00, 0x00, 0x00, 0xc4, 0xa8, 0xb0, 0xd7, 0x63, 0x87, 0x82, 0xf2, 0x00, 0x01, 0x5d, 0x49,
    0x06, 0x6f, 0x93, 0x20, 0x1f, 0xb6, 0xf3, 0x7d, 0x01, 0x00, 0x00, 0x00, 0x00, 0x04, 0x59, 0x5a,
];

/// An archive with these members, packed.
pub(crate) fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, bytes) in files {
        let mut packer =
            flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
        packer.write_all(bytes).expect("in memory");
        let packed = packer.finish().expect("in memory");
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        out.extend(b"PK\x03\x04\x14\0\0\0\x08\0\0\0\0\0");
        for word in [crc.sum(), packed.len() as u32, bytes.len() as u32, name.len() as u32] {
            out.extend(word.to_le_bytes());
        }
        out.extend(name.as_bytes());
        out.extend(packed);
    }
    out.extend(b"PK\x05\x06");
    out.extend([0; 18]);
    out
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
        ("a.tar.bz2", bzip2(&inner), "a.tar.bz2"),
        (
            "a.zip",
            zip(&[
                ("web-0.app.log", line.as_bytes()),
                ("deploy.yaml", deploy),
                (".git/x.log", line.as_bytes()),
            ]),
            "a.zip",
        ),
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
    let line_as_xz = XZ.to_vec();
    for packed in [gzip(line.as_bytes()), zstd(line.as_bytes()), bzip2(line.as_bytes()), line_as_xz]
    {
        assert_eq!(text(&packed).refusals().len(), 1);
        assert!(
            directory(&[("web-0.app.log.gz", &packed)]).refusals()[0].starts_with("-/web-0/app")
        );
    }
    // Members may follow one another, as log rotation makes them.
    let two = [gzip(b"2020-03-31T10:41:14Z up\n"), gzip(line.as_bytes())].concat();
    assert!(text(two).refusals()[0].contains(":2 "));
    let two = [bzip2(b"2020-03-31T10:41:14Z up\n"), bzip2(line.as_bytes())].concat();
    assert!(text(two).refusals()[0].contains(":2 "));
    assert_eq!(text([XZ, XZ].concat()).refusals().len(), 2);
    assert_eq!(text([XZ, &[0; 8], XZ].concat()).refusals().len(), 2);
    let cut = text(&XZ[..XZ.len() - 9]);
    assert!(cut.unreadable()[0].contains("cut off"), "{:?}", cut.unreadable());
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

/// A folder whose links lead everywhere, and one beside it.
#[cfg(unix)]
fn linked() -> (tempfile::TempDir, tempfile::TempDir) {
    use std::os::unix::fs::symlink;
    let (inside, outside) = (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("two"));
    let line = format!("2020-03-31T10:41:15Z {REFUSED}\n");
    super::common::write(inside.path(), &[("real/web-0.app.log", line.as_bytes())]);
    super::common::write(
        outside.path(),
        &[("web-1.app.log", line.as_bytes()), ("far/web-2.app.log", line.as_bytes())],
    );
    let link =
        |to: &std::path::Path, name: &str| symlink(to, inside.path().join(name)).expect(name);
    let far = outside.path();
    // Before what they lead to, by name: that has the better one.
    link(std::path::Path::new("real/web-0.app.log"), "again.log");
    link(std::path::Path::new("real"), "also");
    link(&far.join("web-1.app.log"), "web-1.app.log");
    link(&far.join("web-1.app.log"), "web-1.twice.log");
    link(&far.join("far"), "far");
    link(&far.join("gone.log"), "gone.log");
    for system in ["/proc", "/proc/self/environ", "/sys", "/dev/zero", "/proc/self/root", "/"] {
        link(std::path::Path::new(system), &system.replace('/', "_"));
    }
    (inside, outside)
}

#[cfg(unix)]
#[test]
fn links_give_each_file_once_and_lead_into_no_folder_outside_nor_into_the_system() {
    let (inside, outside) = linked();
    let got = with(vec![Input::Path(inside.path().to_owned())], &Options::default());
    let refusals = got.refusals();
    assert_eq!(refusals.len(), 2, "{refusals:?}");
    assert!(refusals[0].contains("web-0/app real/web-0.app.log:1"), "{refusals:?}");
    assert!(refusals[1].contains("web-1/app web-1.app.log:1"), "{refusals:?}");
    assert_eq!(got.unreadable(), [] as [&str; 0]);
    let names: Vec<&str> = got.summary.left_out.iter().map(|(name, _)| name.as_str()).collect();
    let system = ["_", "_dev_zero", "_proc", "_proc_self_environ", "_proc_self_root", "_sys"];
    assert_eq!(names, [&system[..], &["far", "gone.log"]].concat());
    // What was named by itself may be a link, and what it leads to is walked.
    let named = inside.path().join("far");
    let got = with(vec![Input::Path(named)], &Options::default());
    assert_eq!(got.refusals().len(), 1);
    // Handed over as well, a file is read where it lies.
    let both = [inside.path(), outside.path()].map(|path| Input::Path(path.to_owned()));
    let got = with(both.into(), &Options::default());
    assert_eq!(got.refusals().len(), 3, "{:?}", got.refusals());
}

#[test]
fn what_was_unpacked_before_the_damage_is_read() {
    let at = "2020-03-31T10:41:15Z";
    // Numbers that pack badly: what comes before the damage is more than is unpacked at once.
    let noise = |n: u64| format!("{at} {:x}\n", (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let log: String = (0..9000).map(noise).collect();
    let log = format!("{at} {REFUSED}\n{log}");
    for packed in [gzip(log.as_bytes()), bzip2(log.as_bytes()), zstd(log.as_bytes())] {
        let mut damaged = packed;
        let end = damaged.len() - 100;
        damaged[end..].fill(0xff);
        let got = text(&damaged);
        assert_eq!(got.refusals().len(), 1, "{:?}", got.unreadable());
        assert!(!got.unreadable().is_empty(), "the damage is told");
    }
}
