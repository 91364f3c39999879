//! Work grows with the input, and no faster. Counts the instructions that work takes, by Valgrind, and
//! holds twice the input against once: neither a slow nor a busy machine changes the outcome.
//!
//! All cases of a test are worked in one process: to start one under Valgrind, and to have each piece of
//! its code translated there, takes longer than most of them.

use std::path::Path;
use std::process::{Command, Stdio};

/// What doubling may cost: twice, and what sorting and tables that grow add.
const TIMES_MAX: f64 = 2.3;

/// Less than that tells nothing: it is lost among what every run takes.
const TELLING: u64 = 5_000_000;

/// Tells the process that works from the one that waits for it.
const CHILD: &str = "SUNUP_GROWTH";

/// The function at whose begin and end Valgrind counts, as it calls it.
const COUNTED: &str = "sunup_testkit::growth::counted";

/// What is counted of each case: the size that tells what every run takes, the size, and twice the size.
const RUNS: usize = 3;

/// The cases of a test, each of which takes at most 2.3 times the instructions for twice the size, those
/// left out that the smallest size takes too.
#[derive(Debug)]
pub struct Cases {
    works: bool,
    names: Vec<String>,
}

impl Cases {
    /// A case. `prepare` makes the input of a size, which isn't counted, and gives what is.
    pub fn case<W: FnMut()>(&mut self, name: &str, size: usize, prepare: impl Fn(usize) -> W) {
        self.names.push(name.to_owned());
        if self.works {
            // What is made once in a process, whoever needs it first.
            prepare(1)();
            for size in [1, size, size * 2] {
                counted(&mut prepare(size));
            }
        }
    }
}

/// Never part of another function, so that it can be told from others.
#[inline(never)]
fn counted(work: &mut dyn FnMut()) {
    work();
}

/// Holds the cases that `list` names, which are worked in a process of their own by the test of this
/// name, as `cargo test -- --exact` takes it.
///
/// # Panics
/// One grows faster; or its size is too small to tell.
#[track_caller]
pub fn hold(test: &str, list: impl Fn(&mut Cases)) {
    let works = std::env::var_os(CHILD).is_some();
    let mut cases = Cases { works, names: Vec::new() };
    if !works && crate::require(test, "valgrind", crate::program("valgrind")).is_none() {
        return;
    }
    list(&mut cases);
    if works {
        return;
    }
    let counts = counts(test, cases.names.len() * RUNS);
    let bad: Vec<String> = cases
        .names
        .iter()
        .zip(counts.chunks(RUNS))
        .filter_map(|(name, counts)| judge(name, counts))
        .collect();
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

/// Holds one case: work that is counted with the making of its input.
///
/// # Panics
/// It grows faster; or the size is too small to tell.
#[track_caller]
pub fn inside(test: &str, size: usize, work: impl Fn(usize)) {
    let work = &work;
    hold(test, |cases| cases.case(test, size, |size| move || work(size)));
}

/// What is wrong with the counts of a case.
fn judge(name: &str, counts: &[u64]) -> Option<String> {
    let &[least, once, twice] = counts else { return Some(format!("{name}: no counts")) };
    let (once, twice) = (once.saturating_sub(least), twice.saturating_sub(least));
    let times = twice as f64 / once.max(1) as f64;
    if once < TELLING {
        return Some(format!("{name}: too small an input to tell: {counts:?} instructions"));
    }
    let grown =
        format!("{name}: twice the input takes {times:.2} times the instructions: {counts:?}");
    (times > TIMES_MAX).then_some(grown)
}

/// The instructions of each counted piece of work, all threads together.
fn counts(test: &str, want: usize) -> Vec<u64> {
    let exe = std::env::current_exe().expect("this test's own program");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("out");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--dump-line=no"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .args([format!("--zero-before={COUNTED}"), format!("--dump-after={COUNTED}")])
        .arg(exe)
        .args([test, "--exact", "--test-threads=1"])
        .env(CHILD, "1")
        .stdin(Stdio::null())
        .output()
        .expect("valgrind starts");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{test}: {told}");
    let counts: Vec<u64> =
        (1..).map_while(|number| total(&out.with_extension(number.to_string()))).collect();
    assert_eq!(counts.len(), want, "{test}: pieces of work that were counted\n{told}");
    counts
}

/// The total of a file of Callgrind's.
fn total(path: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| line.strip_prefix("totals:"))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_faster_is_told() {
        assert_eq!(judge("even", &[1_000, 10_001_000, 20_001_000]), None);
        let told = judge("square", &[1_000, 10_001_000, 40_001_000]).expect("told");
        assert!(told.contains("4.00 times"), "{told}");
        assert!(judge("nothing", &[1_000, 2_000, 3_000]).expect("told").contains("too small"));
    }

    #[test]
    fn work_is_counted_in_all_threads() {
        let sum = |size: usize| {
            let numbers: Vec<usize> = (0..size).collect();
            std::hint::black_box(numbers.iter().sum::<usize>());
        };
        hold("growth::tests::work_is_counted_in_all_threads", |cases| {
            cases.case("here", 100_000, |size| move || sum(size));
            cases.case("elsewhere", 100_000, |size| {
                move || std::thread::spawn(move || sum(size)).join().expect("a thread")
            });
        });
    }
}
