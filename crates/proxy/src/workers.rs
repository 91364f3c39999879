//! The worker threads: each has a runtime of its own, so that a busy worker never delays a probe.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};

use crate::accept;
use crate::metrics::Direction;
use crate::state::Shared;

/// A worker wakes up this often at least. A timer that would be the next to fire interrupts the
/// wait for sockets, which costs two calls; behind this one, those of connections are never next.
const BEAT: Duration = Duration::from_secs(5);

/// The worker threads, by the runtimes they run.
pub(crate) struct Workers {
    shared: Arc<Shared>,
    handles: Vec<Handle>,
}

impl Workers {
    /// Starts so many of them.
    ///
    /// # Errors
    /// The system is out of something.
    pub(crate) fn start(shared: &Arc<Shared>, count: usize) -> std::io::Result<Self> {
        let mut handles = Vec::with_capacity(count);
        for n in 0..count.max(1) {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            handles.push(runtime.handle().clone());
            let vital = shared.vital("a worker");
            let thread = std::thread::Builder::new().name(format!("worker-{n}"));
            thread.stack_size(512 * 1024).spawn(move || {
                let _vital = vital;
                runtime.block_on(async {
                    let mut beat = tokio::time::interval(BEAT);
                    loop {
                        beat.tick().await;
                    }
                });
            })?;
        }
        Ok(Self { shared: Arc::clone(shared), handles })
    }

    pub(crate) fn handles(&self) -> &[Handle] {
        &self.handles
    }

    /// Gives listeners to every worker; `listening` is since when clients could queue there.
    pub(crate) fn take(
        &self,
        listeners: Vec<TcpListener>,
        direction: Direction,
        listening: Duration,
    ) {
        for listener in listeners {
            for handle in &self.handles {
                let Ok(listener) = listener.try_clone() else { continue };
                let shared = Arc::clone(&self.shared);
                let _entered = handle.enter();
                let kind = accept::Kind::Captured(direction);
                handle.spawn(accept::accept(shared, listener, kind, listening));
            }
        }
    }
}
