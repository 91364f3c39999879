//! Inputs that are small as long as they are packed, or whose headers lie.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::case::{Case, Input, Writer};

const DOCTOR: &[&str] = &["doctor", "--format=json"];
const MIB: usize = 1 << 20;

fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = GzEncoder::new(Vec::new(), Compression::best());
    out.write_all(bytes)?;
    out.finish()
}

/// A header of tar, whose checksum is right.
fn header(kind: u8, name: &str, size: u64) -> Vec<u8> {
    let mut block = vec![0; 512];
    block[..name.len()].copy_from_slice(name.as_bytes());
    block[100..108].copy_from_slice(b"0000644\0");
    block[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    block[156] = kind;
    block[257..263].copy_from_slice(b"ustar\0");
    sealed(block)
}

fn sealed(mut block: Vec<u8>) -> Vec<u8> {
    block[148..156].fill(b' ');
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

fn tar(members: &[(String, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, bytes) in members {
        out.extend(header(b'0', name, bytes.len() as u64));
        out.extend(*bytes);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.resize(out.len() + 1024, 0);
    out
}

/// Archives in archives, each packed, with so many members each.
fn fan(width: usize, depth: usize) -> io::Result<Vec<u8>> {
    let mut bytes = "2026-10-02T07:14:05Z all is well\n".repeat(2_000).into_bytes();
    for _ in 0..depth {
        let members: Vec<(String, &[u8])> =
            (0..width).map(|i| (format!("m{i}"), bytes.as_slice())).collect();
        bytes = gzip(&tar(&members))?;
    }
    Ok(bytes)
}

/// A head, a piece over and over, and a tail, packed in members that follow each other: so much of it
/// need not be packed again and again.
fn repeated(head: &'static [u8], piece: &'static [u8], mib: usize, tail: &'static [u8]) -> Writer {
    Box::new(move |out| {
        let chunk = piece.repeat(MIB / piece.len());
        let chunk = gzip(&chunk)?;
        out.write_all(&gzip(head)?)?;
        (0..mib).try_for_each(|_| out.write_all(&chunk))?;
        out.write_all(&gzip(tail)?)
    })
}

/// A frame of zstd with a window of 2^27 bytes that holds these, as they are (RFC 8878, 3.1.1).
fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 17 << 3];
    let mut chunks = bytes.chunks(100_000).peekable();
    while let Some(chunk) = chunks.next() {
        let last = u32::from(chunks.peek().is_none());
        let block = last | (chunk.len() as u32) << 3;
        out.extend(&block.to_le_bytes()[..3]);
        out.extend(chunk);
    }
    out
}

/// An archive of zip with one member, packed or not; `lies` are the lengths that its header claims.
fn zip(name: &str, bytes: &[u8], lies: Option<u32>) -> io::Result<Vec<u8>> {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    let mut packer = flate2::write::DeflateEncoder::new(Vec::new(), Compression::best());
    packer.write_all(bytes)?;
    let packed = packer.finish()?;
    let mut out = b"PK\x03\x04\x2d\0\0\0\x08\0\0\0\0\0".to_vec();
    let claimed = lies.unwrap_or(packed.len() as u32);
    for word in [crc.sum(), claimed, lies.unwrap_or(bytes.len() as u32)] {
        out.extend(word.to_le_bytes());
    }
    // A field of zip64 in which both lengths are as large as they can be.
    let extra: Vec<u8> = match lies {
        Some(_) => [&[1, 0, 16, 0][..], &[0xff; 16]].concat(),
        None => Vec::new(),
    };
    out.extend((name.len() as u16).to_le_bytes());
    out.extend((extra.len() as u16).to_le_bytes());
    out.extend(name.as_bytes());
    out.extend(extra);
    out.extend(packed);
    out.extend(b"PK\x01\x02");
    Ok(out)
}

/// A gathering of so many pods, each with 12 MiB of log; one in 400 was refused as it began.
fn gathering(pods: usize) -> Writer {
    Box::new(move |out| {
        let quiet = "2026-10-02T07:14:05Z GET /healthz 200 12ms\n";
        let block = quiet.repeat(MIB / quiet.len()).into_bytes();
        let refused = "2026-10-02T07:14:04Z dial tcp 10.0.0.1:6379: connect: connection refused\n";
        for i in 0..pods {
            let first = if i % 400 == 0 { refused } else { quiet };
            let size = first.len() + 12 * block.len();
            let name = format!("gather/namespaces/shop/pods/web-{i}/app/app/logs/current.log");
            out.write_all(&header(b'0', &name, size as u64))?;
            out.write_all(first.as_bytes())?;
            (0..12).try_for_each(|_| out.write_all(&block))?;
            out.write_all(&vec![0; size.next_multiple_of(512) - size])?;
        }
        out.write_all(&[0; 1024])
    })
}

fn bytes(make: impl Fn() -> io::Result<Vec<u8>> + Send + Sync + 'static) -> Writer {
    Box::new(move |out| out.write_all(&make()?))
}

/// The cases.
pub(super) fn all() -> Vec<Case> {
    let case = |name, file, write| Case { name, args: DOCTOR, input: Input::File(file, write) };
    let zeros = || gzip(&vec![0; 64 * MIB]);
    vec![
        case("packed: archives that fan out", "x.tgz", bytes(|| fan(20, 4))),
        case("packed: one deeper than is read", "x.tgz", bytes(|| fan(3, 6))),
        case(
            "packed: one value of JSON, 4 GB",
            "x.gz",
            repeated(b"{\"kind\":\"x\",\"a\":[1", b",1", 4096, b"]}"),
        ),
        case(
            "packed: one object of maps, 4 GB",
            "x.gz",
            repeated(b"{\"kind\":\"x\",\"a\":[{}", b",{}", 4096, b"]}"),
        ),
        case("packed: YAML, 4 GB", "x.gz", repeated(b"kind: x\na:\n", b"- a: 1\n", 4096, b"")),
        case(
            "packed: a log, 4 GB",
            "x.log.gz",
            repeated(b"", b"2026-10-02T07:14:05Z all is well\n", 4096, b""),
        ),
        case(
            "packed: a header of tar, 1 GiB",
            "x.tgz",
            Box::new(|out| {
                out.write_all(&gzip(&header(b'x', "h", 1 << 30))?)?;
                let chunk = gzip(&vec![b'n'; MIB])?;
                (0..1024).try_for_each(|_| out.write_all(&chunk))?;
                out.write_all(&gzip(&tar(&[("web-0.log".to_owned(), b"up\n")]))?)
            }),
        ),
        case(
            "packed: a name of tar, 1 GiB",
            "x.tgz",
            Box::new(|out| {
                out.write_all(&gzip(&header(b'L', "././@LongLink", 1 << 30))?)?;
                let chunk = gzip(&vec![b'n'; MIB])?;
                (0..1024).try_for_each(|_| out.write_all(&chunk))?;
                out.write_all(&gzip(&tar(&[("web-0.log".to_owned(), b"up\n")]))?)
            }),
        ),
        case(
            "packed: windows of 2^27 in each other",
            "x.zst",
            bytes(|| Ok(zstd(&zstd(&zstd(&zstd(b"2026-10-02T07:14:05Z up\n")))))),
        ),
        case(
            "packed: gzip of gzip of gzip of nothing",
            "x.gz",
            bytes(move || gzip(&gzip(&zeros()?)?)),
        ),
        case(
            "packed: zip in zip in zip",
            "x.zip",
            bytes(|| {
                let inner =
                    zip("a.log", "2026-10-02T07:14:05Z up\n".repeat(2_000_000).as_bytes(), None)?;
                let inner = zip("a.zip", &inner, None)?;
                zip("b.zip", &zip("c.zip", &inner, None)?, None)
            }),
        ),
        case(
            "packed: zip64 that lies",
            "x.zip",
            bytes(|| zip("a.log", b"2026-10-02T07:14:05Z up\n", Some(u32::MAX))),
        ),
        case(
            "packed: tar with a negative size",
            "x.tar",
            bytes(|| {
                let mut block = header(b'0', "web-0.log", 0);
                block[124..136].copy_from_slice(&[0xff; 12]);
                Ok([sealed(block), vec![0; 1024]].concat())
            }),
        ),
        case(
            "packed: tar with a file of holes",
            "x.tar",
            bytes(|| {
                let mut block = header(b'S', "web-0.log", 512);
                block[386..398].copy_from_slice(b"00000000000\0");
                block[398..410].copy_from_slice(b"77777777777\0");
                block[482] = 1;
                Ok([sealed(block), vec![1; 512 * 4], vec![0; 1024]].concat())
            }),
        ),
        Case {
            name: "packed: a gathering of 50 GB through a pipe",
            args: DOCTOR,
            input: Input::Pipe(gathering(4_000)),
        },
        case(
            "packed: UTF-16, 1 GB of one letter",
            "x.gz",
            repeated(b"\xff\xfe", b"a\0", 1024, b""),
        ),
        case(
            "text: UTF-32 with its mark",
            "x.log",
            bytes(|| {
                let text =
                    "2026-10-02T07:14:05Z dial tcp 10.0.0.1:6379: connect: connection refused\n";
                let mut out = vec![0xff, 0xfe, 0, 0];
                out.extend(text.repeat(10_000).chars().flat_map(|c| (c as u32).to_le_bytes()));
                Ok(out)
            }),
        ),
    ]
}
