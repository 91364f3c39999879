//! The last incidents, kept: evidence and a page for each, redacted, readable by `sunup doctor`.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::Context as _;
use jiff::Timestamp;
use sunup_api::report::Report;
use sunup_api::show;
use sunup_doctor::Story;
use sunup_doctor::redact::Redactor;
use sunup_doctor::report::{Seen, html};
use tempfile::TempDir;

use crate::{folder, redact};

/// Where the evidence of a look lies before it is known whether it is worth keeping.
pub(super) const EVIDENCE: &str = "evidence";
/// Incidents that are kept; the oldest goes.
const MOST: usize = 20;

/// What a look leaves to be kept.
pub(super) struct Kept {
    /// Its evidence as it was collected, for nobody's eyes.
    pub(super) plain: TempDir,
    pub(super) stories: Vec<Story>,
    pub(super) redactor: Redactor,
}

/// A folder of incidents.
pub(super) struct Incidents {
    folder: PathBuf,
    /// One at a time: each takes the oldest away.
    turn: Mutex<()>,
}

impl Incidents {
    pub(super) fn new(folder: &Path) -> anyhow::Result<Incidents> {
        folder::private(folder).with_context(|| format!("could not make {}", shown(folder)))?;
        Ok(Incidents { folder: folder.to_owned(), turn: Mutex::new(()) })
    }

    /// Keeps what was found in a look; where.
    pub(super) fn keep(&self, mut kept: Kept, report: &Report) -> anyhow::Result<String> {
        let _turn = self.turn.lock();
        let rule = report.findings.first().map_or("none", |finding| finding.rule.as_str());
        let time = Timestamp::now().strftime("%Y%m%dT%H%M%S%.3fZ");
        let incident = self.folder.join(format!("{time}-{rule}"));
        let failed = || format!("could not keep {}", shown(&incident));
        folder::private(&incident).with_context(failed)?;
        redact::copy(&kept.plain.path().join(EVIDENCE), &incident.join(EVIDENCE))?;
        let report = kept.redactor.report(report);
        kept.redactor.stories(&mut kept.stories);
        let page = html(&report, &kept.stories, &Seen::default());
        let mut file = folder::file(&incident, Path::new("report.html")).with_context(failed)?;
        file.write_all(page.as_bytes()).with_context(failed)?;
        self.trim().with_context(failed)?;
        Ok(shown(&incident))
    }

    /// Their names begin with their time.
    fn trim(&self) -> std::io::Result<()> {
        let mut all: Vec<PathBuf> =
            fs::read_dir(&self.folder)?.flatten().map(|entry| entry.path()).collect();
        all.retain(|path| path.join("report.html").exists());
        all.sort();
        for old in all.iter().take(all.len().saturating_sub(MOST)) {
            fs::remove_dir_all(old)?;
        }
        Ok(())
    }
}

fn shown(path: &Path) -> String {
    show::line(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_and_what_is_no_incident_stays() {
        let place = tempfile::tempdir().expect("a folder");
        for number in 0..MOST + 3 {
            let incident = place.path().join(format!("2026{number:04}-a"));
            fs::create_dir(&incident).expect("made");
            fs::write(incident.join("report.html"), "").expect("written");
        }
        fs::create_dir(place.path().join("0-mine")).expect("made");
        let incidents = Incidents::new(place.path()).expect("made");
        incidents.trim().expect("trimmed");
        let left: Vec<bool> =
            (0..MOST + 3).map(|n| place.path().join(format!("2026{n:04}-a")).exists()).collect();
        assert_eq!(left.iter().filter(|there| **there).count(), MOST);
        assert!(!left[2] && left[3] && place.path().join("0-mine").exists());
    }
}
