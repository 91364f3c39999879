//! A pod and its outside world as two network namespaces joined by virtual Ethernet, with a
//! listener on every port of interest that says who it is and where the caller wanted to go.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use socket2::{Domain, Protocol as Proto, Socket, Type};
use sunup_sys::ns::Namespace;
use sunup_sys::route;

/// Where everything arrives that leaves the pod.
const CATCH_ALL: u16 = 9999;
const PATIENCE: Duration = Duration::from_millis(200);
/// How long a datagram that arrived may take to be answered.
const ANSWER: Duration = Duration::from_millis(25);

/// Where datagrams arrived, by what they say: the answer alone may get lost on its way back.
static ARRIVED: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());
static NEXT: AtomicU64 = AtomicU64::new(0);

/// Who may be in the namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Powers {
    /// Any uid.
    Root,
    /// One uid, shown as 0: owner rules and setuid don't work.
    SingleUid,
}

/// Runs a test body where network namespaces can be made: here, or in this very program started
/// again as the root of a user namespace.
pub(crate) fn with_namespaces(test: &str, body: impl FnOnce(Powers)) {
    const INSIDE: &str = "SUNUP_TEST_IN_USER_NAMESPACE";
    if std::env::var_os(INSIDE).is_some() {
        return body(Powers::SingleUid);
    }
    if Namespace::try_new().is_some() {
        return body(Powers::Root);
    }
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args([test, "--exact", "--nocapture"]).env(INSIDE, "1").stdin(Stdio::null());
    sunup_sys::ns::in_user_namespace(&mut again);
    let outcome = again.output().ok();
    let what = "network namespaces (root, or user.max_user_namespaces above zero)";
    let Some(output) = sunup_testkit::require(test, what, outcome) else { return };
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    eprintln!("{said}");
    assert!(output.status.success(), "{}{said}", String::from_utf8_lossy(&output.stdout));
}

/// Feeds text to a program in the calling thread's namespace.
pub(crate) fn feed(program: &str, args: &[&str], input: &str) -> Result<(), String> {
    let path = sunup_testkit::program(program).ok_or_else(|| format!("no {program}"))?;
    let mut child = Command::new(path)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| e.to_string())?;
    child.stdin.take().unwrap().write_all(input.as_bytes()).map_err(|e| e.to_string())?;
    let output = child.wait_with_output().map_err(|e| e.to_string())?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("{program}: {}\n{input}", String::from_utf8_lossy(&output.stderr)))
    }
}

/// The pod's address on its n-th interface.
pub(crate) fn pod_address(interface: u8, ipv6: bool) -> IpAddr {
    address(interface, 2, ipv6)
}

fn address(interface: u8, host: u8, ipv6: bool) -> IpAddr {
    if ipv6 {
        let (net, host) = (u16::from(interface), u16::from(host));
        IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, net, 0, 0, 0, host))
    } else {
        IpAddr::V4(Ipv4Addr::new(10, 0, interface, host))
    }
}

/// A range outside the pod that the outside world routes through the pod's n-th interface.
pub(crate) fn beyond(interface: u8, ipv6: bool) -> IpAddr {
    if ipv6 {
        IpAddr::V6(Ipv6Addr::new(0xfd99, 0, 0, u16::from(interface), 0, 0, 0, 7))
    } else {
        IpAddr::V4(Ipv4Addr::new(198, 51, 100 + interface, 7))
    }
}

pub(crate) struct World {
    pub(crate) pod: Namespace,
    pub(crate) outside: Namespace,
    pub(crate) interfaces: Vec<String>,
}

impl World {
    /// A pod with these interfaces, the first with the default route.
    pub(crate) fn new(interfaces: &[&str]) -> Self {
        let (pod, outside) = (Namespace::new().unwrap(), Namespace::new().unwrap());
        let names: Vec<String> = interfaces.iter().map(|name| (*name).to_owned()).collect();
        let prefix = |ipv6| if ipv6 { 64 } else { 24 };
        outside.run(without_duplicate_detection).unwrap();
        let net = |ip: IpAddr| ipnet::IpNet::new(ip, prefix(ip.is_ipv6())).unwrap();
        pod.run(|| {
            set("net/ipv4/conf/all/rp_filter", "0");
            set("net/ipv4/conf/default/rp_filter", "0");
            without_duplicate_detection();
            for (n, name) in (0u8..).zip(&names) {
                route::veth(name, &format!("out{n}"), outside.fd()).unwrap();
                set(&format!("net/ipv4/conf/{name}/rp_filter"), "0");
                for ipv6 in [false, true] {
                    route::add_address(name, net(address(n, 2, ipv6))).unwrap();
                }
                route::link_up(name).unwrap();
            }
        })
        .unwrap();
        let count = u8::try_from(names.len()).unwrap();
        outside
            .run(|| {
                set("net/ipv4/conf/all/rp_filter", "0");
                for n in 0..count {
                    let name = format!("out{n}");
                    set(&format!("net/ipv4/conf/{name}/rp_filter"), "0");
                    for ipv6 in [false, true] {
                        route::add_address(&name, net(address(n, 1, ipv6))).unwrap();
                    }
                    route::link_up(&name).unwrap();
                    for ipv6 in [false, true] {
                        route::add_route(net(beyond(n, ipv6)), address(n, 2, ipv6)).unwrap();
                    }
                }
                const MAIN: u32 = 254;
                for (ipv6, program) in [(false, "iptables-restore"), (true, "ip6tables-restore")] {
                    // Every address in the world is here.
                    route::add_local_route(ipv6, MAIN).unwrap();
                    let to = format!("-j REDIRECT --to-ports {CATCH_ALL}");
                    let rules = ["tcp", "udp"].map(|p| format!("-A PREROUTING -p {p} {to}\n"));
                    feed(program, &[], &format!("*nat\n{}COMMIT\n", rules.concat())).unwrap();
                }
            })
            .unwrap();
        pod.run(|| {
            for ipv6 in [false, true] {
                let all = ipnet::IpNet::new(
                    if ipv6 {
                        IpAddr::V6(Ipv6Addr::UNSPECIFIED)
                    } else {
                        IpAddr::V4(Ipv4Addr::UNSPECIFIED)
                    },
                    0,
                );
                route::add_route(all.unwrap(), address(0, 1, ipv6)).unwrap();
            }
        })
        .unwrap();
        Self { pod, outside, interfaces: names }
    }
}

/// IPv6 addresses are usable at once, not after a second.
fn without_duplicate_detection() {
    for which in ["all", "default"] {
        set(&format!("net/ipv6/conf/{which}/accept_dad"), "0");
        set(&format!("net/ipv6/conf/{which}/dad_transmits"), "0");
    }
}

fn set(name: &str, value: &str) {
    // Sysctls that are read-only here have the kernel's defaults, which do as well.
    let _ = std::fs::write(format!("/proc/sys/{name}"), value);
}

/// Sockets that answer, on a thread of their own in a namespace.
pub(crate) struct Servers {
    stop: Arc<AtomicBool>,
    wake: OwnedFd,
    thread: Option<JoinHandle<()>>,
}

impl Servers {
    /// TCP and UDP listeners on every address, IPv4 and IPv6 alike.
    pub(crate) fn start(
        namespace: &Namespace,
        name: &'static str,
        owner: Owner,
        tcp: &[u16],
        udp: &[u16],
    ) -> Self {
        let sockets = namespace
            .run(|| {
                let tcp =
                    tcp.iter().map(|port| (*port, listen(*port).unwrap())).collect::<Vec<_>>();
                let udp = udp.iter().map(|port| (*port, bind_udp(*port, owner).unwrap()));
                (tcp, udp.collect::<Vec<_>>())
            })
            .unwrap();
        let (wake, woken) = rustix::pipe::pipe().map(|(r, w)| (w, r)).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread =
            std::thread::spawn(move || serve(name, &sockets.0, &sockets.1, &woken, &stopped));
        Self { stop, wake, thread: Some(thread) }
    }

    /// The catch-all of the outside world.
    pub(crate) fn outside(world: &World) -> Self {
        Self::start(&world.outside, "outside", Owner::default(), &[CATCH_ALL], &[CATCH_ALL])
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = rustix::io::write(&self.wake, b"x");
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

pub(crate) fn listen(port: u16) -> std::io::Result<Socket> {
    let socket = Socket::new(Domain::IPV6, Type::STREAM, Some(Proto::TCP))?;
    socket.set_only_v6(false)?;
    socket.set_reuse_address(true)?;
    // For TPROXY; without the privilege the test of it is skipped anyway.
    socket.set_ip_transparent_v4(true)?;
    socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)).into())?;
    socket.listen(128)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn bind_udp(port: u16, owner: Owner) -> std::io::Result<UdpSocket> {
    let bind = || UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port));
    let socket = as_owner(owner.uid, owner.gid, bind)?;
    if let Some(mark) = owner.mark {
        sunup_sys::socket::set_mark(&socket, mark)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn serve(
    name: &str,
    tcp: &[(u16, Socket)],
    udp: &[(u16, UdpSocket)],
    woken: &OwnedFd,
    stop: &AtomicBool,
) {
    while !stop.load(Ordering::SeqCst) {
        let fds = tcp.iter().map(|(_, s)| s.as_fd()).chain(udp.iter().map(|(_, s)| s.as_fd()));
        let mut fds: Vec<PollFd<'_>> = fds
            .chain([woken.as_fd()])
            .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
            .collect();
        if poll(&mut fds, None).is_err() {
            continue;
        }
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        for (n, (port, listener)) in tcp.iter().enumerate().filter(|(n, _)| ready[*n]) {
            let _ = n;
            if let Ok((stream, _)) = listener.accept() {
                answer(name, *port, stream);
            }
        }
        for (n, (port, socket)) in udp.iter().enumerate() {
            let mut buffer = [0; 64];
            if ready[tcp.len() + n]
                && let Ok((length, from)) = socket.recv_from(&mut buffer)
            {
                let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                ARRIVED.lock().unwrap().insert(text, format!("{name}:{port}"));
                let _ = socket.send_to(b"!", from);
            }
        }
    }
}

/// Who we are, where the caller wanted to go, and from where it seems to come.
pub(crate) fn answer(name: &str, port: u16, stream: Socket) {
    let _ = stream.set_nonblocking(false);
    let local = stream.local_addr().ok().and_then(|a| a.as_socket());
    let mapped = local.is_some_and(|a| a.ip().to_canonical().is_ipv4());
    let original = if mapped { stream.original_dst_v4() } else { stream.original_dst_v6() };
    let wanted = original.ok().and_then(|a| a.as_socket()).or(local);
    let wanted = wanted.map_or(String::new(), |a| canonical(a).to_string());
    let peer = stream.peer_addr().ok().and_then(|a| a.as_socket());
    let peer = peer.map_or(String::new(), |a| a.ip().to_canonical().to_string());
    let mut stream = TcpStream::from(stream);
    let _ = stream.write_all(format!("{name}:{port} for {wanted} from {peer}").as_bytes());
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Whose a socket is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mark: Option<u32>,
}

/// One connection attempt or datagram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Probe {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mark: Option<u32>,
    pub(crate) udp: bool,
    pub(crate) from: Option<IpAddr>,
    pub(crate) to: SocketAddr,
}

impl Probe {
    pub(crate) fn tcp(to: SocketAddr) -> Self {
        Self { uid: 0, gid: 0, mark: None, udp: false, from: None, to }
    }

    /// Sends it from the calling thread's namespace; in words, where it arrived.
    pub(crate) fn send(&self) -> String {
        match self.try_send() {
            Ok(answer) => answer,
            Err(error) => match error.raw_os_error() {
                Some(libc::ECONNREFUSED) => "refused".into(),
                Some(libc::ETIMEDOUT | libc::EAGAIN | libc::EINPROGRESS) => "silence".into(),
                _ if error.kind() == std::io::ErrorKind::TimedOut => "silence".into(),
                _ => format!("error: {error}"),
            },
        }
    }

    fn try_send(&self) -> std::io::Result<String> {
        let domain = Domain::for_address(self.to);
        let socket = as_owner(self.uid, self.gid, || {
            if self.udp {
                Socket::new(domain, Type::DGRAM, Some(Proto::UDP))
            } else {
                Socket::new(domain, Type::STREAM, Some(Proto::TCP))
            }
        })?;
        if let Some(mark) = self.mark {
            socket.set_mark(mark)?;
        }
        if let Some(from) = self.from {
            socket.bind(&SocketAddr::new(from, 0).into())?;
        }
        socket.set_read_timeout(Some(PATIENCE))?;
        let mut text = String::new();
        if self.udp {
            socket.connect(&self.to.into())?;
            let word = NEXT.fetch_add(1, Ordering::SeqCst).to_string();
            socket.send(word.as_bytes())?;
            return datagram_outcome(&UdpSocket::from(socket), &word);
        } else {
            socket.connect_timeout(&self.to.into(), PATIENCE)?;
            TcpStream::from(socket).read_to_string(&mut text)?;
        }
        Ok(text)
    }
}

/// Where a datagram arrived and whether the answer came back.
fn datagram_outcome(socket: &UdpSocket, word: &str) -> std::io::Result<String> {
    socket.set_read_timeout(Some(ANSWER))?;
    let mut buffer = [0; 64];
    let start = std::time::Instant::now();
    loop {
        let answered = match socket.recv(&mut buffer) {
            Ok(_) => true,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => false,
            Err(error) => return Err(error),
        };
        if let Some(place) = ARRIVED.lock().unwrap().remove(word) {
            let answer = if answered { "answered" } else { "unanswered" };
            return Ok(format!("{place} {answer}"));
        }
        if start.elapsed() > PATIENCE {
            return Err(std::io::ErrorKind::TimedOut.into());
        }
    }
}

/// Runs with the file-system uid and gid of another user, on this thread alone: what the kernel
/// takes for the owner of a socket made meanwhile.
#[expect(unsafe_code, reason = "setfsuid and setfsgid have no safe form in our dependencies")]
pub(crate) fn as_owner<T>(uid: u32, gid: u32, work: impl FnOnce() -> T) -> T {
    // SAFETY: both calls take and return plain numbers and change only this thread's identity
    // for file access; they are reversed below.
    let before = unsafe { (libc::setfsgid(gid), libc::setfsuid(uid)) };
    let out = work();
    // SAFETY: as above.
    unsafe {
        libc::setfsuid(u32::try_from(before.1).unwrap_or(0));
        libc::setfsgid(u32::try_from(before.0).unwrap_or(0));
    }
    out
}
