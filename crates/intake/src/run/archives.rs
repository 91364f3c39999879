//! Archives: each member is read as a file of its path would be.

use std::io::Read;
use std::sync::Arc;

use super::{Run, broken_stream};
use crate::members::{Members, Unread};
use crate::origin::Origin;
use crate::{tar, walk, zip};

/// Archives in archives are followed this far.
const NESTED_MAX: usize = 4;

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
        self.archive(label, depth, |members| tar::read(reader, members));
    }

    pub(super) fn zip(&mut self, reader: Box<dyn Read + '_>, label: &Arc<str>, depth: usize) {
        self.archive(label, depth, |members| zip::read(reader, members));
    }

    fn archive(
        &mut self,
        label: &Arc<str>,
        depth: usize,
        read: impl FnOnce(&mut Archive<'_, '_>) -> std::io::Result<()>,
    ) {
        if self.is_too_deep(label, depth) {
            return;
        }
        let read = read(&mut Archive { run: self, label, depth });
        if let Err(error) = read {
            self.unreadable(label, None, broken_stream(&error));
        }
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

/// Reads the members of an archive as they come.
struct Archive<'z, 'o> {
    run: &'z mut Run<'o>,
    label: &'z Arc<str>,
    depth: usize,
}

impl Archive<'_, '_> {
    /// Counts a member; `false` where no more are read.
    fn counts(&mut self) -> bool {
        let (spent, limits) = (&self.run.spent, &self.run.options.limits);
        if spent.is_over() {
            return false;
        }
        if !spent.member(limits) {
            spent.end();
            let max = limits.members;
            let why = format!("more than {max} members: the rest is not read (--max-members)");
            self.run.unreadable(self.label, None, why);
            return false;
        }
        true
    }
}

impl Members for Archive<'_, '_> {
    fn member(&mut self, name: &str, bytes: &mut dyn Read) -> bool {
        if self.counts() {
            self.run.member(Box::new(bytes), name, self.label, self.depth);
        }
        !self.run.spent.is_over()
    }

    fn unread(&mut self, unread: Unread) -> bool {
        if self.counts() {
            let label = format!("{}/{}", self.label, unread.name);
            self.run.unreadable(&label.as_str().into(), None, unread.why);
        }
        !self.run.spent.is_over()
    }
}
