//! `--save`: what comes over the network is kept in a folder while it is read.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use sunup_api::{shell, show};
use sunup_intake::Input;

use crate::{folder, redact};

/// Files on their way to a reader: a path below the folder, and what it holds.
type Pieces = Box<dyn Iterator<Item = (String, Vec<u8>)> + Send>;

/// What comes from somebody who asks, one file after the other, as a reader takes it; each kept on its
/// way where that is wanted.
pub(crate) fn input(
    pieces: impl Iterator<Item = (String, Vec<u8>)> + Send + 'static,
    keep: Option<&Keep>,
) -> Input {
    Input::Pieces(match keep {
        Some(keep) => keep.pieces(Box::new(pieces)),
        None => Box::new(pieces),
    })
}

/// A folder in which files are kept, nobody else's to look into.
#[derive(Debug)]
pub(crate) struct Keep {
    folder: PathBuf,
    /// Where they lie until all is there, and it is known what is to be redacted.
    plain: Option<tempfile::TempDir>,
    failed: Arc<Mutex<Option<io::Error>>>,
}

impl Keep {
    /// A folder that is new, or empty.
    pub(crate) fn new(folder: &Path, redact: bool) -> anyhow::Result<Keep> {
        folder::ensure_new(folder)?;
        let plain = match redact {
            true => Some(tempfile::tempdir().context("no temporary folder")?),
            false => {
                let made = folder::private(folder);
                made.with_context(|| format!("could not make {}", shown(folder)))?;
                None
            }
        };
        Ok(Keep { folder: folder.to_owned(), plain, failed: Arc::default() })
    }

    /// The same pieces, each written down on its way.
    fn pieces(&self, pieces: Pieces) -> Pieces {
        let folder = self.plain.as_ref().map_or(self.folder.as_path(), |plain| plain.path());
        let (folder, failed) = (folder.to_owned(), Arc::clone(&self.failed));
        Box::new(pieces.inspect(move |(name, bytes)| {
            let made = folder::file(&folder, Path::new(name));
            if let Err(why) = made.and_then(|mut file| file.write_all(bytes))
                && let Ok(mut first) = failed.lock()
            {
                first.get_or_insert(why);
            }
        }))
    }

    /// When all has been read: fails where something could not be written, else says where it is.
    pub(crate) fn done(self) -> anyhow::Result<String> {
        let failed = self.failed.lock().ok().and_then(|mut failed| failed.take());
        if let Some(why) = failed {
            return Err(why).with_context(|| format!("could not save to {}", shown(&self.folder)));
        }
        if let Some(plain) = &self.plain {
            redact::copy(plain.path(), &self.folder)?;
        }
        let word = shell::word(&self.folder.to_string_lossy());
        Ok(format!("kept in {}: `sunup doctor {word}` reads it again", shown(&self.folder)))
    }
}

fn shown(folder: &Path) -> String {
    show::line(&folder.to_string_lossy())
}
