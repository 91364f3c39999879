//! One pod under the agent's care: its gate, its stand-ins, and hearing of its proxy.
//!
//! Knows no other pod and no thread.

use std::collections::VecDeque;
use std::path::Path;
use std::time::{Duration, SystemTime};

use sunup_node::life::{Action, Begin, Close, Event, Life, Look, Phase};
use sunup_node::wire::{PodName, PodStatus, PortStatus};
use sunup_node::{Decision, Mode, Pod};
use sunup_sys::gate;
use sunup_sys::listeners::{Ends, Listener, Looker};
use sunup_sys::ns::Namespace;
use sunup_sys::standin::{Address, StandIn};

/// Something that somebody should hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// What a pod got, and why: a line of the log.
    Armed {
        /// The pod.
        pod: PodName,
        /// `stand-in`, `gate` or `nothing`.
        mode: Mode,
        /// In words.
        why: String,
    },
    /// The proxy listens; what waited is its.
    HandedOver {
        /// The pod.
        pod: PodName,
        /// Port.
        port: u16,
        /// Connections.
        queued: u32,
        /// Since the first was seen to wait.
        waited: Option<Duration>,
    },
    /// Nobody came within the deadline; what waited was reset.
    Expired {
        /// The pod.
        pod: PodName,
        /// Port.
        port: u16,
        /// Connections.
        queued: u32,
    },
    /// Something could not be done.
    Trouble {
        /// The pod.
        pod: PodName,
        /// What, in words.
        what: String,
    },
}

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
    /// Cookies of stand-ins that were closed, the newest last: their ends are heard too.
    closed: VecDeque<u64>,
    said: Vec<Said>,
}

/// Ends that are told late are told within this many of the pod's own.
const CLOSED_MAX: usize = 64;

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
        let mut keep = Self {
            pod,
            sandbox,
            decision,
            namespace,
            addresses,
            posts: Vec::new(),
            looker: None,
            ends: None,
            closed: VecDeque::new(),
            said: Vec::new(),
        };
        keep.arm(running, with);
        keep
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
            let begin = match (running, self.decision.after_validation) {
                (true, _) => Begin::Running,
                (false, true) => Begin::Validation,
                (false, false) => Begin::Fresh,
            };
            let (life, actions) = Life::new(with.now, with.deadline, begin);
            let post =
                Post { address, life, stand_in: None, bound: None, handed_over: 0, expired: 0 };
            self.posts.push(post);
            self.act(self.posts.len() - 1, actions, with);
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
                    let bound = StandIn::bind(&self.namespace, address, uid, with.proc);
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

/// What the listeners of a port come to, for a stand-in of an address and user.
fn look(seen: &[Listener], address: Address, uid: Option<u32>, own: Option<u64>) -> Look {
    let mut look = Look::default();
    // Without a user of its own, a stand-in is the agent's.
    let uid = uid.unwrap_or_else(|| rustix::process::geteuid().as_raw());
    for listener in seen {
        let any = listener.ip.is_unspecified();
        // A socket for both families takes IPv4 connections too.
        let covers = listener.ip.is_ipv6() == address.ipv6
            || (any && listener.ip.is_ipv6() && !listener.one_family);
        match () {
            () if own == Some(listener.cookie) => look.queued = listener.queued,
            () if listener.takes_over(address, uid) => look.proxy = true,
            () if covers && any => look.elsewhere = true,
            () if covers => look.other = true,
            () => {}
        }
    }
    look
}

/// When the proxy's last run that has ended began.
fn proxy_run(pod: &Pod) -> Option<SystemTime> {
    let (mesh, _) = sunup_node::mesh::of(pod)?;
    let began: jiff::Timestamp = pod.last_run_began(mesh.container)?.parse().ok()?;
    Some(SystemTime::from(began))
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn who_listens_is_told_apart() {
        let at = |ip: &str, one_family, uid, cookie| Listener {
            ip: ip.parse::<IpAddr>().unwrap(),
            one_family,
            uid,
            queued: 3,
            cookie,
        };
        let v4 = Address { port: 15001, ipv6: false };
        let v6 = Address { port: 15001, ipv6: true };
        let word = |listener: Listener, address| {
            let seen = look(&[listener], address, Some(1337), Some(7));
            match seen {
                Look { proxy: true, .. } => "proxy",
                Look { elsewhere: true, .. } => "elsewhere",
                Look { other: true, .. } => "other",
                Look { queued: 3, .. } => "own",
                _ => "nobody",
            }
        };
        for (listener, address, expected) in [
            (at("0.0.0.0", true, 1337, 7), v4, "own"),
            (at("0.0.0.0", true, 1337, 8), v4, "proxy"),
            (at("0.0.0.0", true, 0, 8), v4, "elsewhere"),
            (at("127.0.0.1", true, 1337, 8), v4, "other"),
            (at("::", true, 1337, 8), v4, "nobody"),
            (at("::", false, 1337, 8), v4, "elsewhere"),
            (at("::1", true, 1337, 8), v4, "nobody"),
            (at("::", true, 1337, 8), v6, "proxy"),
            (at("::", false, 1337, 8), v6, "elsewhere"),
            (at("0.0.0.0", true, 1337, 8), v6, "nobody"),
            (at("::1", true, 1337, 8), v6, "other"),
        ] {
            assert_eq!(word(listener, address), expected, "{listener:?} {address:?}");
        }
    }
}
