//! What a file has beside its bytes, carried over to the file that takes its place: owner, access
//! list, extended attributes, mode. Whole, or an error: a file is not replaced by a lesser one.
//!
//! On Linux an access list is an extended attribute; where a system keeps it elsewhere (macOS), it is
//! not carried over.
//!
//! # Sources
//! acl(5): with an access list, a file's group bits are the list's mask, not what the group may;
//! xattr(7); `security.ima` and `security.evm` (Linux, Documentation/ABI/testing/evm) are of the
//! bytes, which differ.

use std::fs::{File, Metadata};
use std::io;

/// Makes `new` belong to whom `old` belongs to, for the same to use in the same way.
pub(crate) fn carry_over(old: &File, meta: &Metadata, new: &File) -> io::Result<()> {
    owner(new, meta)?;
    extended::copy(old, new)?;
    // Last: changing the owner drops set-id bits, and the group's bits are the list's mask.
    new.set_permissions(meta.permissions())
}

#[cfg(unix)]
fn owner(new: &File, old: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, fchown};
    let now = new.metadata()?;
    let uid = (now.uid() != old.uid()).then_some(old.uid());
    let gid = (now.gid() != old.gid()).then_some(old.gid());
    if uid.is_none() && gid.is_none() {
        return Ok(());
    }
    fchown(new, uid, gid).map_err(|error| {
        io::Error::new(error.kind(), "it belongs to somebody else, which replacing would change")
    })
}

#[cfg(not(unix))]
fn owner(_: &File, _: &Metadata) -> io::Result<()> {
    Ok(())
}

#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
mod extended {
    use std::collections::BTreeMap;
    use std::fs::File;
    use std::io;

    use rustix::fs::{XattrFlags, fgetxattr, flistxattr, fremovexattr, fsetxattr};
    use rustix::io::Errno;

    /// Of the bytes of a file, kept by the kernel itself.
    const OF_BYTES: [&[u8]; 2] = [b"security.ima", b"security.evm"];

    /// Longer than any system lets one attribute, or all names, be.
    const BYTES_MAX: usize = 16 << 20;

    type All = BTreeMap<Vec<u8>, Vec<u8>>;

    /// Gives `new` the attributes of `old`, and no others: a folder's default access list is one
    /// that a new file has and the old one may not have had.
    pub(super) fn copy(old: &File, new: &File) -> io::Result<()> {
        let (old, has) = (all(old)?, all(new)?);
        for (name, value) in old.iter().filter(|&(name, value)| has.get(name) != Some(value)) {
            fsetxattr(new, name.as_slice(), value, XattrFlags::empty())
                .map_err(|error| lost(name, error))?;
        }
        for name in has.keys().filter(|name| !old.contains_key(*name)) {
            fremovexattr(new, name.as_slice()).map_err(|error| lost(name, error))?;
        }
        Ok(())
    }

    fn lost(name: &[u8], error: Errno) -> io::Error {
        let name = String::from_utf8_lossy(name).into_owned();
        let why = format!("its attribute {name} can't be kept, which replacing it would drop");
        io::Error::new(io::Error::from(error).kind(), why)
    }

    fn all(file: &File) -> io::Result<All> {
        let names = match grown(|buffer| flistxattr(file, buffer)) {
            // A file system without any.
            Err(Errno::NOTSUP | Errno::NOSYS) => Vec::new(),
            names => names?,
        };
        let mut all = All::new();
        for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
            if OF_BYTES.contains(&name) {
                continue;
            }
            match grown(|buffer| fgetxattr(file, name, buffer)) {
                Ok(value) => {
                    all.insert(name.to_vec(), value);
                }
                // Gone meanwhile, or nobody's to read.
                Err(Errno::NODATA) => {}
                Err(error) => return Err(lost(name, error)),
            }
        }
        Ok(all)
    }

    /// Asks with more room until all of it has some.
    fn grown(ask: impl Fn(&mut [u8]) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
        let mut bytes = vec![0; 4 << 10];
        loop {
            match ask(&mut bytes) {
                Err(Errno::RANGE) if bytes.len() < BYTES_MAX => bytes.resize(bytes.len() * 2, 0),
                length => {
                    bytes.truncate(length?);
                    return Ok(bytes);
                }
            }
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
mod extended {
    use std::fs::File;
    use std::io;

    pub(super) fn copy(_: &File, _: &File) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    use std::path::Path;

    use rustix::fs::{XattrFlags, getxattr, setxattr};

    use super::carry_over;

    const ACL: &str = "system.posix_acl_access";
    const DEFAULT: &str = "system.posix_acl_default";

    /// An access list as the kernel takes it: (tag, rights, whose).
    fn acl(entries: &[(u16, u16, u32)]) -> Vec<u8> {
        let mut bytes = 2u32.to_le_bytes().to_vec();
        for (tag, rights, whose) in entries {
            bytes.extend(tag.to_le_bytes());
            bytes.extend(rights.to_le_bytes());
            bytes.extend(whose.to_le_bytes());
        }
        bytes
    }

    /// Its owner and user 4711 read and write; its group and others nothing.
    fn narrow() -> Vec<u8> {
        let none = u32::MAX;
        acl(&[(1, 6, none), (2, 6, 4711), (4, 0, none), (16, 6, none), (32, 0, none)])
    }

    fn get(path: &Path, name: &str) -> Option<Vec<u8>> {
        let mut bytes = vec![0; 1024];
        let length = getxattr(path, name, &mut bytes[..]).ok()?;
        bytes.truncate(length);
        Some(bytes)
    }

    /// A file, its replacement beside it, and whether the file system has what is set.
    fn replaced(prepare: impl Fn(&Path, &Path) -> bool) -> Option<(tempfile::TempDir, Vec<u8>)> {
        let folder = tempfile::tempdir().expect("a folder");
        let (old, new) = (folder.path().join("old"), folder.path().join("new"));
        fs::write(&old, "a").expect("written");
        if !prepare(folder.path(), &old) {
            return None;
        }
        fs::write(&new, "b").expect("written");
        let meta = fs::metadata(&old).expect("there");
        let (from, to) = (File::open(&old).expect("open"), File::open(&new).expect("open"));
        carry_over(&from, &meta, &to).expect("carried over");
        assert_eq!(fs::metadata(&new).expect("there").mode(), meta.mode());
        Some((folder, get(&old, ACL).unwrap_or_default()))
    }

    #[test]
    fn an_access_list_stays_and_its_mask_becomes_nobodys_right() {
        let set = |_: &Path, old: &Path| {
            fs::set_permissions(old, fs::Permissions::from_mode(0o600)).expect("set");
            setxattr(old, ACL, &narrow(), XattrFlags::empty()).is_ok()
        };
        // Without access lists in the file system there is none to lose.
        let Some((folder, before)) = replaced(set) else { return };
        assert_eq!(before, narrow());
        assert_eq!(get(&folder.path().join("new"), ACL), Some(narrow()));
    }

    #[test]
    fn a_folders_default_gives_nobody_a_right_that_the_old_file_did_not() {
        let set = |folder: &Path, old: &Path| {
            fs::set_permissions(old, fs::Permissions::from_mode(0o600)).expect("set");
            setxattr(folder, DEFAULT, &narrow(), XattrFlags::empty()).is_ok()
        };
        let Some((folder, before)) = replaced(set) else { return };
        assert_eq!(before, Vec::<u8>::new());
        assert_eq!(get(&folder.path().join("new"), ACL), None);
    }

    #[test]
    fn other_attributes_stay() {
        let set =
            |_: &Path, old: &Path| setxattr(old, "user.note", b"kept", XattrFlags::empty()).is_ok();
        let Some((folder, _)) = replaced(set) else { return };
        assert_eq!(get(&folder.path().join("new"), "user.note"), Some(b"kept".to_vec()));
    }
}
