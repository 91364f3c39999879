//! The agent as a plugin of a runtime that speaks NRI: one of this test's own, which says what
//! containerd says, in its order, and starts no container before it is answered.

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sunup_agent::{nri, plugin};
use sunup_node::nri::{
    Fields, Message, OF_PLUGIN, OF_RUNTIME, REQUEST, RESPONSE, RUN, STOP, framed, next, put_bytes,
    put_number, request,
};

use super::kit::*;

const PLUGIN: &str = "nri.pkg.api.v1alpha1.Plugin";

/// A runtime's side of a connection.
struct Runtime {
    stream: UnixStream,
    of: [Vec<u8>; 2],
    stream_id: u32,
}

impl Runtime {
    fn accept(listener: &UnixListener) -> Self {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        Self { stream, of: [Vec::new(), Vec::new()], stream_id: 1 }
    }

    /// The next message on a connection.
    fn hear(&mut self, on: u32) -> Message {
        loop {
            let at = on as usize - 1;
            if let Some(message) = next(&mut self.of[at]).unwrap() {
                return message;
            }
            let mut head = [0; 8];
            self.stream.read_exact(&mut head).unwrap();
            let to = u32::from_be_bytes(head[..4].try_into().unwrap());
            let length = u32::from_be_bytes(head[4..].try_into().unwrap());
            let mut payload = vec![0; length as usize];
            self.stream.read_exact(&mut payload).unwrap();
            self.of[to as usize - 1].extend(payload);
        }
    }

    fn call(&mut self, method: &str, payload: &[u8]) -> Vec<u8> {
        let stream = self.stream_id;
        self.stream_id += 2;
        let call = request(OF_PLUGIN, stream, (PLUGIN, method), payload);
        self.stream.write_all(&call).unwrap();
        let answer = self.hear(OF_PLUGIN);
        assert_eq!((answer.stream, answer.kind), (stream, RESPONSE));
        assert_eq!(Fields(&answer.body).bytes(1), None, "refused");
        Fields(&answer.body).bytes(2).unwrap_or_default().to_vec()
    }

    /// Registration, configuration, and what runs already, in containerd's order.
    fn begin(&mut self) {
        let register = self.hear(OF_RUNTIME);
        assert_eq!(register.kind, REQUEST);
        let asked = Fields(&register.body);
        assert_eq!(asked.text(2), "RegisterPlugin");
        assert_eq!(Fields(asked.bytes(3).unwrap()).text(1), "sunup-node");
        let taken = framed(OF_RUNTIME, register.stream, RESPONSE, &[0x12, 0]);
        self.stream.write_all(&taken).unwrap();
        let mut about = Vec::new();
        put_bytes(&mut about, 2, b"containerd");
        put_bytes(&mut about, 3, b"v2.0.0");
        let events = self.call("Configure", &about);
        assert_eq!(Fields(&events).number(2), Some(0b111));
        self.call("Synchronize", &[]);
    }

    fn change(&mut self, event: u64, pid: u64) {
        let mut pod = Vec::new();
        for (field, text) in [(1, "sandbox"), (2, "a"), (3, UID), (4, "shop")] {
            put_bytes(&mut pod, field, text.as_bytes());
        }
        put_number(&mut pod, 9, pid);
        put_bytes(&mut pod, 10, b"10.0.0.2");
        let mut payload = Vec::new();
        put_number(&mut payload, 1, event);
        put_bytes(&mut payload, 2, &pod);
        self.call("StateChange", &payload);
    }
}

#[test]
fn a_runtime_that_speaks_nri_tells_of_pods_before_their_containers_start() {
    let Some(network) = Network::new("a_runtime_that_speaks_nri…") else { return };
    // The sandbox's first process is 123 there.
    let folder = host_proc(&[(UID, &network.path())]);
    let socket = folder.path().join("nri.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let started = start(Duration::from_secs(60), folder.path());
    started.agent.pod(pod(NEW));
    let agent = Arc::clone(&started.agent);
    let attending = std::thread::spawn(move || nri::attend(&socket, &agent));
    let mut runtime = Runtime::accept(&listener);
    runtime.begin();
    runtime.change(RUN, 123);
    assert_eq!(started.phase(), "stood-in", "armed once it is answered");
    let early = network.connect(Duration::from_millis(500)).unwrap();
    runtime.change(STOP, 0);
    started.wait_until("forgotten", |agent| agent.status().unwrap().pods.is_empty());
    drop(early);
    // A pod whose process has gone holds nothing up.
    let begun = Instant::now();
    runtime.change(RUN, 999);
    assert!(begun.elapsed() < plugin::WITHIN + Duration::from_millis(150));
    assert_eq!(started.agent.status().unwrap().pods, []);
    // The runtime ends: whoever attended it tries again.
    drop(runtime);
    assert!(attending.join().unwrap().is_err());
}
