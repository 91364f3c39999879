//! Folders in which evidence is kept: nobody else can look into them, and nothing is written beside
//! them, whatever a file of it wants to be called.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::path::{Component, Path};

use anyhow::ensure;
use sunup_api::show;

/// Fails where a folder has something in it: evidence of two runs would be mixed.
pub(crate) fn ensure_new(folder: &Path) -> anyhow::Result<()> {
    let full = fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    let shown = show::line(&folder.to_string_lossy());
    ensure!(!full, "{shown} is not empty: evidence of two runs would be mixed");
    Ok(())
}

/// A folder for its owner alone, made or taken as it is: environments of containers often hold what
/// they should not.
pub(crate) fn private(folder: &Path) -> io::Result<()> {
    make(folder)?;
    #[cfg(unix)]
    fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    Ok(())
}

/// A file for its owner alone, below `folder`.
pub(crate) fn file(folder: &Path, name: &Path) -> io::Result<File> {
    let below = name.components().all(|part| matches!(part, Component::Normal(_)));
    if !below || name.file_name().is_none() {
        let shown = show::line(&name.to_string_lossy());
        return Err(io::Error::other(format!("`{shown}` would lie outside of it")));
    }
    let path = folder.join(name);
    if let Some(parent) = path.parent() {
        make(parent)?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn make(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(folder)
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("there").permissions().mode() & 0o7777
    }

    #[test]
    fn a_folder_is_its_owners_alone_also_where_it_was_there() {
        let place = tempfile::tempdir().expect("a folder");
        let folder = place.path().join("kept");
        fs::create_dir(&folder).expect("made");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("set");
        private(&folder).expect("made private");
        let mut made = file(&folder, Path::new("logs/shop_web_app.log")).expect("made");
        made.write_all(b"x").expect("written");
        assert_eq!(mode(&folder), 0o700);
        assert_eq!(mode(&folder.join("logs")), 0o700);
        assert_eq!(mode(&folder.join("logs/shop_web_app.log")), 0o600);
    }

    #[test]
    fn no_name_leads_out_of_a_folder() {
        let place = tempfile::tempdir().expect("a folder");
        let folder = place.path().join("kept");
        private(&folder).expect("made");
        for name in
            ["../x", "/x", "logs/../../x", "logs//../x", "..", ".", "", "/../../x_web_app.log"]
        {
            assert!(file(&folder, Path::new(name)).is_err(), "{name}");
        }
        let names: Vec<_> = fs::read_dir(place.path()).expect("readable").flatten().collect();
        assert_eq!(names.len(), 1, "{names:?}");
    }
}
