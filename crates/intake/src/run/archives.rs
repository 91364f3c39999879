//! Archives: each member is read as a file of its path would be.

use std::io::Read;
use std::sync::Arc;

use super::{Run, broken_stream};
use crate::origin::Origin;
use crate::walk;
use crate::zip::{self, Members, Unread};

/// Archives in archives are followed this far.
const NESTED_MAX: usize = 4;

/// Members of one archive.
const MEMBERS_MAX: usize = 200_000;

impl Run<'_> {
    /// Whether an archive lies too deep in others to be read, which is told.
    fn is_too_deep(&mut self, label: &Arc<str>, depth: usize) -> bool {
        if depth >= NESTED_MAX {
            let why = format!("more than {NESTED_MAX} archives within each other");
            self.unreadable(label, None, why);
        }
        depth >= NESTED_MAX
    }

    pub(super) fn tar(&mut self, reader: Box<dyn Read + '_>, label: &Arc<str>, depth: usize) {
        if self.is_too_deep(label, depth) {
            return;
        }
        let mut archive = tar::Archive::new(reader);
        let entries = match archive.entries() {
            Ok(entries) => entries,
            Err(error) => return self.unreadable(label, None, broken_stream(&error)),
        };
        for (index, entry) in entries.enumerate() {
            let entry = match entry {
                Ok(entry) if index < MEMBERS_MAX => entry,
                Ok(_) => return self.too_many(label),
                Err(error) => return self.unreadable(label, None, broken_stream(&error)),
            };
            if entry.header().entry_type().is_file() {
                let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
                self.member(Box::new(entry), &name, label, depth);
            }
        }
    }

    pub(super) fn zip(&mut self, reader: Box<dyn Read + '_>, label: &Arc<str>, depth: usize) {
        if self.is_too_deep(label, depth) {
            return;
        }
        let mut members = Zip { run: self, label, depth, count: 0 };
        if let Err(error) = zip::read(reader, &mut members) {
            self.unreadable(label, None, broken_stream(&error));
        }
    }

    fn too_many(&mut self, label: &Arc<str>) {
        let why = format!("more than {MEMBERS_MAX} members: the rest is not read");
        self.unreadable(label, None, why);
    }

    fn member(&mut self, bytes: Box<dyn Read + '_>, name: &str, label: &Arc<str>, depth: usize) {
        // Windows' own archiver once wrote its own separators.
        let name = name.replace('\\', "/").trim_start_matches("./").to_owned();
        let (folders, own) = name.rsplit_once('/').unwrap_or(("", &name));
        if folders.split('/').any(walk::is_skipped_folder) || walk::is_skipped_file(own) {
            self.summary.read.passed_over += 1;
            return;
        }
        let member = Origin { label: format!("{label}/{name}"), ..Origin::member(name) };
        if let Some(progress) = &self.options.progress {
            progress.file(&member.label);
        }
        self.stream(bytes, &member, depth + 1);
    }
}

/// Reads the members of a zip archive as they come.
struct Zip<'z, 'o> {
    run: &'z mut Run<'o>,
    label: &'z Arc<str>,
    depth: usize,
    count: usize,
}

impl Members for Zip<'_, '_> {
    fn member(&mut self, name: &str, bytes: &mut dyn Read) -> bool {
        self.count += 1;
        if self.count > MEMBERS_MAX {
            self.run.too_many(self.label);
            return false;
        }
        self.run.member(Box::new(bytes), name, self.label, self.depth);
        true
    }

    fn unread(&mut self, unread: Unread) {
        let label = format!("{}/{}", self.label, unread.name);
        self.run.unreadable(&label.as_str().into(), None, unread.why);
    }
}
