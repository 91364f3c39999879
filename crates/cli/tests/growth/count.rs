//! Inputs of a size, and what `sunup` takes for them.

use std::path::Path;

use sunup_testkit::growth::Cases;

/// The cases of a test, each a call of `sunup`.
pub(crate) trait Calls {
    /// A call of this name takes at most 2.3 times the instructions for twice the input, those left out
    /// that the smallest input takes too. `args` writes an input of a size into a folder, and says what
    /// `sunup` is called with.
    fn call(&mut self, name: &str, size: usize, args: impl Fn(&Path, usize) -> Vec<String>);
}

impl Calls for Cases {
    fn call(&mut self, name: &str, size: usize, args: impl Fn(&Path, usize) -> Vec<String>) {
        self.case(name, size, |size| {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let args = args(folder.path(), size);
            move || {
                let _folder = &folder;
                sunup_cli::run(args.iter().map(Into::into).collect());
            }
        });
    }
}

/// Writes a file, and gives its path.
pub(crate) fn write(folder: &Path, name: &str, text: &(impl AsRef<[u8]> + ?Sized)) -> String {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    std::fs::write(&path, text).expect("written");
    path.to_string_lossy().into_owned()
}

/// `sunup doctor` with these arguments.
pub(crate) fn doctor<const N: usize>(args: [&str; N]) -> Vec<String> {
    ["doctor"].iter().chain(&args).map(|&arg| arg.to_owned()).collect()
}

/// One text after the other.
pub(crate) fn each(size: usize, between: &str, one: impl Fn(usize) -> String) -> String {
    (0..size).map(one).collect::<Vec<_>>().join(between)
}
