//! Being told of pods by a runtime that speaks NRI, instead of by a network plugin. Holds no pod up: the
//! runtime gets its answer within [`plugin::WITHIN`], whatever becomes of the pod's arming.

use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use sunup_node::nri::{Sandbox, Session, Told};

use crate::agent::Agent;
use crate::plugin;

/// By which the runtime knows the plugin.
const NAME: &str = "sunup-node";
/// Its place among others, which change containers; it changes none.
const INDEX: &str = "90";

/// Answers a runtime for as long as it listens.
///
/// # Errors
/// It can't be reached or has ended, or says what is no NRI.
pub fn attend(socket: &Path, agent: &Arc<Agent>) -> io::Result<Infallible> {
    let mut stream = UnixStream::connect(socket)?;
    let (mut session, hello) = Session::new(NAME, INDEX);
    stream.write_all(&hello)?;
    let mut buffer = [0; 16 * 1024];
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for call in session.take(&buffer[..count]).map_err(io::Error::other)? {
            match call.told {
                Some(Told::Run(sandbox)) => arm(agent, sandbox),
                Some(Told::Gone(sandbox)) => agent.del(&sandbox),
                None => {}
            }
            stream.write_all(&call.answer)?;
        }
    }
}

/// Arms a pod; waits no longer than a plugin would.
fn arm(agent: &Arc<Agent>, sandbox: Sandbox) {
    let (done, armed) = sync_channel(1);
    let agent = Arc::clone(agent);
    let arm = move || {
        let Sandbox { id, pod, pid, addresses } = sandbox;
        let network = File::open(agent.proc().join(format!("{pid}/ns/net")));
        // What has ended, or is the node's own, gets nothing; the log of its pod says what came of it.
        let _ = network.and_then(|network| agent.add(&id, pod, addresses, network));
        let _ = done.try_send(());
    };
    let build = std::thread::Builder::new().name("call".to_owned()).stack_size(128 * 1024);
    if build.spawn(arm).is_ok() {
        let _ = armed.recv_timeout(plugin::WITHIN);
    }
}
