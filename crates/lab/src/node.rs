//! The lab's one node: its network, to which each pod's is joined by a virtual cable, the
//! addresses and Services in it, ConfigMaps and Secrets.
//!
//! Pods are reached by routes over the node, as with most CNI plugins in a cloud; a Service's
//! cluster address is destination NAT on the node, to the first ready pod behind it (`dnat` as
//! kube-proxy's, without balancing), and answers nothing else, so that a Service without ready
//! pods refuses connections as in a cluster. Names are answered by a DNS server of the lab.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use serde_json::Value;
use sunup_sys::ns::Namespace;
use sunup_sys::services::{self, Forward};
use sunup_sys::{host, route};

use crate::dns;
use crate::image::Images;
use crate::kubelet::order::BackOffTimes;
use crate::manifest::{Metadata, Object, Pod, PodName, Port, Service};
use crate::process::Starter;

/// The node.
pub(crate) const NODE: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 1);
/// The DNS server.
pub(crate) const DNS: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);
/// The node's name.
pub const NODE_NAME: &str = "lab-node";
/// The socket mark by which capture knows the proxy where its uid can't be had.
pub(crate) const MARK: u32 = 1337;

/// What a lab is made with.
#[derive(Debug, Clone)]
pub struct Options {
    /// The `sunup` program.
    pub program: PathBuf,
    /// Program and arguments that lead to [`crate::become_container`].
    pub helper: Vec<OsString>,
    /// A directory of the lab's own, for volumes; removed by whoever made it.
    pub state: PathBuf,
    /// Images.
    pub images: Images,
    /// Delays of containers that end again and again.
    pub back_off: BackOffTimes,
    /// For names and other random choices.
    pub seed: u64,
    /// Who is told of pods' networks, last of all plugins.
    pub plugin: Option<Arc<dyn Plugin>>,
}

/// A network plugin of the node's: a chained one, which can't fail a pod.
pub trait Plugin: std::fmt::Debug + Send + Sync {
    /// A pod's network is there, and none of its containers has started.
    fn added(&self, pod: &Value, address: Ipv4Addr, network: std::fs::File);
    /// A pod of this uid has gone.
    fn gone(&self, uid: &str);
}

/// Numbers that look random and are the same for the same seed.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// From a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed ^ 0x9e37_79b9_7f4a_7c15)
    }

    /// The next one (SplitMix64).
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below a bound, which is at least 1.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.number() % bound.max(1)
    }
}

/// The node and all that pods share.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) options: Options,
    pub(crate) network: Arc<Namespace>,
    pub(crate) starter: Starter,
    /// Whether processes can have other users than the lab's own.
    pub(crate) any_user: bool,
    shared: Mutex<Shared>,
    names: Arc<Mutex<dns::Names>>,
}

#[derive(Debug)]
struct Shared {
    random: Random,
    next: u32,
    cluster_ips: u32,
    services: Vec<Service>,
    objects: Vec<Value>,
    data: BTreeMap<(bool, String, String), BTreeMap<String, Vec<u8>>>,
    endpoints: BTreeMap<PodName, Endpoint>,
    forwards: BTreeSet<Forward>,
    outside: BTreeMap<String, Vec<Ipv4Addr>>,
}

/// A pod as Services see it.
#[derive(Debug, Clone)]
struct Endpoint {
    ip: Ipv4Addr,
    metadata: Metadata,
    ports: Vec<(String, u16)>,
    ready: bool,
}

/// A pod's network and addresses.
#[derive(Debug)]
pub(crate) struct Sandbox {
    pub(crate) network: Arc<Namespace>,
    pub(crate) ip: Ipv4Addr,
}

impl Node {
    /// # Errors
    /// No privilege to make network namespaces; see [`crate::enter`].
    pub(crate) fn start(options: Options) -> anyhow::Result<Self> {
        let network = Arc::new(Namespace::new().context("making the node's network")?);
        let plans = options.state.join("plans");
        std::fs::create_dir_all(&plans)?;
        std::fs::create_dir_all(options.state.join("root"))?;
        network.run(|| -> anyhow::Result<()> {
            std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").context(
                "letting the node forward packets: /proc/sys can't be written here, as in a \
                 container without privileges; run the lab outside of it",
            )?;
            for ip in [NODE, DNS] {
                route::add_address("lo", net(ip))?;
            }
            Ok(())
        })??;
        let names = Arc::new(Mutex::new(dns::Names::default()));
        dns::start(&network, DNS, Arc::clone(&names)).context("the lab's DNS server")?;
        let shared = Shared {
            random: Random::new(options.seed),
            next: 1,
            cluster_ips: 0,
            services: Vec::new(),
            objects: Vec::new(),
            data: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            forwards: BTreeSet::new(),
            outside: BTreeMap::new(),
        };
        let starter = Starter::new(options.helper.clone(), plans);
        let any_user = host::uid_exists(1337) && may_be_anybody();
        let shared = Mutex::new(shared);
        Ok(Self { options, network, starter, any_user, shared, names })
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn random(&self) -> u64 {
        self.lock().random.number()
    }

    pub(crate) fn uid(&self) -> String {
        crate::manifest::uid(&mut || self.random())
    }

    /// Takes an object that is no pod: Services get an address and a name at once.
    pub(crate) fn apply(&self, object: Object) -> anyhow::Result<()> {
        let mut shared = self.lock();
        match object {
            Object::Data { secret, namespace, name, data } => {
                shared.data.insert((secret, namespace, name), data);
            }
            Object::Service(mut service, mut raw) => {
                let known = |s: &Service| {
                    s.metadata.name == service.metadata.name
                        && s.metadata.namespace == service.metadata.namespace
                };
                shared.services.retain(|s| !known(s));
                if service.spec.cluster_ip.is_none() {
                    shared.cluster_ips += 1;
                    let [high, low] = u16::try_from(shared.cluster_ips)?.to_be_bytes();
                    let ip = Ipv4Addr::new(10, 96, 16 + high, low).to_string();
                    service.spec.cluster_ip = Some(ip);
                }
                if let Some(ip) = cluster_ip(&service) {
                    self.network.run(|| route::add_address("lo", net(ip)))??;
                }
                raw["spec"]["clusterIP"] = service.spec.cluster_ip.clone().into();
                shared.objects.push(raw);
                shared.services.push(*service);
                drop(shared);
                self.settle()?;
            }
            Object::Other(raw) => shared.objects.push(raw),
            Object::Pod(_) | Object::Workload(_) => anyhow::bail!("pods are run, not applied"),
        }
        Ok(())
    }

    /// Services and other objects, as a cluster would show them.
    pub(crate) fn objects(&self) -> Vec<Value> {
        self.lock().objects.clone()
    }

    /// A name outside of the cluster.
    pub(crate) fn name(&self, name: &str, ip: Ipv4Addr) {
        self.lock().outside.entry(name.to_owned()).or_default().push(ip);
        let _ = self.settle();
    }

    /// A ConfigMap's or Secret's data.
    pub(crate) fn data(
        &self,
        secret: bool,
        namespace: &str,
        name: &str,
    ) -> Option<BTreeMap<String, Vec<u8>>> {
        self.lock().data.get(&(secret, namespace.to_owned(), name.to_owned())).cloned()
    }

    /// A network for a pod, with an address of its own and perhaps one that was asked for.
    pub(crate) fn sandbox(&self, pod: &Pod, wanted: Option<Ipv4Addr>) -> anyhow::Result<Sandbox> {
        if pod.spec.host_network {
            return Ok(Sandbox { network: Arc::clone(&self.network), ip: NODE });
        }
        let number = {
            let mut shared = self.lock();
            shared.next += 1;
            shared.next
        };
        let [_, _, high, low] = number.to_be_bytes();
        let ip = wanted.unwrap_or(Ipv4Addr::new(10, 244, high, low));
        let network = Arc::new(Namespace::new().context("making the pod's network")?);
        let cable = format!("pod{number}");
        network.run(|| -> anyhow::Result<()> {
            route::veth("eth0", &cable, self.network.fd())?;
            route::add_address("eth0", net(ip))?;
            route::link_up("eth0")?;
            Ok(())
        })??;
        self.network.run(|| -> anyhow::Result<()> {
            route::link_up(&cable)?;
            route::add_link_route(net(ip), &cable)?;
            Ok(())
        })??;
        network.run(|| -> anyhow::Result<()> {
            route::add_link_route(net(NODE), "eth0")?;
            let all = ipnet::Ipv4Net::new(Ipv4Addr::UNSPECIFIED, 0)?;
            route::add_route(all.into(), NODE.into())?;
            Ok(())
        })??;
        Ok(Sandbox { network, ip })
    }

    /// Tells Services of a pod, or that it takes requests or takes none any more.
    pub(crate) fn endpoint(&self, name: &PodName, pod: &Pod, ip: Ipv4Addr, ready: bool) {
        let ports = pod.spec.containers.iter().flat_map(|c| &c.ports);
        let ports = ports.filter_map(|p| Some((p.name.clone()?, p.container_port))).collect();
        let metadata = pod.metadata.clone();
        self.lock().endpoints.insert(name.clone(), Endpoint { ip, metadata, ports, ready });
        // A kernel that can't do it has said so when the Service was applied.
        let _ = self.settle();
    }

    pub(crate) fn forget(&self, name: &PodName) {
        self.lock().endpoints.remove(name);
        let _ = self.settle();
    }

    /// Brings NAT and names into line with Services and pods.
    fn settle(&self) -> anyhow::Result<()> {
        let mut shared = self.lock();
        let mut forwards = BTreeSet::new();
        let mut names = dns::Names::default();
        for (name, ips) in &shared.outside {
            names.add(name, ips);
        }
        for service in &shared.services {
            let behind: Vec<&Endpoint> =
                shared.endpoints.values().filter(|e| e.ready && selects(service, e)).collect();
            let name = &service.metadata;
            let host = format!("{}.{}.svc.cluster.local", name.name, name.namespace);
            let Some(ip) = cluster_ip(service) else {
                names.add(&host, &behind.iter().map(|e| e.ip).collect::<Vec<_>>());
                continue;
            };
            names.add(&host, &[ip]);
            let Some(first) = behind.first() else { continue };
            for port in &service.spec.ports {
                let Some(target) = target(port.target_port.as_ref(), port.port, first) else {
                    continue;
                };
                forwards.insert(Forward {
                    udp: port.protocol.as_deref() == Some("UDP"),
                    service: SocketAddrV4::new(ip, port.port),
                    endpoint: SocketAddrV4::new(first.ip, target),
                });
            }
        }
        *self.names.lock().unwrap_or_else(PoisonError::into_inner) = names;
        if shared.forwards != forwards {
            let list: Vec<Forward> = forwards.iter().copied().collect();
            self.network
                .run(|| services::replace(&list))?
                .context("Services: this kernel has no nf_tables with NAT")?;
            shared.forwards = forwards;
        }
        Ok(())
    }

    /// A directory of a pod's own.
    pub(crate) fn directory(&self, pod: &PodName) -> anyhow::Result<PathBuf> {
        let path = self.options.state.join("pods").join(&pod.uid);
        std::fs::create_dir_all(&path)?;
        Ok(path)
    }

    pub(crate) fn root(&self) -> PathBuf {
        Path::new(&self.options.state).join("root")
    }
}

/// Whether this process may take any user's place.
fn may_be_anybody() -> bool {
    // In a user namespace with one id, other ids are missing; outside, root has them all.
    std::fs::read_to_string("/proc/self/setgroups").map_or(true, |text| text.trim() != "deny")
}

fn net(ip: Ipv4Addr) -> ipnet::IpNet {
    ipnet::IpNet::new(ip.into(), 32).expect("32 bits are an IPv4 address")
}

fn cluster_ip(service: &Service) -> Option<Ipv4Addr> {
    service.spec.cluster_ip.as_deref()?.parse().ok()
}

fn selects(service: &Service, endpoint: &Endpoint) -> bool {
    let selector = &service.spec.selector;
    !selector.is_empty()
        && service.metadata.namespace == endpoint.metadata.namespace
        && selector.iter().all(|(k, v)| endpoint.metadata.labels.get(k) == Some(v))
}

fn target(port: Option<&Port>, same: u16, endpoint: &Endpoint) -> Option<u16> {
    match port {
        None => Some(same),
        Some(Port::Number(number)) => Some(*number),
        Some(Port::Name(name)) => {
            endpoint.ports.iter().find(|(known, _)| known == name).map(|(_, port)| *port)
        }
    }
}
