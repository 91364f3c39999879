//! Work grows with the input, and no faster. Counts the instructions that a run takes, by Valgrind,
//! and holds twice the input against once: neither a slow nor a busy machine changes the outcome.

use std::process::{Command, Stdio};

/// What doubling may cost: twice, and what sorting and tables that grow add.
const TIMES_MAX: f64 = 2.3;

/// Less than that tells nothing: it is lost among what every run takes.
const TELLING: u64 = 5_000_000;

/// Asked of the child process that runs inside of a test's own program: a size.
const CHILD: &str = "SUNUP_GROWTH";

/// Work that no command line leads to takes at most 2.3 times the instructions for twice the size,
/// those left out that the smallest size takes too. `work` is done in a process of its own, by the
/// test of this name, as `cargo test -- --exact` takes it.
///
/// # Panics
/// It grows faster; or the size is too small to tell.
#[track_caller]
pub fn inside(test: &str, size: usize, work: impl Fn(usize)) {
    if let Ok(size) = std::env::var(CHILD) {
        return work(size.parse().expect("a size"));
    }
    let exe = std::env::current_exe().expect("this test's own program");
    let command = [&exe.to_string_lossy(), test, "--exact", "--test-threads=1"];
    let command: Vec<String> = command.iter().map(|&word| word.to_owned()).collect();
    compare(test, size, |size| instructions(&command, &[(CHILD, size.to_string())]));
}

/// What `count` says of twice the size is at most 2.3 times what it says of the size.
///
/// # Panics
/// It is more; or the size is too small to tell.
#[track_caller]
pub fn compare(name: &str, size: usize, count: impl Fn(usize) -> u64) {
    if crate::require(name, "valgrind", crate::program("valgrind")).is_none() {
        return;
    }
    let least = count(1);
    let (once, twice) = (count(size).saturating_sub(least), count(size * 2).saturating_sub(least));
    let times = twice as f64 / once.max(1) as f64;
    assert!(once > TELLING, "{name}: too small an input to tell: {once} instructions");
    assert!(times <= TIMES_MAX, "{name}: twice the input takes {times:.2} times the instructions");
}

/// Instructions of a run, all threads together.
///
/// # Panics
/// Valgrind can't be run, or doesn't say.
#[must_use]
pub fn instructions(command: &[String], env: &[(&str, String)]) -> u64 {
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
