//! One pod under the agent's care: its gate, its stand-ins, and hearing of its proxy.
//!
//! Knows no other pod and no thread.

use std::collections::VecDeque;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;
use std::time::{Duration, SystemTime};

use sunup_node::life::{Action, Begin, Close, Event, Life, Look, Phase};
use sunup_node::succession::{LeftPod, LeftPort};
use sunup_node::wire::{PodName, PodStatus, PortStatus};
use sunup_node::{Decision, Mode, Pod};
use sunup_sys::gate;
use sunup_sys::listeners::{Ends, Looker};
use sunup_sys::ns::Namespace;
use sunup_sys::standin::{Address, StandIn};

use crate::said::Said;
use crate::seen::look;

/// A port in one family.
struct Post {
    address: Address,
    life: Life,
    stand_in: Option<StandIn>,
    /// When the stand-in was bound, for comparison with what a kubelet says.
    bound: Option<SystemTime>,
    handed_over: u64,
    expired: u64,
}

/// A pod under care.
pub(crate) struct Keep {
    pub(crate) pod: PodName,
    pub(crate) sandbox: String,
    pub(crate) decision: Decision,
    namespace: Namespace,
    addresses: Vec<String>,
    posts: Vec<Post>,
    looker: Option<Looker>,
    ends: Option<Ends>,
    /// What a predecessor left of ports that are not taken up yet.
    left: Vec<(LeftPort, Option<StandIn>)>,
    /// Looks at stand-ins in which somebody waits: all but every so many are glimpses.
    looks: u16,
    /// Cookies of stand-ins that were closed, the newest last: their ends are heard too.
    closed: VecDeque<u64>,
    said: Vec<Said>,
}

/// Ends that are told late are told within this many of the pod's own.
const CLOSED_MAX: usize = 64;
/// Every so many looks at a stand-in in which somebody waits a whole one tells who else listens.
const WHOLE: u16 = 16;

/// A pod as one agent leaves it to the next.
#[derive(Debug)]
pub(crate) struct Inherited {
    pub(crate) pod: LeftPod,
    pub(crate) namespace: Namespace,
    /// Those of the pod's ports that have one, in their order.
    pub(crate) stand_ins: Vec<StandIn>,
}

/// What every pod's care needs.
pub(crate) struct With<'a> {
    pub(crate) proc: &'a Path,
    pub(crate) deadline: Duration,
    pub(crate) now: Duration,
}

impl Keep {
    /// Sets the gate and binds the stand-ins that a pod is to have.
    pub(crate) fn new(
        pod: PodName,
        sandbox: String,
        namespace: Namespace,
        addresses: Vec<String>,
        decision: Decision,
        running: bool,
        with: &With<'_>,
    ) -> Self {
        let mut keep = Self::bare(pod, sandbox, namespace, addresses, decision);
        keep.arm(running, with);
        keep
    }

    /// Goes on with what a predecessor has left.
    pub(crate) fn inherited(from: Inherited, decision: Decision, with: &With<'_>) -> Self {
        let Inherited { pod, namespace, stand_ins } = from;
        let LeftPod { name, sandbox, addresses, ports, .. } = pod;
        let mut keep = Self::bare(name, sandbox, namespace, addresses, decision);
        let mut stand_ins = stand_ins.into_iter();
        let left = ports.into_iter().map(|port| {
            let stand_in = port.stand_in.then(|| stand_ins.next()).flatten();
            (port, stand_in)
        });
        keep.left = left.collect();
        keep.arm(true, with);
        // Ports that are not stood in for any more.
        keep.left.clear();
        keep
    }

    /// What the next agent needs to go on; nothing is closed.
    pub(crate) fn leave(self) -> Inherited {
        let mut stand_ins = Vec::new();
        let ports = self.posts.into_iter().map(|post| {
            let waited = post.life.waited().map(|waited| waited.as_millis());
            let port = LeftPort {
                port: post.address.port,
                ipv6: post.address.ipv6,
                stand_in: post.stand_in.is_some(),
                before_validation: post.life.phase() == Phase::Waiting,
                waited_ms: waited.and_then(|waited| waited.try_into().ok()),
                handed_over: post.handed_over,
                expired: post.expired,
            };
            stand_ins.extend(post.stand_in);
            port
        });
        let ports = ports.collect();
        let (name, sandbox, addresses) = (self.pod, self.sandbox, self.addresses);
        let pod = LeftPod { name, sandbox, addresses, object: None, ports };
        Inherited { pod, namespace: self.namespace, stand_ins }
    }

    fn bare(
        pod: PodName,
        sandbox: String,
        namespace: Namespace,
        addresses: Vec<String>,
        decision: Decision,
    ) -> Self {
        Self {
            pod,
            sandbox,
            decision,
            namespace,
            addresses,
            posts: Vec::new(),
            looker: None,
            ends: None,
            left: Vec::new(),
            looks: 0,
            closed: VecDeque::new(),
            said: Vec::new(),
        }
    }

    /// The pod is known better, or anew, than when it was armed.
    pub(crate) fn decide_again(&mut self, decision: Decision, with: &With<'_>) {
        if decision == self.decision {
            return;
        }
        let same = decision.ports == self.decision.ports && decision.uid == self.decision.uid;
        self.decision = decision;
        if same && !self.posts.is_empty() {
            return;
        }
        self.let_go(with.now);
        // Some of its containers may run by now.
        self.arm(!self.decision.after_validation, with);
    }

    fn arm(&mut self, running: bool, with: &With<'_>) {
        let Decision { mode, ref reason, .. } = self.decision;
        let why = reason.to_string();
        self.said.push(Said::Armed { pod: self.pod.clone(), mode, why });
        let (ports, dns) = (self.decision.gate_ports.clone(), self.decision.gate_dns);
        let gate = self.namespace.run(|| match mode {
            Mode::Nothing => gate::clear().map(|_| ()),
            Mode::StandIn | Mode::Gate => gate::set(&ports, dns, with.deadline).map(|_| ()),
        });
        match gate {
            Ok(Ok(())) => {}
            // A pod that gets nothing needs no gate, and none could be there.
            _ if mode == Mode::Nothing => {}
            Ok(Err(error)) => self.trouble(format!("the gate: {error}")),
            Err(error) => return self.trouble(format!("entering the pod's network: {error}")),
        }
        if mode != Mode::StandIn {
            return;
        }
        let ports: Vec<u16> = self.decision.ports.iter().map(|port| port.number).collect();
        let watched = Looker::new(&self.namespace)
            .and_then(|looker| Ok((looker, Ends::new(&self.namespace, &ports)?)));
        match watched {
            Ok((looker, ends)) => (self.looker, self.ends) = (Some(looker), Some(ends)),
            Err(error) => return self.trouble(format!("asking who listens: {error}")),
        }
        for address in self.wanted() {
            let is =
                |(port, _): &(LeftPort, _)| port.port == address.port && port.ipv6 == address.ipv6;
            let left = self.left.iter().position(is).map(|at| self.left.remove(at));
            let (left, stand_in) = left.unwrap_or_default();
            let begin = match (running, self.decision.after_validation) {
                _ if stand_in.is_some() => Begin::Fresh,
                _ if left.before_validation => Begin::Validation,
                (true, _) => Begin::Running,
                (false, true) => Begin::Validation,
                (false, false) => Begin::Fresh,
            };
            let (life, actions) = Life::new(with.now, with.deadline, begin);
            let LeftPort { handed_over, expired, waited_ms, .. } = left;
            let post = Post { address, life, stand_in, bound: None, handed_over, expired };
            self.posts.push(post);
            let at = self.posts.len() - 1;
            self.act(at, actions, with);
            if let Some(waited) = waited_ms.map(Duration::from_millis) {
                self.posts[at].life.has_waited(waited);
            }
        }
    }

    /// Ports in the families that the pod has addresses of; IPv4 where nothing tells.
    fn wanted(&self) -> Vec<Address> {
        let has = |ipv6| self.addresses.iter().any(|ip| ip.contains(':') == ipv6);
        let mut families = vec![false; usize::from(has(false) || self.addresses.is_empty())];
        families.extend(has(true).then_some(true));
        let ports = self.decision.ports.iter();
        ports
            .flat_map(|port| families.iter().map(|ipv6| Address { port: port.number, ipv6: *ipv6 }))
            .collect()
    }

    fn act(&mut self, at: usize, actions: Vec<Action>, with: &With<'_>) {
        for action in actions {
            match action {
                Action::StandIn => {
                    let (address, uid) = (self.posts[at].address, self.decision.uid);
                    // A predecessor's.
                    let bound = match self.posts[at].stand_in.take() {
                        Some(stand_in) => Ok(stand_in),
                        None => StandIn::bind(&self.namespace, address, uid, with.proc),
                    };
                    let event = match bound {
                        Ok(stand_in) => {
                            self.posts[at].stand_in = Some(stand_in);
                            self.posts[at].bound = Some(SystemTime::now());
                            Event::Stood
                        }
                        Err(error) => Event::Failed(error.to_string()),
                    };
                    let actions = self.posts[at].life.step(with.now, event);
                    self.act(at, actions, with);
                }
                Action::Close(close) => self.close(at, close),
                Action::Tell(what) => {
                    let port = self.posts[at].address.port;
                    self.trouble(format!("no stand-in at port {port}: {what}"));
                }
            }
        }
    }

    fn close(&mut self, at: usize, close: Close) {
        let post = &mut self.posts[at];
        if let Some(stand_in) = post.stand_in.take() {
            self.closed.push_back(stand_in.cookie());
            if self.closed.len() > CLOSED_MAX {
                self.closed.pop_front();
            }
            stand_in.close();
        }
        let (pod, port) = (self.pod.clone(), post.address.port);
        match close {
            Close::HandedOver { queued, waited } => {
                post.handed_over += u64::from(queued);
                self.said.push(Said::HandedOver { pod, port, queued, waited });
            }
            Close::Expired { queued } | Close::Withdrawn { queued } => {
                post.expired += u64::from(queued);
                if queued > 0 {
                    self.said.push(Said::Expired { pod, port, queued });
                }
            }
            Close::Gone => {}
        }
    }

    /// When it wants to look next.
    pub(crate) fn look_at(&self) -> Option<Duration> {
        self.posts.iter().filter_map(|post| post.life.look_at()).min()
    }

    /// Looks wherever it is time.
    pub(crate) fn look(&mut self, with: &With<'_>) {
        for at in 0..self.posts.len() {
            let due = self.posts[at].life.look_at().is_some_and(|due| due <= with.now);
            if !due {
                continue;
            }
            if let Some(queued) = self.glimpse(at) {
                let look = Look { queued, ..Look::default() };
                let actions = self.posts[at].life.step(with.now, Event::Looked(look));
                self.act(at, actions, with);
                continue;
            }
            let Some(looker) = &mut self.looker else { return };
            let address = self.posts[at].address;
            let seen = match looker.look(address.port) {
                Ok(seen) => seen,
                // The next look may do.
                Err(error) => {
                    let what = format!("asking who listens: {error}");
                    self.trouble(what);
                    Vec::new()
                }
            };
            let own = self.posts[at].stand_in.as_ref().map(StandIn::cookie);
            let look = look(&seen, address, self.decision.uid, own);
            let actions = self.posts[at].life.step(with.now, Event::Looked(look));
            self.act(at, actions, with);
        }
    }

    /// How many wait in a stand-in's queue, where nothing more needs to be known of its port this time.
    fn glimpse(&mut self, at: usize) -> Option<u32> {
        self.looks = self.looks.wrapping_add(1);
        let post = &self.posts[at];
        let often = post.life.waited().is_some() && !self.looks.is_multiple_of(WHOLE);
        let own = post.stand_in.as_ref().filter(|_| often)?.cookie();
        // What goes wrong is told by the whole look.
        self.looker.as_mut()?.glimpse(post.address, own, self.looks).ok().flatten()
    }

    /// Stand-ins whose queues are to be listened to, by their place.
    pub(crate) fn queues(&self) -> impl Iterator<Item = (usize, BorrowedFd<'_>)> {
        let posts = self.posts.iter().enumerate();
        let heard = posts.filter(|(_, post)| post.life.hears_of_waiting());
        heard.filter_map(|(at, post)| Some((at, post.stand_in.as_ref()?.as_fd())))
    }

    /// Somebody waits in a stand-in's queue.
    pub(crate) fn waits(&mut self, at: usize, with: &With<'_>) {
        if let Some(post) = self.posts.get_mut(at) {
            let actions = post.life.step(with.now, Event::Waits);
            self.act(at, actions, with);
        }
    }

    /// What is to be waited for, beside time.
    pub(crate) fn ends(&self) -> Option<&Ends> {
        self.ends.as_ref()
    }

    /// Listeners have ended.
    pub(crate) fn hear(&mut self, with: &With<'_>) {
        let Some(heard) = self.ends.as_ref().map(Ends::read) else { return };
        let heard = match heard {
            Ok(heard) => heard,
            Err(error) => {
                self.trouble(format!("hearing of listeners' ends: {error}"));
                self.ends = None;
                None
            }
        };
        for at in 0..self.posts.len() {
            let post = &self.posts[at];
            let of_port = |end: &&sunup_sys::listeners::End| end.port == post.address.port;
            let ended = match &heard {
                // Some were missed.
                None => true,
                Some(ends) => ends.iter().filter(of_port).any(|end| !self.was_ours(end.cookie)),
            };
            if ended {
                let actions = self.posts[at].life.step(with.now, Event::Ended);
                self.act(at, actions, with);
            }
        }
    }

    fn was_ours(&self, cookie: u64) -> bool {
        self.closed.contains(&cookie)
    }

    /// What an API server says of the pod since.
    pub(crate) fn told(&mut self, pod: &Pod, with: &With<'_>) {
        let over = pod.init_is_over("istio-validation");
        let failed = proxy_run(pod);
        for at in 0..self.posts.len() {
            let post = &self.posts[at];
            // A run that began and ended while nothing but the stand-in listened.
            let alone = post.life.phase() == Phase::StoodIn
                && post.bound.zip(failed).is_some_and(|(bound, began)| began > bound);
            let event = match (over, alone) {
                (true, _) if post.life.phase() == Phase::Waiting => Event::ValidationOver,
                (_, true) => Event::ProxyFailed,
                _ => continue,
            };
            let actions = self.posts[at].life.step(with.now, event);
            self.act(at, actions, with);
        }
    }

    /// Closes what is open; what waits is moved where somebody of the group listens.
    pub(crate) fn let_go(&mut self, now: Duration) {
        for at in 0..self.posts.len() {
            let actions = self.posts[at].life.step(now, Event::Gone);
            for action in actions {
                if let Action::Close(close) = action {
                    self.close(at, close);
                }
            }
        }
        self.posts.clear();
        (self.looker, self.ends) = (None, None);
    }

    pub(crate) fn said(&mut self) -> Vec<Said> {
        std::mem::take(&mut self.said)
    }

    fn trouble(&mut self, what: String) {
        self.said.push(Said::Trouble { pod: self.pod.clone(), what });
    }

    pub(crate) fn status(&self) -> PodStatus {
        let dropped = self.namespace.run(gate::state).ok().and_then(Result::ok);
        let dropped = dropped.unwrap_or_default().iter().map(|gate| gate.held).sum();
        PodStatus {
            pod: self.pod.clone(),
            mode: self.decision.mode.word().to_owned(),
            reason: self.decision.reason.word().to_owned(),
            why: self.decision.reason.to_string(),
            ports: self.posts.iter().map(Post::status).collect(),
            refusals_dropped: dropped,
        }
    }

    /// Connections that wait now.
    pub(crate) fn held(&self) -> u64 {
        self.posts.iter().map(|post| u64::from(post.life.queued())).sum()
    }
}

impl Post {
    fn status(&self) -> PortStatus {
        PortStatus {
            port: self.address.port,
            ipv6: self.address.ipv6,
            phase: self.life.phase().word().to_owned(),
            held: self.life.queued(),
            handed_over: self.handed_over,
            expired: self.expired,
        }
    }
}

/// When the proxy's last run that has ended began.
fn proxy_run(pod: &Pod) -> Option<SystemTime> {
    let (mesh, _) = sunup_node::mesh::of(pod)?;
    let began: jiff::Timestamp = pod.last_run_began(mesh.container)?.parse().ok()?;
    Some(SystemTime::from(began))
}
