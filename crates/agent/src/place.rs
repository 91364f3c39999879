//! The plugin's place on a node: its program among the others, its entry in their configuration.
//!
//! Program before entry when it comes, entry before program when it goes, each in one step: a node
//! on which it is interrupted goes on working.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sunup_node::chain::{self, ChainError, PLUGIN, Step};

/// A file that is larger is no network configuration.
const CONFIGURATION_MAX: u64 = 1 << 20;
/// What names of files begin with that are being written.
const UNFINISHED: &str = ".sunup-unfinished-";

/// Where everything is on this node.
#[derive(Debug, Clone)]
pub struct Place {
    /// Network configurations.
    pub configurations: PathBuf,
    /// Plugins' programs.
    pub programs: PathBuf,
    /// The configuration's file, where it is not the first by name.
    pub named: Option<String>,
    /// The agent's socket, as the node sees it.
    pub socket: String,
}

/// Something could not be put in its place.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// Reading or writing failed.
    #[error("{}: {source}", path.display())]
    File {
        /// Which file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The configuration is none that can be added to.
    #[error(transparent)]
    Chain(#[from] ChainError),
}

fn at(path: &Path) -> impl Fn(io::Error) -> PlaceError + '_ {
    move |source| PlaceError::File { path: path.to_owned(), source }
}

impl Place {
    /// Puts the program among the others, replacing an older one; whether anything changed.
    ///
    /// # Errors
    /// The program can't be read, or the folder not written to.
    pub fn put_program(&self, program: &Path) -> Result<bool, PlaceError> {
        let to = self.programs.join(PLUGIN);
        let mut file = File::open(program).map_err(at(program))?;
        if same(&file, &to) {
            return Ok(false);
        }
        file.rewind().map_err(at(program))?;
        replace(&to, &mut file, 0o755)?;
        Ok(true)
    }

    /// Puts the entry last in the chain; whether anything changed.
    ///
    /// # Errors
    /// There is no configuration yet, or none that can be added to.
    pub fn put_entry(&self) -> Result<bool, PlaceError> {
        let steps = chain::install(&self.files()?, self.named.as_deref(), &self.socket)?;
        self.carry_out(&steps)?;
        Ok(!steps.is_empty())
    }

    /// Takes the entry out, then the program away; whether there was anything. Between the two the
    /// runtime gets as long to read its configuration again.
    ///
    /// # Errors
    /// A file can't be written or removed.
    pub fn take_away(&self, pause: Duration) -> Result<bool, PlaceError> {
        self.tidy();
        let steps = chain::uninstall(&self.files()?);
        self.carry_out(&steps)?;
        if !steps.is_empty() {
            std::thread::sleep(pause);
        }
        let program = self.programs.join(PLUGIN);
        let there = match fs::remove_file(&program) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(at(&program)(error)),
        };
        Ok(there || !steps.is_empty())
    }

    /// Removes what an interrupted run was writing.
    pub fn tidy(&self) {
        for folder in [&self.configurations, &self.programs] {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                if entry.file_name().to_str().is_some_and(|name| name.starts_with(UNFINISHED)) {
                    let _ = fs::remove_file(entry.path());
                }
            }
        }
    }

    fn files(&self) -> Result<Vec<chain::File>, PlaceError> {
        let folder = &self.configurations;
        let mut out = Vec::new();
        for entry in fs::read_dir(folder).map_err(at(folder))? {
            let entry = entry.map_err(at(folder))?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let path = entry.path();
            // Behind a link as well: that is how some distributions lay them out.
            let Ok(metadata) = fs::metadata(&path) else { continue };
            if !metadata.is_file() || metadata.len() > CONFIGURATION_MAX {
                continue;
            }
            let mut text = String::new();
            let read = File::open(&path)
                .and_then(|file| file.take(CONFIGURATION_MAX).read_to_string(&mut text));
            match read {
                Ok(_) => out.push(chain::File { name, text }),
                // Gone meanwhile, or no text.
                Err(_) => continue,
            }
        }
        out.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(out)
    }

    fn carry_out(&self, steps: &[Step]) -> Result<(), PlaceError> {
        let folder = &self.configurations;
        for step in steps {
            match step {
                Step::Write(file) => {
                    let path = folder.join(&file.name);
                    let mode = fs::metadata(&path).map_or(0o644, |m| m.permissions().mode());
                    // A link stays one, and what it leads to is written.
                    let path = fs::canonicalize(&path).unwrap_or(path);
                    replace(&path, &mut file.text.as_bytes(), mode & 0o777)?;
                }
                Step::Rename { from, to } => {
                    let from = folder.join(from);
                    fs::rename(&from, folder.join(to)).map_err(at(&from))?;
                }
                Step::Remove(name) => {
                    let path = folder.join(name);
                    fs::remove_file(&path).map_err(at(&path))?;
                }
            }
        }
        if !steps.is_empty() {
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(at(folder))?;
        }
        Ok(())
    }
}

/// Whether a file has the content of another.
fn same(file: &File, other: &Path) -> bool {
    let Ok(other) = File::open(other) else { return false };
    let length = |file: &File| file.metadata().map(|m| m.len()).ok();
    if length(file).is_none() || length(file) != length(&other) {
        return false;
    }
    let (a, b) = (BufReader::new(file).bytes(), BufReader::new(other).bytes());
    a.zip(b).all(|pair| matches!(pair, (Ok(a), Ok(b)) if a == b))
}

/// Whole or not at all, on the disk before it has its name.
fn replace(path: &Path, content: &mut impl Read, mode: u32) -> Result<(), PlaceError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let made = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(folder);
    let mut file = made.map_err(at(folder))?;
    // A program is larger than what an agent may hold.
    let written = io::copy(content, &mut file)
        .and_then(|_| fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)))
        .and_then(|()| file.as_file().sync_all());
    written.map_err(at(path))?;
    file.persist(path).map_err(|error| at(path)(error.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_and_goes_and_leaves_the_folders_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let (conf, bin) = (folder.path().join("net.d"), folder.path().join("bin"));
        fs::create_dir(&conf).unwrap();
        fs::create_dir(&bin).unwrap();
        let place = Place {
            configurations: conf.clone(),
            programs: bin.clone(),
            named: None,
            socket: "/run/s".to_owned(),
        };
        assert!(matches!(place.put_entry(), Err(PlaceError::Chain(ChainError::Empty))));
        let text = r#"{"cniVersion":"1.0.0","name":"n","plugins":[{"type":"ptp"}]}"#;
        let file = conf.join("10-a.conflist");
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let program = folder.path().join("program");
        fs::write(&program, "x").unwrap();
        assert!(place.put_program(&program).unwrap());
        assert!(!place.put_program(&program).unwrap());
        assert!(place.put_entry().unwrap());
        assert!(!place.put_entry().unwrap());
        assert!(fs::read_to_string(&file).unwrap().contains(PLUGIN));
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(bin.join(PLUGIN)).unwrap().permissions().mode() & 0o777, 0o755);
        fs::write(conf.join(".sunup-unfinished-abc"), "").unwrap();
        assert!(place.take_away(Duration::ZERO).unwrap());
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
        assert_eq!(fs::read_dir(&conf).unwrap().count(), 1);
        assert_eq!(fs::read_dir(&bin).unwrap().count(), 0);
        assert!(!place.take_away(Duration::ZERO).unwrap());
    }
}
