//! Files as the working directory sees them. Reports name what was found in a folder by its place in
//! that folder; who pastes a command, and services that show findings beside the changed line of a
//! repository, need the path from where the command was run.

use std::path::PathBuf;

use sunup_api::report::Report;
use sunup_api::shell;

/// The path of a file that a report names, where that is another than its name.
fn path(folders: &[PathBuf], label: &str) -> Option<String> {
    let folders = folders.iter().filter(|folder| folder.is_dir());
    let mut paths = folders.map(|folder| folder.join(label)).filter(|path| path.is_file());
    let path = paths.next()?.to_str()?.to_owned();
    let path = path.strip_prefix("./").unwrap_or(&path).to_owned();
    (path != label).then_some(path)
}

/// Commands that name a file name it so that they can be pasted.
pub(super) fn in_commands(report: &mut Report, folders: &[PathBuf]) {
    for fix in report.findings.iter_mut().flat_map(|finding| &mut finding.fixes) {
        let (Some(command), Some(target)) = (&mut fix.command, &fix.target) else { continue };
        if let Some(before) = command.strip_suffix(&format!(" -f {}", shell::word(target)))
            && let Some(path) = path(folders, target)
        {
            *command = format!("{before} -f {}", shell::word(&path));
        }
    }
}

/// The report with all its files named so.
pub(super) fn everywhere(report: &Report, folders: &[PathBuf]) -> Report {
    let mut report = report.clone();
    for finding in &mut report.findings {
        for item in &mut finding.evidence {
            source(&mut item.source, folders);
        }
        for fix in &mut finding.fixes {
            let Some(path) = fix.target.as_deref().and_then(|target| path(folders, target)) else {
                continue;
            };
            if let (Some(diff), Some(target)) = (&mut fix.diff, &fix.target) {
                // The names stand above the first hunk, once each.
                *diff = diff.replacen(&format!("--- a/{target}\n"), &format!("--- a/{path}\n"), 1);
                *diff = diff.replacen(&format!("+++ b/{target}\n"), &format!("+++ b/{path}\n"), 1);
            }
            fix.target = Some(path);
        }
    }
    for item in &mut report.unreadable {
        source(&mut item.source, folders);
    }
    report
}

/// A file, or a file and a line.
fn source(source: &mut String, folders: &[PathBuf]) {
    let line = source.rsplit_once(':').filter(|(_, line)| line.parse::<u64>().is_ok());
    let (file, line) = line.map_or((source.as_str(), None), |(file, line)| (file, Some(line)));
    if let Some(path) = path(folders, file) {
        *source = line.map_or(path.clone(), |line| format!("{path}:{line}"));
    }
}
