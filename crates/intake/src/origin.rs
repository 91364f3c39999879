//! Where a stream comes from, and what its path may say.

use std::path::PathBuf;
use std::sync::Arc;

use crate::walk::Found;

/// Where a stream comes from.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub(crate) label: String,
    /// What can be opened again.
    pub(crate) found: Option<Found>,
    pub(crate) path: Option<PathBuf>,
    /// The path that may say whose log it is, and how many of its parts count for certain.
    pub(crate) whose: String,
    pub(crate) below: usize,
    pub(crate) explicit: bool,
    pub(crate) kustomization: Option<Arc<str>>,
    pub(crate) rotated: bool,
    /// The line of the file that each line of the text is, where they are not the same.
    pub(crate) lines: Option<Arc<[u64]>>,
}

impl Origin {
    /// Something that lies under this path in an archive or a collection.
    pub(crate) fn member(name: String) -> Origin {
        Origin {
            label: name.clone(),
            found: None,
            path: None,
            below: name.split('/').count(),
            whose: name,
            explicit: false,
            kustomization: None,
            rotated: false,
            lines: None,
        }
    }

    /// A file on disk as the start of a stream.
    pub(crate) fn of(file: Found) -> Origin {
        // A pipe gives its bytes once.
        let found = Some(file.clone()).filter(|found| found.regular);
        Origin {
            found,
            label: file.label,
            whose: file.path.to_string_lossy().into_owned(),
            path: Some(file.path),
            below: if file.explicit { 0 } else { file.below },
            explicit: file.explicit,
            kustomization: file.kustomization,
            rotated: file.rotated,
            lines: None,
        }
    }
}
