//! Two replicas behind one address, either of which ends or is killed while pods are created.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt as _;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

use super::cluster::{Cluster, PATIENCE, with_cluster};
use super::life::{ISTIO_REV, deploy, injected, manifests, pods};
use super::server::{Server, pod, ready_at, start_in};

/// How often a replica is asked whether it is ready.
const PERIOD: Duration = Duration::from_millis(50);

/// What a Service is to API servers: new connections go to replicas that are ready, in turn; those
/// that are open stay where they are.
struct Service {
    port: u16,
    /// Where each replica takes reviews, and where it says whether it is ready.
    replicas: Arc<Mutex<Vec<(u16, u16)>>>,
}

impl Service {
    async fn new() -> Service {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let replicas: Arc<Mutex<Vec<(u16, u16)>>> = Arc::default();
        let ready: Arc<Mutex<Vec<u16>>> = Arc::default();
        let (all, now) = (Arc::clone(&replicas), Arc::clone(&ready));
        tokio::spawn(async move {
            loop {
                let known = all.lock().unwrap().clone();
                let mut answering = Vec::new();
                for (port, health) in known {
                    if ready_at(health).await {
                        answering.push(port);
                    }
                }
                *now.lock().unwrap() = answering;
                tokio::time::sleep(PERIOD).await;
            }
        });
        tokio::spawn(async move {
            let turn = AtomicUsize::new(0);
            while let Ok((mut from, _)) = listener.accept().await {
                let ready = ready.lock().unwrap().clone();
                if ready.is_empty() {
                    continue;
                }
                let port = ready[turn.fetch_add(1, Ordering::Relaxed) % ready.len()];
                tokio::spawn(async move {
                    let Ok(mut to) = TcpStream::connect(("127.0.0.1", port)).await else { return };
                    let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
                });
            }
        });
        Service { port, replicas }
    }

    fn lead_to(&self, servers: &[Server]) {
        *self.replicas.lock().unwrap() = servers.iter().map(|s| (s.port, s.health)).collect();
    }
}

/// Two replicas of one authority, their Service, and a namespace that asks for them.
struct World {
    cluster: Cluster,
    servers: Vec<Server>,
    service: Service,
    configurations: Vec<Value>,
    space: String,
    home: String,
}

impl World {
    async fn new(cluster: Cluster) -> World {
        let home = cluster.namespace("home", json!({})).await;
        let revision = format!("r-{}", cluster.id);
        let service = Service::new().await;
        let name = format!("zz-sunup-{}", cluster.id);
        let url = format!("https://localhost:{}", service.port);
        let configurations = manifests(&url, &name, &revision);
        let space = cluster.namespace("shop", json!({ISTIO_REV: revision})).await;
        let mut world =
            World { cluster, servers: Vec::new(), service, configurations, space, home };
        for _ in 0..2 {
            world.servers.push(world.replica().await);
        }
        world.service.lead_to(&world.servers);
        world.cluster.configure(&world.configurations).await;
        let ready = |got: &Result<Value, kube::Error>| got.as_ref().is_ok_and(injected);
        world.cluster.until(&world.space, &pod(json!({})), ready).await.unwrap();
        world
    }

    async fn replica(&self) -> Server {
        let name = self.configurations[0]["metadata"]["name"].as_str().unwrap();
        let revision = format!("--revision=r-{}", self.cluster.id);
        start_in(&self.cluster, &self.home, name, 0, &[&revision]).await
    }

    /// Waits for that many pods.
    async fn until(&self, count: usize) {
        let pods = self.cluster.pods(&self.space);
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            let found = pods.list_metadata(&Default::default()).await.unwrap().items.len();
            if found >= count {
                return;
            }
            assert!(tokio::time::Instant::now() < end, "{found} of {count} pods");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Puts a new replica into the place of one that has ended.
    async fn replace(&mut self, which: usize) {
        self.servers[which] = self.replica().await;
        self.service.lead_to(&self.servers);
    }

    async fn end(self) {
        self.cluster.forget(&self.configurations).await;
    }
}

#[test]
fn either_replica_ends_while_pods_are_created_and_no_review_fails() {
    let test = "either_replica_ends_while_pods_are_created_and_no_review_fails";
    with_cluster(test, async |cluster| {
        let mut world = World::new(cluster).await;
        for which in 0..2 {
            let made = AtomicUsize::new(0);
            let ended = AtomicUsize::new(0);
            let (cluster, space) = (&world.cluster, &world.space);
            let create = async |i: usize| {
                let mut one = pod(json!({}));
                one["metadata"]["name"] = format!("web-{which}-{i}").into();
                // Beyond the five hundred it is only asked what would become of it.
                let pod = cluster.create(space, &one, i >= 500).await.expect("no review fails");
                assert!(injected(&pod));
                made.fetch_add(1, Ordering::Relaxed);
            };
            // As long as the replica is there: what it closes at its end is seen, too.
            let until_gone = |i: &usize| {
                let go_on = *i < 500 || ended.load(Ordering::Relaxed) == 0;
                std::future::ready(go_on)
            };
            let creations = futures::stream::iter(0..)
                .take_while(until_gone)
                .map(create)
                .buffer_unordered(8)
                .for_each(async |()| {});
            let server = &mut world.servers[which];
            let ending = async {
                while made.load(Ordering::Relaxed) < 50 {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                server.terminate();
                let status = tokio::time::timeout(PATIENCE, server.child.wait()).await.unwrap();
                assert!(status.unwrap().success());
                ended.store(1, Ordering::Relaxed);
            };
            tokio::join!(creations, ending);
            assert!(made.load(Ordering::Relaxed) >= 500);
            world.replace(which).await;
        }
        world.end().await;
    });
}

#[test]
fn either_replica_is_killed_while_a_deployments_pods_are_created_and_none_is_missing() {
    let test = "either_replica_is_killed_while_a_deployments_pods_are_created_and_none_is_missing";
    with_cluster(test, async |cluster| {
        let mut world = World::new(cluster).await;
        for which in 0..2 {
            let count = 120 * (which + 1);
            deploy(&world.cluster, &world.space, &format!("web-{which}"), 120).await;
            world.until(count - 80).await;
            // What is under review then is lost, and no API server asks again (it repeats only
            // what reads): a pod is made again by its ReplicaSet.
            world.servers[which].child.kill().await.unwrap();
            world.until(count).await;
            for pod in pods(&world.cluster, &world.space, count).await {
                assert!(injected(&pod));
            }
            world.replace(which).await;
        }
        world.end().await;
    });
}
