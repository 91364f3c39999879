//! `cargo xtask fuzz`: builds the targets of `fuzz/`, gives each its seeds and lets each run for a
//! while. What a target finds is kept, told with the command that shows it again, and is a failure.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::Context as _;

pub(crate) const USAGE: &str = "\
usage: cargo xtask fuzz [--seconds N] [--runs N] [--jobs N] [--seed N] [--build] [TARGET…]
  --seconds N   how long each target runs; 60 where nothing is said
  --runs N      how many inputs each target is asked about at most, seeds among them, and all of those;
                with a seed for chance a faster machine goes no further then
  --jobs N      how many run at a time; all cores where nothing is said
  --seed N      what chance begins with, to go the same way again; another each time where nothing
                is said
  --build       only build them and write their seeds
  TARGET        a file of fuzz/src/bin; all of them where none is named";

/// Memory of a process beyond which it has failed, MB: everything that was ever read is held.
const MEMORY_MB: u32 = 3000;
/// One input may take so long, seconds.
const PATIENCE: u32 = 30;

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    seconds: u64,
    runs: Option<u64>,
    jobs: usize,
    /// libFuzzer takes 0 for another each time.
    seed: u64,
    only_build: bool,
    targets: Vec<String>,
}

impl Asked {
    /// Reads the command line.
    pub(crate) fn read(arguments: &[&str]) -> anyhow::Result<Self> {
        let jobs = std::thread::available_parallelism().map_or(1, usize::from);
        let mut asked = Asked {
            seconds: 60,
            runs: None,
            jobs,
            seed: 0,
            only_build: false,
            targets: Vec::new(),
        };
        let mut left = arguments.iter();
        while let Some(argument) = left.next() {
            let mut number = || -> anyhow::Result<u64> {
                let value =
                    left.next().with_context(|| format!("{argument}: no value\n{USAGE}"))?;
                value.parse().with_context(|| format!("{argument} {value}: no number"))
            };
            match *argument {
                "--seconds" => asked.seconds = number()?.max(1),
                "--runs" => asked.runs = Some(number()?.max(1)),
                "--jobs" => asked.jobs = usize::try_from(number()?)?.max(1),
                "--seed" => asked.seed = number()?,
                "--build" => asked.only_build = true,
                option if option.starts_with('-') => {
                    anyhow::bail!("{option}: no such option\n{USAGE}")
                }
                target => asked.targets.push(target.to_owned()),
            }
        }
        Ok(asked)
    }
}

/// Does what was asked for; what to tell of it.
pub(crate) fn run(repository: &Path, asked: &Asked) -> anyhow::Result<Vec<String>> {
    let folder = repository.join("fuzz");
    let all = targets(&folder)?;
    for target in &asked.targets {
        anyhow::ensure!(all.contains(target), "{target}: no target; there are {}", all.join(", "));
    }
    let chosen = if asked.targets.is_empty() { all } else { asked.targets.clone() };
    let programs = build(repository, &folder)?;
    let corpus = match asked.runs {
        None => folder.join("corpus"),
        // Begun anew each time: what was found by chance before would lead another way.
        Some(_) => {
            let bounded = folder.join("target").join("bounded");
            if bounded.exists() {
                fs::remove_dir_all(&bounded).with_context(|| bounded.display().to_string())?;
            }
            bounded
        }
    };
    seed(&corpus, &programs, &chosen)?;
    if asked.only_build {
        return Ok(vec![format!("{} targets in {}", chosen.len(), programs.display())]);
    }
    let (seconds, runs, seed) = (asked.seconds, asked.runs, asked.seed);
    let bench = Bench { folder, corpus, programs, seconds, runs, seed };
    let queue = Mutex::new(chosen.iter());
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..asked.jobs {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().ok().and_then(|mut queue| queue.next());
                    let Some(target) = next else { return };
                    let ran = bench.run(target);
                    if let Ok(mut done) = done.lock() {
                        done.push((target.clone(), ran));
                    }
                }
            });
        }
    });
    let done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    told(done, chosen.len())
}

fn told(
    mut done: Vec<(String, anyhow::Result<Ran>)>,
    wanted: usize,
) -> anyhow::Result<Vec<String>> {
    done.sort_by(|a, b| a.0.cmp(&b.0));
    let (mut lines, mut found, mut executions) = (Vec::new(), Vec::new(), 0);
    lines
        .push(format!("{:<18} {:>11} {:>8} {:>8}", "target", "executions", "a second", "branches"));
    let count = done.len();
    for (target, ran) in done {
        let ran = ran.with_context(|| format!("{target} could not be run"))?;
        executions += ran.executions;
        lines.push(format!(
            "{target:<18} {:>11} {:>8} {:>8}",
            ran.executions, ran.per_second, ran.branches
        ));
        found.extend(ran.finding);
    }
    anyhow::ensure!(count == wanted, "{count} of {wanted} targets ran");
    lines.push(format!("fuzz: {count} targets, {executions} executions, nothing found"));
    anyhow::ensure!(found.is_empty(), "{}\n{}", lines[..=count].join("\n"), found.join("\n"));
    Ok(lines)
}

/// The targets by name.
fn targets(folder: &Path) -> anyhow::Result<Vec<String>> {
    let programs = folder.join("src/bin");
    let entries = fs::read_dir(&programs).with_context(|| programs.display().to_string())?;
    let mut all = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if name != "seed" {
            all.push(name);
        }
    }
    all.sort();
    Ok(all)
}

/// Builds all targets with what libFuzzer needs to know of them; where they are.
///
/// The lock file is made from the workspace's own: targets are built with the versions that are
/// shipped, whatever changes there.
fn build(repository: &Path, folder: &Path) -> anyhow::Result<PathBuf> {
    let (own, ours) = (folder.join("Cargo.lock"), repository.join("Cargo.lock"));
    let changed = |path: &Path| fs::metadata(path).and_then(|meta| meta.modified());
    if changed(&own).ok() < changed(&ours).ok() {
        fs::copy(&ours, &own).with_context(|| own.display().to_string())?;
    }
    let host = host()?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // Told the machine, cargo keeps our flags from what it builds to build with.
    command.current_dir(folder).args(["build", "--release", "--bins", "--target", &host]);
    command.env("RUSTC_WRAPPER", folder.join("instrument"));
    command.env("CARGO_TARGET_DIR", folder.join("target"));
    anyhow::ensure!(command.status()?.success(), "the targets could not be built");
    Ok(folder.join("target").join(host).join("release"))
}

/// The kind of machine that this one is, as compilers name it.
fn host() -> anyhow::Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("rustc can't be run")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc doesn't say for which machine it is")?.to_owned())
}

/// Gives each target what it begins with.
fn seed(corpus: &Path, programs: &Path, targets: &[String]) -> anyhow::Result<()> {
    let mut command = Command::new(programs.join("seed"));
    command.arg(corpus).args(targets);
    anyhow::ensure!(command.status()?.success(), "the seeds could not be written");
    Ok(())
}

/// Where targets run, and for how long.
struct Bench {
    folder: PathBuf,
    /// Seeds, and what was found on the way.
    corpus: PathBuf,
    programs: PathBuf,
    seconds: u64,
    runs: Option<u64>,
    seed: u64,
}

/// What came of one.
#[derive(Debug, Default)]
struct Ran {
    executions: u64,
    per_second: u64,
    branches: u64,
    finding: Option<String>,
}

impl Bench {
    fn run(&self, target: &str) -> anyhow::Result<Ran> {
        let artifacts = self.folder.join("artifacts");
        fs::create_dir_all(&artifacts)?;
        let log = artifacts.join(format!("{target}.log"));
        let mut command = Command::new(self.programs.join(target));
        command
            .arg(self.corpus.join(target))
            .arg(format!("-max_total_time={}", self.seconds))
            .arg(format!("-seed={}", self.seed))
            .arg(format!("-rss_limit_mb={MEMORY_MB}"))
            .arg(format!("-timeout={PATIENCE}"))
            .arg(format!("-artifact_prefix={}/{target}-", artifacts.display()))
            .args(self.runs.map(|runs| format!("-runs={runs}")))
            .args(["-print_final_stats=1", "-verbosity=1"])
            .current_dir(&self.folder)
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(File::create(&log)?);
        let mut child = command.spawn()?;
        // What a process can't stop by itself; loading the corpus isn't counted by libFuzzer.
        let patience = Duration::from_secs(self.seconds * 2 + 300);
        let began = std::time::Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if began.elapsed() > patience {
                child.kill()?;
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        let said = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
        let mut ran = read(&said);
        if !status.success() {
            let why =
                said.lines().find(|line| line.contains("panicked at") || line.contains("ERROR"));
            let at = said.lines().position(|line| Some(line) == why).unwrap_or_default();
            let words: Vec<&str> = said.lines().skip(at).take(4).collect();
            let kept = said.lines().find_map(|line| line.split("Test unit written to ").nth(1));
            let again = match kept {
                Some(kept) => format!("{} {kept}", self.programs.join(target).display()),
                None => format!("see {}", log.display()),
            };
            let words = cut(&words.join("\n"), 2000).to_owned();
            ran.finding = Some(format!(
                "fuzz: {target} found something ({status}):\n{words}\nagain: {again}"
            ));
        }
        Ok(ran)
    }
}

fn cut(text: &str, max: usize) -> &str {
    let end = (0..=max.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or(0)]
}

/// Reads what libFuzzer says at the end.
fn read(said: &str) -> Ran {
    let stat = |name: &str| {
        let line = said.lines().rev().find_map(|line| line.strip_prefix(name))?;
        line.trim_start_matches(':').trim().parse::<u64>().ok()
    };
    let covered = said.lines().rev().find_map(|line| line.split(" cov: ").nth(1));
    let branches = covered.and_then(|rest| rest.split(' ').next()?.parse().ok());
    Ran {
        executions: stat("stat::number_of_executed_units").unwrap_or_default(),
        per_second: stat("stat::average_exec_per_sec").unwrap_or_default(),
        branches: branches.unwrap_or_default(),
        finding: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read() {
        let asked =
            Asked::read(&["--seconds", "5", "query", "--jobs", "2", "--seed", "1"]).unwrap();
        assert_eq!((asked.seconds, asked.runs, asked.jobs, asked.seed), (5, None, 2, 1));
        assert_eq!(asked.targets, ["query"]);
        assert!(Asked::read(&["--seconds"]).is_err() && Asked::read(&["--fast"]).is_err());
    }

    #[test]
    fn every_target_is_a_program_with_the_name_of_its_file() {
        let all = targets(&crate::root().join("fuzz")).unwrap();
        assert!(all.len() > 25 && all.contains(&"query".to_owned()), "{all:?}");
        for target in all {
            let path = crate::root().join(format!("fuzz/src/bin/{target}.rs"));
            let text = fs::read_to_string(path).unwrap();
            assert!(
                text.contains("#![no_main]") && text.contains("sunup_fuzz::target!("),
                "{target}"
            );
        }
    }

    #[test]
    fn what_libfuzzer_says_is_read() {
        let ran = read(
            "#2\tINITED cov: 20 ft: 30 corp: 1/1b exec/s: 0 rss: 30Mb\n\
             #1024\tDONE   cov: 45 ft: 88 corp: 9/99b lim: 4096 exec/s: 512 rss: 31Mb\n\
             stat::number_of_executed_units: 1024\nstat::average_exec_per_sec:     512\n",
        );
        assert_eq!((ran.executions, ran.per_second, ran.branches), (1024, 512, 45));
        let failed = vec![("query".to_owned(), Ok(Ran { finding: Some("x".into()), ..ran }))];
        assert!(told(failed, 1).unwrap_err().to_string().contains("x"));
        assert!(told(vec![], 1).is_err(), "one that did not run is no success");
    }
}
