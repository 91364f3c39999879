//! Connections to destinations that wait for the next request, by worker: an idle client holds
//! none, and a client that comes back needs no new one.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use crate::metrics::Http;

/// How long a connection waits before it is closed.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// A request that can't be sent a second time takes only connections that were in use this lately:
/// the destination closes idle ones when it likes, most after some seconds.
const FRESH: Duration = Duration::from_secs(1);
/// Connections that may wait, by worker and destination.
const WAITING_MAX: usize = 256;

/// A connection to a destination.
#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) stream: TcpStream,
    pub(super) address: SocketAddr,
    pub(super) http: Arc<Http>,
    /// It has served a request before: the destination may be closing it just now.
    pub(super) reused: bool,
}

thread_local! {
    static WAITING: RefCell<HashMap<SocketAddr, Vec<(Instant, Upstream)>>> = RefCell::default();
}

/// A connection that waits for one of these addresses, the latest used.
pub(super) fn take(addresses: &[SocketAddr], repeatable: bool) -> Option<Upstream> {
    let limit = if repeatable { IDLE_MAX } else { FRESH };
    WAITING.with_borrow_mut(|waiting| {
        addresses.iter().find_map(|address| {
            let all = waiting.get_mut(address)?;
            while let Some((since, upstream)) = all.pop() {
                if since.elapsed() > limit {
                    // The others have waited longer still.
                    all.push((since, upstream));
                    break;
                }
                if is_quiet(&upstream.stream) {
                    return Some(upstream);
                }
            }
            None
        })
    })
}

/// Lets a connection wait for the next request.
pub(super) fn put(mut upstream: Upstream) {
    upstream.reused = true;
    let first = WAITING.with_borrow_mut(|waiting| {
        let first = waiting.is_empty();
        let all = waiting.entry(upstream.address).or_default();
        if all.len() < WAITING_MAX {
            all.push((Instant::now(), upstream));
        }
        first
    });
    if first {
        tokio::spawn(sweep());
    }
}

/// Neither closed by the destination nor with bytes that nobody asked for.
fn is_quiet(stream: &TcpStream) -> bool {
    let read = stream.try_read(&mut [0; 1]);
    read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
}

/// Closes what waited too long or was closed at the other end, as long as anything waits.
async fn sweep() {
    loop {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let empty = WAITING.with_borrow_mut(|waiting| {
            waiting.retain(|_, all| {
                all.retain(|(since, upstream)| {
                    since.elapsed() < IDLE_MAX && is_quiet(&upstream.stream)
                });
                !all.is_empty()
            });
            waiting.is_empty()
        });
        if empty {
            return;
        }
    }
}
