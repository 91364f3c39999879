//! Clients that hold a connection and ask for nothing, or keep what they asked for waiting: at the limit on connections the one that has
//! been idle for longest makes room for a newcomer.
//!
//! A request costs a client two stores; only who is at the limit looks at all of them, and then
//! remembers the idlest for those who come next.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use crate::metrics::lock;

/// How many of the idlest are remembered.
const REMEMBERED: usize = 64;

/// The clients that can be asked to make room.
#[derive(Debug)]
pub(crate) struct Clients {
    begun: Instant,
    all: Mutex<All>,
}

#[derive(Debug, Default)]
struct All {
    clients: Vec<Arc<Client>>,
    /// The idlest when they were looked for last, and since when they were idle.
    idlest: VecDeque<(u64, Arc<Client>)>,
}

#[derive(Debug, Default)]
struct Client {
    /// Since when it asks for nothing or is waited for, in microseconds; 0 while something is done
    /// for it.
    since: AtomicU64,
    /// Its place was given away.
    leaves: AtomicBool,
    waker: Mutex<Option<Waker>>,
    /// There is a waker.
    minded: AtomicBool,
    /// Where it stands among all.
    at: AtomicUsize,
}

impl Default for Clients {
    fn default() -> Self {
        Self { begun: Instant::now(), all: Mutex::default() }
    }
}

impl Clients {
    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX).max(1)
    }

    /// A client that has just come, and asks for nothing yet.
    pub(crate) fn enter(self: &Arc<Self>) -> Guest {
        let client = Arc::new(Client::default());
        client.since.store(self.now(), Ordering::Relaxed);
        let mut all = lock(&self.all);
        client.at.store(all.clients.len(), Ordering::Relaxed);
        all.clients.push(Arc::clone(&client));
        drop(all);
        Guest { clients: Arc::clone(self), client }
    }

    /// Sends the idlest client away; `false` where nobody is idle.
    pub(crate) fn make_room(&self) -> bool {
        let mut all = lock(&self.all);
        loop {
            if all.idlest.is_empty() {
                all.look();
                if all.idlest.is_empty() {
                    return false;
                }
            }
            while let Some((since, client)) = all.idlest.pop_front() {
                // It may have asked for something since, or be gone.
                let still = client.since.load(Ordering::Relaxed) == since;
                if still && !client.leaves.swap(true, Ordering::Relaxed) {
                    if let Some(waker) = lock(&client.waker).take() {
                        waker.wake();
                    }
                    return true;
                }
            }
        }
    }
}

impl All {
    fn look(&mut self) {
        let idle = self.clients.iter().filter_map(|client| {
            let since = client.since.load(Ordering::Relaxed);
            let idle = since > 0 && !client.leaves.load(Ordering::Relaxed);
            idle.then_some((since, client))
        });
        let mut idle: Vec<(u64, &Arc<Client>)> = idle.collect();
        if idle.len() > REMEMBERED {
            idle.select_nth_unstable_by_key(REMEMBERED, |(since, _)| *since);
            idle.truncate(REMEMBERED);
        }
        idle.sort_unstable_by_key(|(since, _)| *since);
        self.idlest = idle.into_iter().map(|(since, client)| (since, Arc::clone(client))).collect();
    }
}

/// A client, for as long as its connection lasts.
#[derive(Debug)]
pub(crate) struct Guest {
    clients: Arc<Clients>,
    client: Arc<Client>,
}

impl Guest {
    /// Something is done for it: it can't be sent away.
    pub(crate) fn busy(&self) {
        self.client.since.store(0, Ordering::Relaxed);
    }

    /// It keeps its request, or what it asked for, waiting. Nothing new where it did before.
    pub(crate) fn waited_for(&self) {
        if self.is_busy() {
            self.idle();
        }
    }

    /// Whether something is done for it.
    pub(crate) fn is_busy(&self) -> bool {
        self.client.since.load(Ordering::Relaxed) == 0
    }

    /// It asks for nothing.
    pub(crate) fn idle(&self) {
        self.client.since.store(self.clients.now(), Ordering::Relaxed);
    }

    /// Whether its place was given away; where not, the task is woken when it is: always the same
    /// one, that of its connection.
    pub(crate) fn leaves(&self, cx: &Context<'_>) -> bool {
        if self.client.leaves.load(Ordering::Relaxed) {
            // Given away in the very moment in which it asked for something: served all the same.
            return !self.is_busy();
        }
        if self.client.minded.load(Ordering::Relaxed) {
            return false;
        }
        *lock(&self.client.waker) = Some(cx.waker().clone());
        self.client.minded.store(true, Ordering::Relaxed);
        // Asked again behind the waker: whoever asked before found none.
        self.client.leaves.load(Ordering::Relaxed) && !self.is_busy()
    }

    /// What comes of work that is done before a client has asked for anything; `None` where its
    /// place was given away meanwhile.
    pub(crate) async fn unless_sent_away<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if self.leaves(cx) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut all = lock(&self.clients.all);
        let at = self.client.at.load(Ordering::Relaxed);
        all.clients.swap_remove(at);
        if let Some(moved) = all.clients.get(at) {
            moved.at.store(at, Ordering::Relaxed);
        }
        // Nobody takes it for one that is still there.
        self.client.leaves.store(true, Ordering::Relaxed);
        self.client.since.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_idlest_goes_and_who_is_busy_stays() {
        let clients = Arc::new(Clients::default());
        let guests: Vec<Guest> = (0..200).map(|_| clients.enter()).collect();
        for (n, guest) in guests.iter().enumerate() {
            // Idle in the order of their numbers, every tenth busy.
            guest.client.since.store(1000 + n as u64, Ordering::Relaxed);
            if n % 10 == 0 {
                guest.busy();
            }
        }
        // One of those that will be remembered asks for something before its turn.
        let gone = |n: usize| guests[n].client.leaves.load(Ordering::Relaxed);
        assert!(clients.make_room() && gone(1) && !gone(2));
        guests[2].busy();
        guests[2].idle();
        assert!(clients.make_room() && !gone(2) && gone(3));
        let mut sent_away = 2;
        while clients.make_room() {
            sent_away += 1;
        }
        assert_eq!(sent_away, 180);
        assert!((0..200).all(|n| gone(n) == (n % 10 != 0)));
        drop(guests);
        assert!(!clients.make_room());
        assert!(lock(&clients.all).clients.is_empty());
    }

    #[test]
    fn those_who_leave_by_themselves_leave_the_others_in_place() {
        let clients = Arc::new(Clients::default());
        let mut guests: Vec<Guest> = (0..50).map(|_| clients.enter()).collect();
        for n in [0, 47, 20, 3, 10] {
            guests.remove(n);
        }
        for (n, client) in lock(&clients.all).clients.iter().enumerate() {
            assert_eq!(client.at.load(Ordering::Relaxed), n);
        }
        assert_eq!(lock(&clients.all).clients.len(), 45);
    }
}
