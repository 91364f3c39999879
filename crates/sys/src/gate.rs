//! The start gate alone, in a table of its own, for a pod whose capture somebody else sets; in the
//! calling thread's network namespace.

use std::time::Duration;

use rustix::io::Errno;
use sunup_capture::Ruleset;
use sunup_capture::ruleset::{NODE_TABLE, TABLE};

use crate::capture::{self, CaptureError};
use crate::netlink::NetlinkError;
use crate::nft::{self, Existing, GateState};

/// What setting it came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Set {
    /// It is in force, for IPv4 and, where the kernel has it, IPv6.
    InForce,
    /// The pod's own capture has a gate: that one alone is left.
    OwnGate,
}

/// Puts the gate in force; nothing changes where it is.
///
/// # Errors
/// See [`CaptureError`]; the namespace is then as it was.
pub fn set(ports: &[u16], dns: bool, deadline: Duration) -> Result<Set, CaptureError> {
    let mut socket = capture::open()?;
    let own = nft::existing(&mut socket, TABLE).map_err(CaptureError::Unreadable)?;
    // One whose gate was turned off has none.
    let gated = |table: &Existing| table.note.as_ref().is_none_or(|n| !n.gate_ports.is_empty());
    if own.iter().any(gated) {
        clear()?;
        return Ok(Set::OwnGate);
    }
    let mut ruleset = Ruleset::gate_alone(ports, dns, deadline);
    if !std::path::Path::new("/proc/net/if_inet6").exists() {
        ruleset.tables.truncate(1);
    }
    capture::apply_as(NODE_TABLE, &ruleset)?;
    Ok(Set::InForce)
}

/// Takes it away; whether it was there.
///
/// # Errors
/// See [`CaptureError`].
pub fn clear() -> Result<bool, CaptureError> {
    capture::clean_as(NODE_TABLE)
}

/// What it has done so far, by family; empty where it isn't set.
///
/// # Errors
/// See [`CaptureError`].
pub fn state() -> Result<Vec<GateState>, CaptureError> {
    let mut socket = capture::open()?;
    let mut read = || -> Result<Vec<GateState>, NetlinkError> {
        let mut out = Vec::new();
        for table in nft::existing(&mut socket, NODE_TABLE)? {
            let ports = table.note.as_ref().map_or(Vec::new(), |note| note.gate_ports.clone());
            match nft::gate_state(&mut socket, NODE_TABLE, table.family, &ports) {
                Ok(state) => out.extend(state),
                // Taken away meanwhile.
                Err(error) if error.errno() == Some(Errno::NOENT) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(out)
    };
    read().map_err(CaptureError::Unreadable)
}
