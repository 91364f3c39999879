//! A folder of evidence redacted for sharing: `sunup doctor` reads it back to the same findings.
//!
//! Files keep their lines; names of files are redacted as well. What is known of the input comes
//! from reading it first, so a name is found in a log that only an object says to be one, and a value
//! in a log that only a field of an object has.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, BufWriter, Read, Write as _};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use sunup_api::show;
use sunup_doctor::redact::{Addresses, Redactor, Sheet};
use sunup_evidence::collect::Collector;
use sunup_evidence::layout::Layout;
use sunup_intake::{Input, Options, Shape, Source};

use crate::folder;

/// YAML is rewritten whole; a larger text of it is refused.
const YAML_BYTES_MAX: u64 = 256 << 20;
/// Bytes that say what a file is.
const HEAD_BYTES: usize = 64 << 10;

/// What came of it.
#[derive(Debug)]
pub(crate) struct Copied {
    /// Files that were copied.
    pub(crate) files: usize,
    /// Files that were not, and why.
    pub(crate) left_out: Vec<(String, String)>,
}

/// Writes a redacted copy of `from`, a folder or a file, into the folder `to`.
pub(crate) fn copy(from: &Path, to: &Path) -> anyhow::Result<Copied> {
    let shown = show::line(&to.to_string_lossy());
    folder::ensure_new(to)?;
    let (files, mut left_out) = files(from)?;
    let mut redactor = redactor(from)?;
    // Once for what fields hold, and once to write.
    for (file, layout) in &files {
        rewrite(file, *layout, &mut redactor, &mut io::sink()).with_context(|| unread(file))?;
        let _ = renamed(&file.name, &mut redactor);
    }
    redactor.learnt()?;
    folder::private(to).with_context(|| format!("{shown}: can't be made"))?;
    let mut names = BTreeSet::new();
    for (file, layout) in &files {
        let mut name = renamed(&file.name, &mut redactor);
        // Two names may have become one.
        let mut number = 1;
        while !names.insert(name.clone()) {
            number += 1;
            name = Path::new(&format!("copy-{number}")).join(renamed(&file.name, &mut redactor));
        }
        let target = folder::file(to, &name).with_context(|| shown.clone())?;
        let mut out = BufWriter::new(target);
        rewrite(file, *layout, &mut redactor, &mut out)
            .and_then(|()| Ok(out.flush()?))
            .with_context(|| unread(file))?;
    }
    for (name, _) in &mut left_out {
        *name = show::line(name);
    }
    Ok(Copied { files: files.len(), left_out })
}

fn unread(file: &Source) -> String {
    format!("{}: can't be redacted", file.path.display())
}

fn redactor(from: &Path) -> anyhow::Result<Redactor> {
    let mut collector = Collector::new(Default::default());
    sunup_intake::read(vec![Input::Path(from.to_owned())], &Options::default(), &mut collector);
    // A name that is not known would not be taken out.
    ensure!(!collector.is_full(), "more evidence than is kept at once: redact it in parts");
    Ok(Redactor::new(&collector.finish(), Addresses::Mapped).learning())
}

type Files = (Vec<(Source, Layout)>, Vec<(String, String)>);

/// The files that the doctor would read, with what they are; and what is left out.
fn files(from: &Path) -> anyhow::Result<Files> {
    let sources = sunup_intake::sources(from);
    if let Some((name, why)) = sources.refused.first() {
        bail!("{name}: can't be read: {why}");
    }
    let mut left_out = sources.left_out;
    let mut files = Vec::new();
    for file in sources.files {
        let (head, whole) =
            head(&file.path).with_context(|| format!("{}: can't be read", file.path.display()))?;
        match sunup_intake::shape(&head, whole) {
            Shape::Packed => {
                bail!("{}: unpack it first: what is packed can't be redacted", file.path.display())
            }
            Shape::Binary(what) => left_out.push((file.label, format!("{what}, no text"))),
            Shape::Text(layout) => files.push((file, layout)),
        }
    }
    ensure!(!files.is_empty(), "{}: there is no file in it", from.display());
    Ok((files, left_out))
}

/// The first bytes of a file as UTF-8, and whether they are all of it.
fn head(path: &Path) -> io::Result<(Vec<u8>, bool)> {
    let mut head = Vec::new();
    text(path)?.take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    let whole = head.len() < HEAD_BYTES;
    Ok((head, whole))
}

/// A file as UTF-8, whichever its encoding; what is packed, as it is.
fn text(path: &Path) -> io::Result<Box<dyn Read>> {
    sunup_intake::as_utf8(Box::new(File::open(path)?))
}

fn renamed(path: &Path, redactor: &mut Redactor) -> PathBuf {
    let parts = path.components().filter_map(|part| match part {
        Component::Normal(name) => {
            Some(redactor.file_name(&name.to_string_lossy()).replace('/', "-"))
        }
        _ => None,
    });
    parts.collect()
}

/// Line by line, so that a log of any length costs no memory.
fn rewrite(
    file: &Source,
    layout: Layout,
    redactor: &mut Redactor,
    out: &mut dyn io::Write,
) -> anyhow::Result<()> {
    let mut lines = BufReader::new(text(&file.path)?);
    if layout == Layout::Yaml {
        let mut bytes = Vec::new();
        lines.take(YAML_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        ensure!(
            bytes.len() as u64 <= YAML_BYTES_MAX,
            "more than {} MiB of YAML",
            YAML_BYTES_MAX >> 20
        );
        let text = String::from_utf8_lossy(&bytes);
        out.write_all(Sheet::yaml(redactor, &text, sunup_intake::says).as_bytes())?;
        return Ok(());
    }
    let mut sheet = Sheet::new(layout, sunup_intake::says);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        let text = String::from_utf8_lossy(&line);
        out.write_all(sheet.line(redactor, &text).as_bytes())?;
        line.clear();
    }
    out.write_all(sheet.rest(redactor).as_bytes())?;
    Ok(())
}
