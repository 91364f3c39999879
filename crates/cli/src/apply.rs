//! Writes edited manifests: whole or not at all, and only over the text that was judged.
//!
//! How a text is edited is `sunup-yaml`'s affair; which edits there are, the doctor's.

use std::fs::{self, File, Metadata};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use sunup_api::show;
use sunup_yaml::{DocEdit, Limits};

use crate::attributes;

/// What became of a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was replaced; the diff of what changed.
    Edited(String),
    /// The edits were there already.
    Unchanged,
    /// It was not touched: why, and the diff where there would have been one.
    LeftAlone {
        /// The reason, without the file's name.
        why: String,
        /// What would have been written.
        diff: Option<String>,
    },
}

/// Edits one file. `label` is its name in the diff; `named` is what the command line named, and
/// `judged` says whether a text is the one that the edits were made for.
pub(crate) fn edit_file(
    path: &Path,
    label: &str,
    named: &[PathBuf],
    edits: &[DocEdit],
    judged: impl Fn(&[u8]) -> bool,
) -> Outcome {
    let alone = |why: String, diff: Option<String>| Outcome::LeftAlone { why, diff };
    let path = match target(path, named) {
        Ok(path) => path,
        Err(why) => return alone(why, None),
    };
    let before = match fs::read(&path) {
        Ok(before) => before,
        Err(error) => return alone(error.to_string(), None),
    };
    if !judged(&before) {
        return alone("it changed after it was read; run again".to_owned(), None);
    }
    let Ok(text) = std::str::from_utf8(&before) else {
        return alone("it is not UTF-8".to_owned(), None);
    };
    let after = match sunup_yaml::edit_each(text, edits, &Limits::default()) {
        Ok(after) => after,
        Err(error) => return alone(error.to_string(), None),
    };
    if after == text {
        return Outcome::Unchanged;
    }
    let diff = sunup_doctor::unified(text, &after, label);
    match replace(&path, &before, after.as_bytes()) {
        Ok(()) => Outcome::Edited(diff),
        Err(error) => alone(error.to_string(), Some(diff)),
    }
}

/// The file that is replaced: a link stays a link. What was named may lead anywhere, what was found
/// in a folder only to what lies in it or in another that was named.
fn target(path: &Path, named: &[PathBuf]) -> Result<PathBuf, String> {
    let real = fs::canonicalize(path).map_err(|error| error.to_string())?;
    let handed_over = |name: &PathBuf| {
        name == path || fs::canonicalize(name).is_ok_and(|root| real.starts_with(root))
    };
    if named.iter().any(handed_over) {
        return Ok(real);
    }
    let shown = show::line(&real.to_string_lossy());
    Err(format!("it is a link to {shown}, outside of what was named: name that to have it edited"))
}

/// Puts `after` in the place of `before` in one step: who opens the file sees one or the other,
/// and a crash or Ctrl-C leaves one of them. Owner, mode, access list and attributes are kept, or the
/// file is left alone.
fn replace(path: &Path, before: &[u8], after: &[u8]) -> io::Result<()> {
    let refused = |why: &str| io::Error::new(io::ErrorKind::PermissionDenied, why.to_owned());
    let meta = fs::metadata(path)?;
    if meta.permissions().readonly() {
        return Err(refused("it is read-only"));
    }
    if links(&meta) > 1 {
        return Err(refused("it has several hard links, which replacing it would part"));
    }
    let folder = path.parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf);
    let mut new = tempfile::Builder::new().prefix(".sunup-").tempfile_in(&folder)?;
    new.write_all(after)?;
    attributes::carry_over(&File::open(path)?, &meta, new.as_file())?;
    new.as_file().sync_all()?;
    if fs::read(path)? != before {
        return Err(io::Error::other("it is being changed by somebody else; run again"));
    }
    new.persist(path).map_err(|error| error.error)?;
    // The name, too, has to outlast a crash. Not every system lets a folder be opened for that.
    if let Ok(folder) = File::open(&folder) {
        let _ = folder.sync_all();
    }
    Ok(())
}

#[cfg(unix)]
fn links(meta: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::nlink(meta)
}

#[cfg(not(unix))]
fn links(_: &Metadata) -> u64 {
    1
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    use sunup_yaml::{DocEdit, Op};

    use super::*;

    const TEXT: &str = "# kept\na: 1 # why\r\nb: [x]\n";

    fn set(value: u32) -> Vec<DocEdit> {
        let op = Op::Set { path: vec!["a".into()], value: value.into() };
        vec![DocEdit { document: 0, op }]
    }

    fn file(mode: u32) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("m.yaml");
        fs::write(&path, TEXT).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
        (folder, path)
    }

    /// Named by itself.
    fn own(path: &Path) -> Vec<PathBuf> {
        vec![path.to_owned()]
    }

    #[test]
    fn a_link_found_in_a_folder_leads_nowhere_out_of_it() {
        let (outside, path) = file(0o644);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let link = folder.path().join("link.yaml");
        symlink(&path, &link).expect("linked");
        let edit = |named: &[&Path]| {
            let named: Vec<PathBuf> = named.iter().map(|path| path.to_path_buf()).collect();
            edit_file(&link, "link.yaml", &named, &set(2), |_| true)
        };
        let Outcome::LeftAlone { why, .. } = edit(&[folder.path()]) else { panic!("edited") };
        assert!(why.contains(&*path.to_string_lossy()), "{why}");
        assert_eq!(fs::read_to_string(&path).expect("readable"), TEXT);
        assert!(matches!(edit(&[folder.path(), outside.path()]), Outcome::Edited(_)));
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("readable");
        entries.map(|e| e.expect("entry").file_name().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn an_edit_keeps_the_rest_and_the_mode_and_leaves_nothing_behind() {
        let (folder, path) = file(0o640);
        let outcome =
            edit_file(&path, "m.yaml", &own(&path), &set(2), |text| text == TEXT.as_bytes());
        let Outcome::Edited(diff) = outcome else { panic!("{outcome:?}") };
        assert!(diff.starts_with("--- a/m.yaml\n+++ b/m.yaml\n"), "{diff}");
        let after = fs::read_to_string(&path).expect("readable");
        assert_eq!(after, TEXT.replace("a: 1", "a: 2"));
        assert_eq!(fs::metadata(&path).expect("there").mode() & 0o7777, 0o640);
        assert_eq!(names(folder.path()), ["m.yaml"]);
        let inode = fs::metadata(&path).expect("there").ino();
        let again = edit_file(&path, "m.yaml", &own(&path), &set(2), |_| true);
        assert_eq!(again, Outcome::Unchanged);
        assert_eq!(fs::metadata(&path).expect("there").ino(), inode, "written a second time");
    }

    #[test]
    fn a_link_stays_a_link() {
        let (folder, path) = file(0o644);
        let link = folder.path().join("link.yaml");
        symlink("m.yaml", &link).expect("linked");
        let edited = edit_file(&link, "link.yaml", &own(&link), &set(2), |_| true);
        assert!(matches!(edited, Outcome::Edited(_)));
        assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
        assert!(fs::read_to_string(&path).expect("readable").contains("a: 2"));
    }

    #[test]
    fn what_must_not_be_replaced_is_left_alone_with_the_reason() {
        let why =
            |path: &Path, judged: bool| match edit_file(path, "m", &own(path), &set(2), |_| judged)
            {
                Outcome::LeftAlone { why, .. } => why,
                other => panic!("{other:?}"),
            };
        let (folder, path) = file(0o444);
        assert!(why(&path, true).contains("read-only"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("set");
        assert!(why(&path, false).contains("run again"));
        fs::hard_link(&path, folder.path().join("twin")).expect("linked");
        assert!(why(&path, true).contains("hard links"));
        assert_eq!(fs::read_to_string(&path).expect("readable"), TEXT);
        assert!(!why(&folder.path().join("gone"), true).is_empty());
        fs::write(&path, b"a: \xff\n").expect("written");
        assert!(why(&path, true).contains("UTF-8"));
        fs::write(&path, "a: {{ .Values.a }}\n").expect("written");
        assert!(why(&path, true).contains("template"));
        let mut left = names(folder.path());
        left.sort();
        assert_eq!(left, ["m.yaml", "twin"]);
    }
}
