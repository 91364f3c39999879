//! Reading of texts and of directories made for a test.

use std::io::Cursor;
use std::path::PathBuf;

use sunup_evidence::collect::Collector;
use sunup_evidence::snapshot::Snapshot;
use sunup_intake::{Input, Options, Summary};

pub(crate) struct Got {
    pub(crate) summary: Summary,
    pub(crate) snapshot: Snapshot,
}

impl Got {
    /// What could not be read, one `place: reason` a line.
    pub(crate) fn unreadable(&self) -> Vec<String> {
        self.snapshot.unreadable.iter().map(|u| format!("{}: {}", u.source, u.why)).collect()
    }

    /// Refused lines and events of the only pod, `place at container text`.
    pub(crate) fn everything(&self) -> String {
        format!("{:#?}", self.snapshot)
    }
}

/// Reads a text as standard input.
pub(crate) fn text(text: impl AsRef<[u8]>) -> Got {
    with(vec![Input::Stdin(Box::new(Cursor::new(text.as_ref().to_vec())))], &Options::default())
}

pub(crate) fn with(inputs: Vec<Input>, options: &Options) -> Got {
    let mut collector = Collector::new(options.scope.clone());
    let summary = sunup_intake::read(inputs, options, &mut collector);
    Got { summary, snapshot: collector.finish() }
}

/// A directory with these files, read as a whole.
pub(crate) fn directory(files: &[(&str, &[u8])]) -> Got {
    let dir = tempfile::tempdir().expect("a directory for the test");
    for (name, bytes) in files {
        let path: PathBuf = dir.path().join(name);
        std::fs::create_dir_all(path.parent().expect("below the directory")).expect("made");
        std::fs::write(path, bytes).expect("written");
    }
    with(vec![Input::Path(dir.path().to_owned())], &Options::default())
}
