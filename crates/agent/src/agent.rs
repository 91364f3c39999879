//! The thread that owns every stand-in: takes messages, hears of listeners' ends, looks where it is
//! time. One thread is enough: nothing it does waits.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use sunup_node::version::Known;
use sunup_node::wire::{PodName, Reply, Status};
use sunup_node::{Decision, Host, Pod, decide};
use sunup_sys::ns::Namespace;

use crate::find;
use crate::keep::{Inherited, Keep, With};
use crate::metrics::Counters;
use crate::said::Said;
use crate::store::Pods;

/// How long an ADD waits for the API server to tell of the pod: the plugin waits for 200 ms.
const TOLD_WITHIN: Duration = Duration::from_millis(120);
/// How long somebody who asks waits for the agent's thread.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);
/// How often processes are searched for pods that no plugin told of.
const SEARCH: Duration = Duration::from_secs(1);
/// After how long one that was not found is searched for again.
const SEARCH_AGAIN: Duration = Duration::from_secs(60);

/// Successors that may wait.
const SUCCESSORS_MAX: usize = 4;

/// What an agent is started with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the host's `/proc` is.
    pub proc: PathBuf,
    /// From the first connection that waits to the end of waiting; zero means never.
    pub deadline: Duration,
    /// What decides beside the pod.
    pub host: Host,
}

enum Message {
    Add {
        sandbox: String,
        pod: PodName,
        found: Option<Box<Pod>>,
        addresses: Vec<String>,
        namespace: Namespace,
        reply: SyncSender<Reply>,
    },
    Del(String),
    Gc(Vec<String>),
    Changed(Box<Pod>),
    Gone(String),
    Learn(Known),
    Inherit(Box<Inherited>),
    Leave(SyncSender<(Known, Vec<Inherited>)>),
    Known(SyncSender<Vec<PodName>>),
    Status(SyncSender<Status>),
    Count(SyncSender<Counters>),
    End,
}

/// A running agent; dropping it closes every stand-in.
#[derive(Debug)]
pub struct Agent {
    sender: Mutex<Sender<Message>>,
    wake: OwnedFd,
    pods: Pods,
    /// Which namespace is the node's own.
    host: Option<(u64, u64)>,
    proc: PathBuf,
    searched: Mutex<Searched>,
    /// Agents that wait for this one's end, the first first.
    successors: Mutex<Vec<UnixStream>>,
    thread: Option<JoinHandle<()>>,
}

/// When processes were searched, and for which pods in vain.
#[derive(Debug, Default)]
struct Searched {
    last: Option<Instant>,
    missed: BTreeMap<String, Instant>,
}

/// What hears of what happens.
pub type Hear = Box<dyn Fn(&Said) + Send>;

impl Agent {
    /// Starts it.
    ///
    /// # Errors
    /// No descriptor or thread can be had.
    pub fn start(settings: Settings, hear: Hear) -> io::Result<Arc<Self>> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let wake = eventfd(0, flags)?;
        let (sender, inbox) = channel();
        let proc = settings.proc.clone();
        let host = Namespace::at(&proc.join("1/ns/net")).and_then(|ns| ns.identity()).ok();
        let keeper = Keeper {
            settings,
            begun: Instant::now(),
            inbox,
            wake: wake.try_clone()?,
            keeps: BTreeMap::new(),
            next: 0,
            counters: Counters::default(),
            hear,
        };
        let build = std::thread::Builder::new().name("keeper".to_owned()).stack_size(256 * 1024);
        let thread = build.spawn(move || keeper.run())?;
        Ok(Arc::new(Self {
            sender: Mutex::new(sender),
            wake,
            pods: Pods::default(),
            host,
            proc,
            searched: Mutex::default(),
            successors: Mutex::default(),
            thread: Some(thread),
        }))
    }

    fn send(&self, message: Message) {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        if sender.send(message).is_ok() {
            // A full counter wakes as well.
            let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
        }
    }

    fn ask<T>(&self, message: impl FnOnce(SyncSender<T>) -> Message) -> Option<T> {
        let (reply, answer) = sync_channel(1);
        self.send(message(reply));
        answer.recv_timeout(ANSWERED_WITHIN).ok()
    }

    /// A pod's network is there, and its containers are not. Comes back once it is armed.
    ///
    /// # Errors
    /// The namespace is none of a pod's own.
    pub fn add(
        &self,
        sandbox: &str,
        pod: PodName,
        addresses: Vec<String>,
        namespace: File,
    ) -> io::Result<Reply> {
        let namespace = Namespace::of(namespace);
        if self.host.is_some() && namespace.identity().ok() == self.host {
            return Err(io::Error::other("this is the node's own network"));
        }
        let found = self.pods.find(&pod, TOLD_WITHIN).map(Box::new);
        let sandbox = sandbox.to_owned();
        let armed =
            self.ask(|reply| Message::Add { sandbox, pod, found, addresses, namespace, reply });
        armed.ok_or_else(|| io::ErrorKind::TimedOut.into())
    }

    /// Where the host's `/proc` is.
    pub(crate) fn proc(&self) -> &Path {
        &self.proc
    }

    /// A sandbox goes.
    pub fn del(&self, sandbox: &str) {
        self.send(Message::Del(sandbox.to_owned()));
    }

    /// These sandboxes are all that there are.
    pub fn gc(&self, valid: Vec<String>) {
        self.send(Message::Gc(valid));
    }

    /// The API server tells of a pod of this node.
    pub fn pod(&self, pod: Pod) {
        self.pods.put(pod.clone());
        self.send(Message::Changed(Box::new(pod)));
    }

    /// The API server tells that a pod has gone.
    pub fn pod_gone(&self, uid: &str) {
        self.pods.remove(uid);
        self.send(Message::Gone(uid.to_owned()));
    }

    /// More is known of proxies' versions: what was decided is decided again.
    pub fn learn(&self, known: Known) {
        self.send(Message::Learn(known));
        for pod in self.pods.all() {
            self.send(Message::Changed(Box::new(pod)));
        }
    }

    /// An agent waits for this one's end.
    pub(crate) fn succeeded_by(&self, successor: UnixStream) {
        let mut all = self.successors.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() == SUCCESSORS_MAX {
            all.remove(0);
        }
        all.push(successor);
    }

    /// How many agents wait for this one's end.
    #[must_use]
    pub fn successors(&self) -> usize {
        self.successors.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The agent that has waited longest.
    pub(crate) fn successor(&self) -> Option<UnixStream> {
        let mut all = self.successors.lock().unwrap_or_else(PoisonError::into_inner);
        (!all.is_empty()).then(|| all.remove(0))
    }

    /// Gives away every pod, with all that is open.
    pub(crate) fn leave(&self) -> Option<(Known, Vec<Inherited>)> {
        let (known, mut pods) = self.ask(Message::Leave)?;
        for left in &mut pods {
            left.pod.object = self.pods.find(&left.pod.name, Duration::ZERO);
        }
        Some((known, pods))
    }

    /// Goes on with a pod that another agent has left.
    pub(crate) fn inherit(&self, pod: Inherited) {
        if let Some(object) = &pod.pod.object {
            self.pods.put(object.clone());
        }
        self.send(Message::Inherit(Box::new(pod)));
    }

    /// Arms pods that run and of which no plugin has told: those that ran before the agent did.
    pub fn adopt(&self) {
        let searched = &mut *self.searched.lock().unwrap_or_else(PoisonError::into_inner);
        if searched.last.is_some_and(|at| at.elapsed() < SEARCH) {
            return;
        }
        searched.last = Some(Instant::now());
        searched.missed.retain(|_, at| at.elapsed() < SEARCH_AGAIN);
        let known = self.ask(Message::Known).unwrap_or_default();
        let unknown = |pod: &Pod| {
            let running = pod.status.phase == "Running" && !pod.spec.host_network;
            let uid = &pod.metadata.uid;
            let missed = searched.missed.contains_key(uid);
            running && !missed && !known.iter().any(|name| pod.is(name))
        };
        let pods: Vec<Pod> = self.pods.all().into_iter().filter(unknown).collect();
        if pods.is_empty() {
            return;
        }
        let namespaces = find::namespaces(&self.proc);
        for pod in pods {
            let meta = &pod.metadata;
            let path = pod.uids().find_map(|uid| namespaces.get(uid));
            let Some(file) = path.and_then(|path| File::open(path).ok()) else {
                searched.missed.insert(meta.uid.clone(), Instant::now());
                continue;
            };
            let addresses = pod.status.pod_ips.iter().map(|address| address.ip.clone()).collect();
            // One that ended meanwhile, or shares the node's network, is none of ours.
            if self.add("", pod.name(), addresses, file).is_err() {
                searched.missed.insert(meta.uid.clone(), Instant::now());
            }
        }
    }

    /// What it does about each pod.
    #[must_use]
    pub fn status(&self) -> Option<Status> {
        self.ask(Message::Status)
    }

    /// What it counts.
    #[must_use]
    pub fn counters(&self) -> Option<Counters> {
        self.ask(Message::Count)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.send(Message::End);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What the agent's thread was woken by.
#[derive(Debug, Default)]
struct Heard {
    /// Pods of which a listener has ended.
    ends: Vec<u64>,
    /// Pods and places of stand-ins in which somebody waits.
    waits: Vec<(u64, usize)>,
}

struct Keeper {
    settings: Settings,
    begun: Instant,
    inbox: Receiver<Message>,
    wake: OwnedFd,
    keeps: BTreeMap<u64, Keep>,
    next: u64,
    counters: Counters,
    hear: Hear,
}

impl Keeper {
    fn run(mut self) {
        loop {
            let Heard { ends, waits } = self.wait();
            while let Ok(message) = self.inbox.try_recv() {
                if matches!(message, Message::End) {
                    return self.end();
                }
                self.take(message);
            }
            let with = with(&self.settings, self.begun.elapsed());
            for (id, at) in waits {
                if let Some(keep) = self.keeps.get_mut(&id) {
                    keep.waits(at, &with);
                }
            }
            for (id, keep) in &mut self.keeps {
                if ends.contains(id) {
                    keep.hear(&with);
                }
                keep.look(&with);
            }
            self.tell();
        }
    }

    /// Waits for a message, an end, a connection that waits, or the time of a look.
    fn wait(&self) -> Heard {
        let next = self.keeps.values().filter_map(Keep::look_at).min();
        let left = next.map(|at| at.saturating_sub(self.begun.elapsed()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        let ends = self.keeps.iter().filter_map(|(id, keep)| Some((*id, keep.ends()?.as_fd())));
        let ends: Vec<(u64, BorrowedFd<'_>)> = ends.collect();
        let queues = self
            .keeps
            .iter()
            .flat_map(|(id, keep)| keep.queues().map(move |(at, queue)| ((*id, at), queue)));
        let queues: Vec<((u64, usize), BorrowedFd<'_>)> = queues.collect();
        let all = ends.iter().map(|(_, fd)| *fd).chain(queues.iter().map(|(_, fd)| *fd));
        let mut fds: Vec<PollFd<'_>> = all
            .chain([self.wake.as_fd()])
            .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
            .collect();
        if poll(&mut fds, left.as_ref()).is_err() {
            return Heard::default();
        }
        let told = |fd: &PollFd<'_>| !fd.revents().is_empty();
        if fds.last().is_some_and(told) {
            let _ = rustix::io::read(&self.wake, &mut [0; 8]);
        }
        let (of_ends, rest) = fds.split_at(ends.len());
        let of_ends = of_ends.iter().zip(&ends).filter(|(fd, _)| told(fd));
        let of_queues = rest.iter().zip(&queues).filter(|(fd, _)| told(fd));
        Heard {
            ends: of_ends.map(|(_, (id, _))| *id).collect(),
            waits: of_queues.map(|(_, (id, _))| *id).collect(),
        }
    }

    fn take(&mut self, message: Message) {
        let now = self.begun.elapsed();
        match message {
            Message::Add { sandbox, pod, found, addresses, namespace, reply } => {
                let begun = Instant::now();
                let of_pod = |keep: &Keep| !pod.uid.is_empty() && keep.pod.uid == pod.uid;
                // Pods that were found by their processes have no sandbox's name.
                let same = |keep: &Keep| !sandbox.is_empty() && keep.sandbox == sandbox;
                self.drop_keeps(now, |keep| of_pod(keep) || same(keep));
                let decision = match &found {
                    Some(found) => decide(found, &self.settings.host),
                    None => Decision::unknown_pod(),
                };
                let answer = Reply {
                    mode: decision.mode.word().to_owned(),
                    why: decision.reason.to_string(),
                };
                // No plugin has told of it: it ran before.
                let running = sandbox.is_empty();
                let with = with(&self.settings, now);
                let keep = Keep::new(pod, sandbox, namespace, addresses, decision, running, &with);
                self.keeps.insert(self.next, keep);
                self.next += 1;
                if !running {
                    *self.counters.calls.entry("add").or_default() += 1;
                    self.counters.adds.add(begun.elapsed());
                }
                // Who asked may be gone.
                let _ = reply.try_send(answer);
            }
            Message::Del(sandbox) => {
                *self.counters.calls.entry("del").or_default() += 1;
                self.drop_keeps(now, |keep| keep.sandbox == sandbox && !sandbox.is_empty());
            }
            Message::Gc(valid) => {
                *self.counters.calls.entry("gc").or_default() += 1;
                let of_cni = |keep: &Keep| !keep.sandbox.is_empty();
                self.drop_keeps(now, |keep| of_cni(keep) && !valid.contains(&keep.sandbox));
            }
            Message::Changed(pod) => {
                let with = with(&self.settings, now);
                for keep in self.keeps.values_mut().filter(|keep| pod.is(&keep.pod)) {
                    keep.decide_again(decide(&pod, &self.settings.host), &with);
                    keep.told(&pod, &with);
                }
            }
            Message::Learn(known) => self.settings.host.known = known,
            Message::Inherit(left) => {
                let decision = match &left.pod.object {
                    Some(object) => decide(object, &self.settings.host),
                    None => Decision::unknown_pod(),
                };
                let with = with(&self.settings, now);
                self.keeps.insert(self.next, Keep::inherited(*left, decision, &with));
                self.next += 1;
            }
            Message::Leave(reply) => {
                let pods = std::mem::take(&mut self.keeps).into_values().map(Keep::leave);
                let left = (self.settings.host.known.clone(), pods.collect());
                // Who doesn't wait any more has none: what was open is closed.
                let _ = reply.try_send(left);
            }
            Message::Gone(uid) => self.drop_keeps(now, |keep| keep.pod.uid == uid),
            Message::Known(reply) => {
                let _ = reply.try_send(self.keeps.values().map(|keep| keep.pod.clone()).collect());
            }
            Message::Status(reply) => {
                let _ = reply.try_send(self.status());
            }
            Message::Count(reply) => {
                let _ = reply.try_send(self.count());
            }
            Message::End => {}
        }
    }

    fn drop_keeps(&mut self, now: Duration, which: impl Fn(&Keep) -> bool) {
        let gone: Vec<u64> =
            self.keeps.iter().filter(|(_, keep)| which(keep)).map(|(id, _)| *id).collect();
        for id in gone {
            if let Some(mut keep) = self.keeps.remove(&id) {
                keep.let_go(now);
            }
        }
    }

    fn tell(&mut self) {
        for keep in self.keeps.values_mut() {
            for said in keep.said() {
                match &said {
                    Said::HandedOver { queued, waited, .. } => {
                        self.counters.handed_over += u64::from(*queued);
                        if let Some(waited) = waited {
                            self.counters.waits.add(*waited);
                        }
                    }
                    Said::Expired { queued, .. } => self.counters.expired += u64::from(*queued),
                    Said::Trouble { .. } => self.counters.troubles += 1,
                    Said::Armed { .. } => {}
                }
                (self.hear)(&said);
            }
        }
    }

    fn status(&self) -> Status {
        let mut pods: Vec<_> = self.keeps.values().map(Keep::status).collect();
        pods.sort();
        Status {
            schema: sunup_api::node::STATUS.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            kernel: self.settings.host.kernel.clone(),
            pods,
        }
    }

    fn count(&self) -> Counters {
        let mut counters = self.counters.clone();
        for keep in self.keeps.values() {
            let key = (keep.decision.mode.word(), keep.decision.reason.word());
            *counters.pods.entry(key).or_default() += 1;
            counters.held += keep.held();
        }
        counters
    }

    fn end(mut self) {
        let now = self.begun.elapsed();
        self.drop_keeps(now, |_| true);
    }
}

fn with(settings: &Settings, now: Duration) -> With<'_> {
    With { proc: &settings.proc, deadline: settings.deadline, now }
}
