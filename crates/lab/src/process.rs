//! Containers as processes: started in a pod's network, their output read line by line with the
//! time of its arrival, their end waited for. Knows no pods.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, PipeWriter, Read as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use jiff::Timestamp;
use sunup_sys::container::{self, Handle};
use sunup_sys::ns::Namespace;

use crate::inside::Plan;

/// Longer lines are written in parts, as container runtimes do.
const LINE_MAX: usize = 16 * 1024;
const STACK: usize = 256 * 1024;

/// Where a line of output went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// Exit code, or 128 and the signal, as container runtimes say it.
    pub code: i32,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// When.
    pub at: Timestamp,
}

impl Exit {
    fn of(status: ExitStatus) -> Self {
        let signal = status.signal();
        let code = status.code().unwrap_or_else(|| 128 + signal.unwrap_or(0));
        Self { code, signal, at: Timestamp::now() }
    }
}

/// Goes up once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flag(Arc<(Mutex<bool>, Condvar)>);

impl Flag {
    fn raise(&self) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0.1.notify_all();
    }

    pub(crate) fn is_up(&self) -> bool {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it is up, or the time is over; whether it is.
    pub(crate) fn wait(&self, timeout: Duration) -> bool {
        let up = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.0.1.wait_timeout_while(up, timeout, |up| !*up);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// A running container.
#[derive(Debug, Clone)]
pub(crate) struct Running {
    handle: Arc<Handle>,
    pid: u32,
    ended: Flag,
    /// Its network, for what is executed in it.
    network: Arc<Namespace>,
}

/// What starts processes: the program to start again, and where plans are put.
#[derive(Debug)]
pub(crate) struct Starter {
    /// The program and arguments that lead to [`crate::become_container`].
    pub(crate) helper: Vec<OsString>,
    /// A directory for plans.
    pub(crate) plans: PathBuf,
    next: AtomicU64,
}

/// Takes each line of output: its stream, when it came, the text, and whether it goes on.
pub(crate) type Lines = Arc<dyn Fn(Stream, Timestamp, &str, bool) + Send + Sync>;

impl Starter {
    pub(crate) fn new(helper: Vec<OsString>, plans: PathBuf) -> Self {
        Self { helper, plans, next: AtomicU64::new(0) }
    }

    fn write(&self, plan: &Plan) -> anyhow::Result<PathBuf> {
        let path = self.plans.join(self.next.fetch_add(1, Ordering::Relaxed).to_string());
        std::fs::write(&path, serde_json::to_vec(plan)?).context("writing a container's plan")?;
        Ok(path)
    }

    fn command(&self, path: &PathBuf) -> Command {
        let mut command = Command::new(&self.helper[0]);
        command.args(&self.helper[1..]).arg(path).env_clear();
        command.current_dir("/");
        command
    }

    /// Starts a container and comes back when its program runs (or is being delayed on purpose).
    /// `ended` is called, on another thread, after the last line of output was taken.
    ///
    /// # Errors
    /// The program can't be run; the text is what a runtime would report.
    pub(crate) fn start(
        &self,
        plan: &Plan,
        network: &Arc<Namespace>,
        lines: Lines,
        ended: impl FnOnce(Exit) + Send + 'static,
    ) -> anyhow::Result<Running> {
        let path = self.write(plan)?;
        let (mut status, told) = std::io::pipe()?;
        let mut command = self.command(&path);
        // A thread whose children get a pid namespace of their own can't start threads any more:
        // those that read are started here.
        let (out, out_thread) = reader(Stream::Out, &lines)?;
        let (err, err_thread) = reader(Stream::Err, &lines)?;
        command.stdin(told).stdout(out).stderr(err);
        let (sender, receiver) = std::sync::mpsc::channel();
        let space = Arc::clone(network);
        let flag = Flag::default();
        let raised = flag.clone();
        // Namespaces belong to threads: this one is the container's for as long as it runs.
        std::thread::Builder::new().name("container".to_owned()).stack_size(STACK).spawn(
            move || {
                let spawned = space
                    .enter()
                    .and_then(|()| container::children_in_new_pid_namespace())
                    .and_then(|()| command.spawn())
                    .and_then(|child| Ok((Handle::of(&child)?, child)));
                // The pipes' other ends: only the child may hold them now.
                drop(command);
                match spawned {
                    Ok((handle, child)) => {
                        let _ = sender.send(Ok((handle, child.id())));
                        let exit = attend(child, [out_thread, err_thread]);
                        raised.raise();
                        ended(exit);
                    }
                    Err(error) => drop(sender.send(Err(error))),
                }
            },
        )?;
        let (handle, pid) = receiver.recv().context("starting a container")??;
        let mut error = String::new();
        status.read_to_string(&mut error)?;
        let _ = std::fs::remove_file(&path);
        if error.is_empty() {
            let network = Arc::clone(network);
            Ok(Running { handle: Arc::new(handle), pid, ended: flag, network })
        } else {
            Err(anyhow::anyhow!(error))
        }
    }

    /// Runs a command in a container; its exit code and what it wrote.
    ///
    /// # Errors
    /// It can't be run, the container has ended, or the time is over.
    pub(crate) fn exec(
        &self,
        plan: &Plan,
        target: &Running,
        timeout: Option<Duration>,
    ) -> anyhow::Result<(i32, String)> {
        let plan = Plan { join: true, ..plan.clone() };
        let path = self.write(&plan)?;
        let mut command = self.command(&path);
        command.stdin(Stdio::from(target.handle.duplicate()?));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let (sender, receiver) = std::sync::mpsc::channel();
        let target = target.clone();
        std::thread::Builder::new().name("exec".to_owned()).stack_size(STACK).spawn(move || {
            let outcome = target
                .network
                .enter()
                .and_then(|()| target.handle.children_join())
                .and_then(|()| command.spawn())
                .and_then(|child| Ok((Handle::of(&child)?, child)));
            let _ = match outcome {
                Ok((handle, child)) => {
                    let _ = sender.send(Ok(Started::Handle(handle)));
                    sender.send(child.wait_with_output().map(Started::Done))
                }
                Err(error) => sender.send(Err(error)),
            };
        })?;
        let begun = Instant::now();
        let outcome = (|| {
            let Started::Handle(handle) = receiver.recv()?? else { anyhow::bail!("out of order") };
            let done = match timeout {
                None => receiver.recv()?,
                Some(timeout) => match receiver.recv_timeout(timeout) {
                    Ok(done) => done,
                    Err(_) => {
                        let _ = handle.kill();
                        let _ = receiver.recv();
                        anyhow::bail!("command timed out after {:?}", begun.elapsed());
                    }
                },
            };
            let Started::Done(output) = done? else { anyhow::bail!("out of order") };
            let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
            text += &String::from_utf8_lossy(&output.stderr);
            Ok((Exit::of(output.status).code, text))
        })();
        let _ = std::fs::remove_file(&path);
        outcome
    }
}

enum Started {
    Handle(Handle),
    Done(std::process::Output),
}

impl Running {
    /// Resident memory of its processes, KiB; `None` where `/proc` doesn't show them.
    pub(crate) fn memory_kib(&self) -> Option<u64> {
        memory_kib(self.pid)
    }

    /// SIGTERM; nothing where it has ended.
    pub(crate) fn terminate(&self) {
        let _ = self.handle.terminate();
    }

    /// Up when it has ended.
    pub(crate) fn ended(&self) -> &Flag {
        &self.ended
    }

    /// SIGKILL; nothing where it has ended.
    pub(crate) fn kill(&self) {
        let _ = self.handle.kill();
    }
}

fn memory_kib(pid: u32) -> Option<u64> {
    let folder = PathBuf::from(format!("/proc/{pid}"));
    let status = std::fs::read_to_string(folder.join("status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let own: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    let tasks = std::fs::read_dir(folder.join("task")).into_iter().flatten().flatten();
    let children = tasks.filter_map(|t| std::fs::read_to_string(t.path().join("children")).ok());
    let below: u64 = children
        .flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .filter_map(|child| memory_kib(child.parse().ok()?))
        .sum();
    Some(own + below)
}

/// Waits for a child, and until its output was read to the end.
fn attend(mut child: Child, readers: [JoinHandle<()>; 2]) -> Exit {
    let ended = child.wait();
    for reader in readers {
        let _ = reader.join();
    }
    ended.map_or(Exit { code: 255, signal: None, at: Timestamp::now() }, Exit::of)
}

/// A pipe, and a thread that reads it.
fn reader(stream: Stream, lines: &Lines) -> std::io::Result<(PipeWriter, JoinHandle<()>)> {
    let (from, to) = std::io::pipe()?;
    let lines = Arc::clone(lines);
    let build = std::thread::Builder::new().name("log".to_owned()).stack_size(STACK);
    Ok((to, build.spawn(move || read(stream, from, &lines))?))
}

fn read(stream: Stream, pipe: impl std::io::Read, lines: &Lines) {
    let mut pipe = BufReader::with_capacity(LINE_MAX, pipe);
    let mut line = Vec::new();
    loop {
        line.clear();
        let limit = u64::try_from(LINE_MAX).unwrap_or(u64::MAX);
        match (&mut pipe).take(limit).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                let whole = line.last() == Some(&b'\n');
                let end = line.len() - usize::from(whole);
                let goes_on = !whole && line.len() == LINE_MAX;
                lines(stream, Timestamp::now(), &String::from_utf8_lossy(&line[..end]), goes_on);
            }
        }
    }
}

/// Runs a command of the node in a pod's network, such as a CNI plugin's; what it wrote.
///
/// # Errors
/// It can't be run, or fails; the text is what it wrote.
pub(crate) fn run_in(network: &Namespace, mut command: Command) -> anyhow::Result<String> {
    let output = network.run(|| command.stdin(Stdio::null()).output())??;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    anyhow::ensure!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr).trim_end()
    );
    Ok(text)
}
