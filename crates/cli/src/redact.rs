//! A folder of evidence redacted for sharing: `sunup doctor` reads it back to the same findings.
//!
//! Files keep their lines; names of files are redacted as well. What is known of the input comes
//! from reading it first, so a name is found in a log that only an object says to be one.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use sunup_doctor::redact::{Addresses, Redactor, secret_values};
use sunup_evidence::collect::Collector;
use sunup_intake::{Input, Options};

use crate::folder;

/// Files that may hold Secrets are parsed for them up to this size; a log is never one.
const SECRETS_BYTES_MAX: u64 = 64 << 20;
/// First bytes of what is compressed or packed: gzip, Zstandard, zip.
const PACKED: [&[u8]; 3] = [b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PK\x03\x04"];

/// Writes a redacted copy of `from`, a folder or a file, into the folder `to`; how many files.
pub(crate) fn copy(from: &Path, to: &Path) -> anyhow::Result<usize> {
    let shown = to.display();
    folder::ensure_new(to)?;
    let files = files(from)?;
    ensure!(!files.is_empty(), "{}: there is no file in it", from.display());
    for (path, _) in &files {
        ensure!(
            !packed(path)?,
            "{}: unpack it first: what is packed can't be redacted",
            path.display()
        );
    }
    let mut redactor = redactor(from, &files)?;
    folder::private(to).with_context(|| format!("{shown}: can't be made"))?;
    for (path, below) in &files {
        let target = folder::file(to, &renamed(below, &mut redactor))?;
        rewrite(path, target, &mut redactor)
            .with_context(|| format!("{}: can't be redacted", path.display()))?;
    }
    Ok(files.len())
}

fn redactor(from: &Path, files: &[(PathBuf, PathBuf)]) -> anyhow::Result<Redactor> {
    let mut collector = Collector::new(Default::default());
    sunup_intake::read(vec![Input::Path(from.to_owned())], &Options::default(), &mut collector);
    let mut secrets = Vec::new();
    for (path, _) in files {
        if fs::metadata(path)?.len() <= SECRETS_BYTES_MAX {
            let text = String::from_utf8_lossy(&fs::read(path)?).into_owned();
            if text.contains("Secret") {
                secrets.extend(secret_values(&text));
            }
        }
    }
    Ok(Redactor::new(&collector.finish(), &secrets, Addresses::Mapped))
}

/// Every file, with its path below what was named.
fn files(from: &Path) -> anyhow::Result<Vec<(PathBuf, PathBuf)>> {
    let meta = fs::metadata(from).with_context(|| format!("{}: can't be read", from.display()))?;
    let mut found = Vec::new();
    if meta.is_dir() {
        below(from, Path::new(""), &mut found)?;
    } else {
        let Some(name) = from.file_name() else { bail!("{}: is no file", from.display()) };
        found.push((from.to_owned(), PathBuf::from(name)));
    }
    Ok(found)
}

fn below(folder: &Path, path: &Path, found: &mut Vec<(PathBuf, PathBuf)>) -> anyhow::Result<()> {
    let unread = || format!("{}: can't be read", folder.display());
    let mut entries: Vec<_> =
        fs::read_dir(folder).and_then(Iterator::collect::<Result<_, _>>).with_context(unread)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        // A link could lead out of the folder, or around in a circle.
        let kind = entry.file_type().with_context(unread)?;
        let path = path.join(entry.file_name());
        if kind.is_dir() {
            below(&entry.path(), &path, found)?;
        } else if kind.is_file() {
            found.push((entry.path(), path));
        }
    }
    Ok(())
}

fn packed(path: &Path) -> anyhow::Result<bool> {
    use std::io::Read as _;
    let mut head = Vec::new();
    let file = File::open(path).with_context(|| format!("{}: can't be read", path.display()))?;
    file.take(512).read_to_end(&mut head)?;
    // The magic of tar stands behind the name of the first member.
    let tar = head.get(257..262) == Some(b"ustar");
    Ok(tar || PACKED.iter().any(|magic| head.starts_with(magic)))
}

fn renamed(path: &Path, redactor: &mut Redactor) -> PathBuf {
    let parts = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(redactor.text(&name.to_string_lossy())),
        _ => None,
    });
    parts.collect()
}

/// Line by line, so that a log of any length costs no memory.
fn rewrite(path: &Path, target: File, redactor: &mut Redactor) -> anyhow::Result<()> {
    let mut lines = BufReader::new(File::open(path)?);
    let mut out = BufWriter::new(target);
    let mut line = Vec::new();
    let mut in_key = false;
    while lines.read_until(b'\n', &mut line)? > 0 {
        let text = String::from_utf8_lossy(&line);
        let (begins, ends) = (text.contains("-----BEGIN "), text.contains("-----END "));
        if in_key && !ends {
            // The body of a key in PEM: no line of it has a form of its own.
            let indent: String = text.chars().take_while(|c| *c == ' ').collect();
            writeln!(out, "{indent}redacted")?;
        } else {
            out.write_all(redactor.text(&text).as_bytes())?;
        }
        in_key = (in_key || begins && text.contains("KEY")) && !ends;
        line.clear();
    }
    out.flush()?;
    Ok(())
}
