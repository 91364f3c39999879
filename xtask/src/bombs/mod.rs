//! `cargo xtask bombs [NAME…]`: inputs that are out of proportion, written or streamed to the command
//! one after the other, with the time and the memory that each took and the limit that it met.
//!
//! Knows how inputs are made and how a process is measured; what the command makes of one, it reads off
//! its report.

mod case;
mod inputs;
mod packed;

use std::fs::{self, File};
use std::io::{BufWriter, Read as _, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::Value;

use self::case::{Case, Input};

/// How often a running process is asked for the most memory it has held.
const PEEK: Duration = Duration::from_millis(5);

/// Who takes longer is ended, and told so.
const PATIENCE: Duration = Duration::from_secs(600);

/// What a run took.
struct Cost {
    time: Duration,
    processor: Duration,
    /// kB.
    memory: u64,
    code: Option<i32>,
    told: String,
    bytes: u64,
}

/// Runs the cases that are named, or all; `say` is told of each.
pub(crate) fn run(root: &Path, names: &[&str], say: fn(&str)) -> anyhow::Result<Vec<String>> {
    let command = match std::env::var_os("SUNUP_BOMBS_COMMAND") {
        Some(command) => PathBuf::from(command),
        None => built(root)?,
    };
    let parent = std::env::var_os("SUNUP_BOMBS_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let mut count = 0;
    let all = inputs::all().into_iter().chain(packed::all());
    let head = format!(
        "{:<44} {:>11} {:>9} {:>9} {:>9} {:>4}  {}",
        "input", "bytes", "time", "processor", "memory", "code", "what is told first"
    );
    say(&head);
    for case in all {
        if !names.is_empty() && !names.iter().any(|name| case.name.contains(name)) {
            continue;
        }
        let folder = tempfile::tempdir_in(&parent)?;
        let cost = one(&command, &case, folder.path()).context(case.name)?;
        let line = format!(
            "{:<44} {:>11} {:>7.2} s {:>7.2} s {:>6} MB {:>4}  {}",
            case.name,
            cost.bytes,
            cost.time.as_secs_f64(),
            cost.processor.as_secs_f64(),
            cost.memory / 1000,
            cost.code.map_or_else(|| "-".to_owned(), |code| code.to_string()),
            cost.told
        );
        say(&line);
        count += 1;
    }
    anyhow::ensure!(count > 0, "there is no input of that name");
    Ok(vec![format!("{count} inputs")])
}

/// The command, as it is released.
fn built(root: &Path) -> anyhow::Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root).args(["build", "--release", "-p", "sunup-cli"]);
    anyhow::ensure!(command.status()?.success(), "it could not be built");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), PathBuf::from);
    Ok(target.join("release/sunup"))
}

fn one(command: &Path, case: &Case, folder: &Path) -> anyhow::Result<Cost> {
    let report = folder.join("report");
    let input = folder.join("input");
    fs::create_dir(&input)?;
    let mut run = Command::new(command);
    run.args(case.args).stdout(File::create(&report)?).stderr(File::create(folder.join("said"))?);
    let bytes = match &case.input {
        Input::File(name, write) => {
            let path = input.join(name);
            let mut out = BufWriter::with_capacity(1 << 20, File::create(&path)?);
            write(&mut out)?;
            out.flush()?;
            run.arg(&path).stdin(Stdio::null());
            fs::metadata(&path)?.len()
        }
        Input::Folder(fill) => {
            fill(&input)?;
            run.arg(&input).stdin(Stdio::null());
            size(&input)?
        }
        Input::Pipe(_) => {
            run.arg("-").stdin(Stdio::piped());
            0
        }
    };
    let began = Instant::now();
    let mut child = run.spawn().context("it does not start")?;
    let pipe = child.stdin.take();
    let (processor, memory, code, piped) = std::thread::scope(|scope| {
        let writing = match (&case.input, pipe) {
            (Input::Pipe(write), Some(pipe)) => Some(scope.spawn(move || {
                let mut out = Counting { inner: pipe, bytes: 0 };
                // Who has read enough closes it.
                let _ = write(&mut out);
                out.bytes
            })),
            _ => None,
        };
        let watched = watch(&mut child, began)?;
        let piped = writing.and_then(|writing| writing.join().ok()).unwrap_or(0);
        anyhow::Ok((watched.0, watched.1, watched.2, piped))
    })?;
    let time = began.elapsed();
    let told = told(&report, &folder.join("said"))?;
    Ok(Cost { time, processor, memory, code, told, bytes: bytes.max(piped) })
}

type Watched = (Duration, u64, Option<i32>);

fn watch(child: &mut Child, began: Instant) -> anyhow::Result<Watched> {
    let process = format!("/proc/{}", child.id());
    let (mut memory, mut processor) = (0, Duration::ZERO);
    loop {
        memory = peak(&process).unwrap_or(memory);
        processor = used(&process).unwrap_or(processor);
        if let Some(status) = child.try_wait()? {
            return Ok((processor, memory, status.code()));
        }
        if began.elapsed() > PATIENCE {
            child.kill()?;
            child.wait()?;
            return Ok((processor, memory, None));
        }
        std::thread::sleep(PEEK);
    }
}

/// Processor time so far: in ticks of 10 ms, after the name in brackets, the 12th and 13th field
/// (proc_pid_stat(5)).
fn used(process: &str) -> Option<Duration> {
    let text = fs::read_to_string(format!("{process}/stat")).ok()?;
    let mut fields = text.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some(Duration::from_millis(10 * (ticks()? + ticks()?)))
}

fn peak(process: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("{process}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

/// Counts what goes by.
struct Counting<W> {
    inner: W,
    bytes: u64,
}

impl<W: Write> Write for Counting<W> {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        let len = self.inner.write(buf)?;
        self.bytes += len as u64;
        Ok(len)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

/// Bytes of what lies in a folder; a file with holes counts as long as it says.
fn size(folder: &Path) -> std::io::Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let meta = entry.path().symlink_metadata()?;
        sum += if meta.is_dir() { size(&entry.path())? } else { meta.len() };
    }
    Ok(sum)
}

/// How many findings there are, and the first thing that is told to be unread; of another command
/// what it said.
fn told(report: &Path, said: &Path) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    File::open(report)?.take(1 << 30).read_to_end(&mut bytes)?;
    let text = match serde_json::from_slice::<Value>(&bytes) {
        Ok(report) if report.get("schema").is_some() => {
            let count = |what: &str| report[what].as_array().map_or(0, Vec::len);
            let first = &report["unreadable"][0];
            let first = match (first["source"].as_str(), first["why"].as_str()) {
                (Some(source), Some(why)) => format!("; {source}: {why}"),
                _ => String::new(),
            };
            format!("{} findings, {} unknown{first}", count("findings"), count("unknown"))
        }
        _ => {
            let said = fs::read_to_string(said)?;
            format!("{} bytes; {}", bytes.len(), said.lines().next().unwrap_or_default())
        }
    };
    Ok(text.chars().filter(|c| !c.is_control()).take(150).collect())
}
