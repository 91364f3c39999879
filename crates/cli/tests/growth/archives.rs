//! Archives: their members, and what lies packed within them.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use sunup_testkit::growth;

use crate::count::{Calls as _, doctor, write};

const REFUSED: &str = "2026-10-02T07:14:05Z dial tcp 10.0.0.1:6379: connect: connection refused\n";

/// A member of a tar archive (POSIX.1-1988, ustar).
fn member(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut head = vec![0; 512];
    head[..name.len()].copy_from_slice(name.as_bytes());
    head[100..108].copy_from_slice(b"0000644\0");
    head[124..136].copy_from_slice(format!("{:011o}\0", bytes.len()).as_bytes());
    head[156] = b'0';
    head[257..265].copy_from_slice(b"ustar\x0000");
    head[148..156].fill(b' ');
    let sum: u32 = head.iter().map(|&byte| u32::from(byte)).sum();
    head[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    head.extend_from_slice(bytes);
    head.resize(head.len().next_multiple_of(512), 0);
    head
}

fn tar(members: impl Iterator<Item = (String, Vec<u8>)>) -> Vec<u8> {
    let mut out: Vec<u8> = members.flat_map(|(name, bytes)| member(&name, &bytes)).collect();
    out.resize(out.len() + 1024, 0);
    out
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::fast());
    out.write_all(bytes).expect("into memory");
    out.finish().expect("into memory")
}

#[test]
fn members_of_archives() {
    growth::hold("archives::members_of_archives", |cases| {
        cases.call("members", 25, |folder, size| {
            let log = |i| (format!("logs/shop_web-{i}_app.log"), REFUSED.as_bytes().to_vec());
            doctor([&write(folder, "x.tar.gz", &gzip(&tar((0..size).map(log))))])
        });
        cases.call("packed members", 20, |folder, size| {
            let log = |i| (format!("logs/shop_web-{i}_app.log.gz"), gzip(REFUSED.as_bytes()));
            doctor([&write(folder, "x.tar", &tar((0..size).map(log)))])
        });
        cases.call("one after the other", 20, |folder, size| {
            doctor([&write(folder, "x.log.gz", &gzip(REFUSED.as_bytes()).repeat(size))])
        });
    });
}
