//! Counts what a run takes, and holds twice the input against once.

use std::path::Path;
use std::process::{Command, Stdio};

/// What doubling may cost: twice, and what sorting and tables that grow add.
const TIMES_MAX: f64 = 2.3;

/// Asked of the child process that runs inside of this program: a case and its size.
const CHILD: &str = "SUNUP_GROWTH";

/// The case of this name takes at most [`TIMES_MAX`] the instructions for twice the input, those left
/// out that the smallest input takes too. `args` writes an input of a size into a folder, and says
/// what `sunup` is called with.
#[track_caller]
pub(crate) fn grows_evenly(name: &str, size: usize, args: impl Fn(&Path, usize) -> Vec<String>) {
    let run = |size| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut command = vec![env!("CARGO_BIN_EXE_sunup").to_owned()];
        command.extend(args(folder.path(), size));
        instructions(&command, &[])
    };
    compare(name, size, run);
}

/// The same of something that no command line leads to: `work` is done in a process of its own, by
/// the test of this name.
#[track_caller]
pub(crate) fn grows_evenly_inside(test: &str, size: usize, work: impl Fn(usize)) {
    if let Ok(size) = std::env::var(CHILD) {
        return work(size.parse().expect("a size"));
    }
    let exe = std::env::current_exe().expect("this test's own program");
    let command = [&exe.to_string_lossy(), test, "--exact", "--test-threads=1"];
    let command: Vec<String> = command.iter().map(|&word| word.to_owned()).collect();
    compare(test, size, |size| instructions(&command, &[(CHILD, size.to_string())]));
}

#[track_caller]
fn compare(name: &str, size: usize, count: impl Fn(usize) -> u64) {
    let found = sunup_testkit::program("valgrind");
    if sunup_testkit::require(name, "valgrind", found).is_none() {
        return;
    }
    let least = count(1);
    let (once, twice) = (count(size).saturating_sub(least), count(size * 2).saturating_sub(least));
    let times = twice as f64 / once.max(1) as f64;
    // Less than that tells nothing: it is lost among what every run takes.
    assert!(once > 5_000_000, "{name}: too small an input to tell: {once} instructions");
    assert!(times <= TIMES_MAX, "{name}: twice the input takes {times:.2} times the instructions");
}

/// Instructions of a run, all threads together.
fn instructions(command: &[String], env: &[(&str, String)]) -> u64 {
    let output = Command::new("valgrind")
        .args(["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"])
        .args(command)
        .envs(env.iter().map(|(key, value)| (key, value)))
        .stdin(Stdio::null())
        .output()
        .expect("valgrind starts");
    let told = String::from_utf8_lossy(&output.stderr);
    let line = told.lines().find(|line| line.contains("I ") && line.contains("refs:"));
    let count = line.and_then(|line| line.rsplit(' ').next()).map(|count| count.replace(',', ""));
    count.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("no count in {told}"))
}

/// Writes a file, and gives its path.
pub(crate) fn write(folder: &Path, name: &str, text: &str) -> String {
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
