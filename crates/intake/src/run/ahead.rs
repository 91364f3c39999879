//! Small manifests, read side by side: a repository has thousands of them, and each by itself is
//! too short to be cut. What they give is folded in the order of the files.

use std::sync::Arc;

use rayon::prelude::*;
use sunup_evidence::line::ContainerKey;
use sunup_logs::scan::HEAD_BYTES;

use super::Run;
use crate::file::File;
use crate::filter::Filter;
use crate::origin::Origin;
use crate::out::Out;
use crate::sniff::{self, Format};
use crate::unpack::{is_packed, utf16};
use crate::{form, walk, yaml};

/// Files that are held at once.
const PORTION: usize = 64;

/// A longer file is read by itself, in parts.
const BYTES_MAX: usize = 256 << 10;

/// A file that has been read and judged to be YAML.
struct Ahead<'r> {
    file: File<'r>,
    out: Out,
    held: yaml::Held,
    bytes: u64,
}

impl Run<'_> {
    /// Reads files in their order.
    pub(super) fn disks(&mut self, found: Vec<walk::Found>) {
        let (scope, filter) = (self.options.scope.clone(), self.filter.clone());
        let mut found = found.into_iter();
        loop {
            let portion: Vec<walk::Found> = found.by_ref().take(PORTION).collect();
            if portion.is_empty() {
                return;
            }
            let mut ahead: Vec<Option<Ahead<'_>>> = match &self.pool {
                Some(pool) if portion.iter().filter(|file| is_small_yaml(file)).count() > 1 => {
                    let known = &*self;
                    let whose: Vec<ContainerKey> =
                        portion.iter().map(|file| known.whose(&Origin::of(file.clone()))).collect();
                    let files = portion.par_iter().zip(whose);
                    let read = |(found, whose)| read(found, whose, &scope, &filter);
                    pool.install(|| files.map(read).collect())
                }
                _ => Vec::new(),
            };
            ahead.resize_with(portion.len(), || None);
            for (file, ahead) in portion.into_iter().zip(ahead) {
                match ahead {
                    Some(ahead) => self.take(file, ahead),
                    None => self.disk(file),
                }
            }
        }
    }

    fn take(&mut self, found: walk::Found, ahead: Ahead<'_>) {
        let Ahead { file, out, held, bytes } = ahead;
        // What was read since may have told whose it is.
        if self.whose(&Origin::of(found.clone())) != file.whose {
            return self.disk(found);
        }
        if let Some(progress) = &self.options.progress {
            progress.file(&file.label);
            progress.advance(bytes);
        }
        self.summary.files += 1;
        self.summary.bytes += bytes;
        self.found = false;
        let template = out.is_template();
        if held.found || !out.items.is_empty() {
            let mut broken = 0;
            self.fold(&file, &mut broken, out);
            self.broken_rest(&file, broken);
        }
        if self.found && !template {
            self.count(&form::OBJECTS_YAML);
        } else {
            self.passed_over();
        }
    }
}

fn is_small_yaml(found: &walk::Found) -> bool {
    let named = [".yaml", ".yml"].iter().any(|ending| found.label.ends_with(ending));
    named && found.regular && found.bytes <= BYTES_MAX as u64
}

/// A file as [`Run::disk`] would read it; `None` where that is for it to do.
fn read<'r>(
    found: &walk::Found,
    whose: ContainerKey,
    scope: &'r sunup_evidence::scope::Scope,
    filter: &'r Filter,
) -> Option<Ahead<'r>> {
    if !is_small_yaml(found) {
        return None;
    }
    let raw = std::fs::read(&found.path).ok()?;
    let head = &raw[..raw.len().min(HEAD_BYTES)];
    if raw.len() > BYTES_MAX
        || is_packed(head)
        || utf16(head).is_some()
        || !matches!(sniff::format(head, head.len() < HEAD_BYTES), Format::Yaml)
        || memchr::memchr(0x1b, head).is_some()
    {
        return None;
    }
    let bytes = raw.len() as u64;
    let whole = String::from_utf8(raw).ok()?;
    let label: Arc<str> = found.label.as_str().into();
    let mut file = File::new(&Origin::of(found.clone()), label, whose, scope, filter);
    file.keep_text(&whole);
    let mut out = Out::default();
    let held = yaml::read(&mut file, whole.strip_prefix('\u{feff}').unwrap_or(&whole), &mut out);
    Some(Ahead { file, out, held, bytes })
}
