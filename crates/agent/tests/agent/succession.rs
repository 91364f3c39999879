//! One agent after another: what waits is not lost where the one leaves it to the next, and every pod
//! comes up where it dies instead, whenever that is.

use std::io::{self, Read as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sunup_agent::plugin;
use sunup_agent::serve::{self, Serving};
use sunup_agent::succession::{leave, succeed};

use super::kit::*;

/// An upgrade: what waits, and who calls meanwhile, is the next agent's.
#[test]
fn what_waits_outlives_the_agent_that_held_it() {
    let Some(network) = Network::new("what_waits_outlives_the_agent…") else { return };
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("agent.sock");
    let first = start(Duration::from_secs(60), proc());
    first.agent.pod(pod(NEW));
    let serving = Serving::start(serve::bind(&socket).unwrap(), &first.agent).unwrap();
    first.add(&network);
    let (serving, before) = std::thread::scope(|scope| {
        let (mut serving, mut before) = (serving, first);
        let mut waiting = Vec::new();
        for _ in 0..runs(5) {
            let heir = scope.spawn(|| succeed(&socket).unwrap().expect("something is left"));
            waiting.push(scope.spawn(|| network.ask(Duration::from_secs(60))));
            before.wait_until("all wait", |agent| {
                agent.successors() == 1 && agent.counters().unwrap().held == waiting.len() as u64
            });
            let listener = serving.stop();
            // Somebody calls when the one doesn't answer any more, and the other not yet.
            let called = scope.spawn(|| plugin::alive(&socket));
            assert_eq!(leave(&before.agent, &listener), Some(1));
            assert_eq!(before.agent.status().unwrap().pods, []);
            drop((before, listener));
            // Nobody looks after it; who comes now waits as well.
            waiting.push(scope.spawn(|| network.ask(Duration::from_secs(60))));
            let next = start(Duration::from_secs(60), proc());
            let heir = heir.join().unwrap();
            serving = Serving::start(heir.give(&next.agent), &next.agent).unwrap();
            called.join().unwrap().unwrap();
            before = next;
        }
        let count = waiting.len() as u64;
        before.wait_until("all wait", |agent| agent.counters().unwrap().held == count);
        let stop = AtomicBool::new(false);
        let listener = network.listen(true).unwrap();
        std::thread::scope(|inner| {
            inner.spawn(|| answer(&listener, &stop));
            for client in waiting {
                assert_eq!(client.join().unwrap().unwrap(), "proxy");
            }
            before.wait_for("served");
            stop.store(true, Ordering::SeqCst);
        });
        let handed_over = before.agent.counters().unwrap().handed_over;
        assert_eq!(handed_over, count, "of its predecessors' pods, too");
        (serving, before)
    });
    assert_eq!(succeed_after(&socket, serving, before), None);
}

/// What is left to a successor where the agent is not asked to leave anything.
fn succeed_after(socket: &Path, serving: Serving, agent: Started) -> Option<usize> {
    std::thread::scope(|scope| {
        let heir = scope.spawn(|| succeed(socket));
        agent.wait_until("succeeded", |agent| agent.successors() == 1);
        drop((serving.stop(), agent));
        let _ = std::fs::remove_file(socket);
        heir.join().unwrap().ok().flatten().map(|left| left.pods())
    })
}

/// Steps of a pod's start at which an agent is killed.
#[derive(Debug, Clone, Copy)]
enum At {
    /// The plugin has called nobody.
    Call,
    /// The stand-in listens, and nobody waits.
    StoodIn,
    /// Somebody waits.
    Held,
    /// The proxy listens beside the stand-in.
    Listening,
    /// What waited was handed over.
    Served,
    /// The proxy has died.
    Died,
}

const STEPS: [At; 6] = [At::Call, At::StoodIn, At::Held, At::Listening, At::Served, At::Died];

/// An application that tries again where it is refused or reset, as any that survives its proxy's end
/// must; what it was answered, and how often it tried.
fn persistent(network: &Network) -> (io::Result<String>, u32) {
    let end = Instant::now() + Duration::from_secs(20);
    let mut tries = 0;
    loop {
        tries += 1;
        let asked = network.connect(Duration::from_secs(10)).and_then(|mut stream| {
            stream.set_read_timeout(Some(Duration::from_secs(10)))?;
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            Ok(text)
        });
        match asked {
            Ok(text) if text == "proxy" => return (Ok(text), tries),
            other if Instant::now() > end => return (other, tries),
            _ => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// A kill closes all that the agent has open, as its end without a successor does.
#[test]
fn a_pod_comes_up_whenever_its_agent_is_killed() {
    for at in STEPS.into_iter().cycle().take(STEPS.len() * runs(1)) {
        let Some(network) = Network::new("a_pod_comes_up_whenever…") else { return };
        let folder = host_proc(&[(UID, &network.path())]);
        let agent = || {
            let started = start(Duration::from_secs(60), folder.path());
            started.agent.pod(pod(NEW));
            started
        };
        let kill = |it: At, now: Started| -> Started {
            if it as u8 != at as u8 {
                return now;
            }
            drop(now);
            std::thread::sleep(Duration::from_millis(20));
            let next = agent();
            // By the pod's processes, as no plugin tells of it again.
            next.agent.adopt();
            next
        };
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let mut now = agent();
            now = kill(At::Call, now);
            if !matches!(at, At::Call) {
                now.add(&network);
            }
            now.wait_for("stood-in");
            now = kill(At::StoodIn, now);
            let client = scope.spawn(|| persistent(&network));
            now.wait_until("held", |agent| agent.counters().unwrap().held > 0);
            now = kill(At::Held, now);
            let proxy = network.listen(true).unwrap();
            now = kill(At::Listening, now);
            let serving = scope.spawn({
                let stop = &stop;
                move || answer(&proxy, stop)
            });
            let (answered, tries) = client.join().unwrap();
            assert_eq!(answered.unwrap(), "proxy", "{at:?}");
            // What waited in a stand-in that was killed before the proxy came was reset.
            let reset = matches!(at, At::Held);
            assert!(tries <= 2 + u32::from(reset) * 20, "{at:?}: {tries} tries");
            now.wait_for("served");
            now = kill(At::Served, now);
            now.wait_for("served");
            stop.store(true, Ordering::SeqCst);
            serving.join().unwrap();
            now = kill(At::Died, now);
            now.wait_for("stood-in");
            let again = scope.spawn(|| persistent(&network));
            let stop = AtomicBool::new(false);
            let proxy = network.listen(true).unwrap();
            std::thread::scope(|inner| {
                inner.spawn(|| answer(&proxy, &stop));
                assert_eq!(again.join().unwrap().0.unwrap(), "proxy", "{at:?}");
                stop.store(true, Ordering::SeqCst);
            });
        });
    }
}
