//! Memory for what is read of strangers before it is known what it is. Where it runs out, whoever
//! holds most gives up its largest piece: small requests come through beside any number of large
//! ones that are never finished.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// So many bytes at a time, for all together.
#[derive(Debug, Clone)]
pub struct Budget {
    limit: usize,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    used: usize,
    next: u64,
    held: HashMap<u64, Held>,
}

#[derive(Debug)]
struct Held {
    peer: IpAddr,
    bytes: usize,
    word: Arc<Notify>,
}

/// It holds most, and others need room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GivenUp;

impl Budget {
    /// `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, state: Arc::default() }
    }

    /// Room for one body, empty at first.
    #[must_use]
    pub fn share(&self, peer: IpAddr) -> Share {
        let mut state = self.lock();
        state.next += 1;
        let (id, word) = (state.next, Arc::new(Notify::new()));
        state.held.insert(id, Held { peer, bytes: 0, word: Arc::clone(&word) });
        drop(state);
        Share { budget: self.clone(), id, word }
    }

    /// Bytes that are held.
    #[must_use]
    pub fn used(&self) -> usize {
        self.lock().used
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The largest piece of whoever holds most.
    fn largest(&self) -> Option<u64> {
        let mut by_peer: HashMap<IpAddr, usize> = HashMap::new();
        for held in self.held.values() {
            *by_peer.entry(held.peer).or_default() += held.bytes;
        }
        let (peer, _) = by_peer.into_iter().max_by_key(|(_, bytes)| *bytes)?;
        let of_peer = self.held.iter().filter(|(_, held)| held.peer == peer);
        // Among equals the older: it had its time.
        let most = of_peer.max_by_key(|(id, held)| (held.bytes, std::cmp::Reverse(**id)));
        most.map(|(id, _)| *id)
    }

    fn give_up(&mut self, id: u64) {
        if let Some(held) = self.held.remove(&id) {
            self.used -= held.bytes;
            held.word.notify_one();
        }
    }
}

/// One body's part; given back when dropped.
#[derive(Debug)]
pub struct Share {
    budget: Budget,
    id: u64,
    word: Arc<Notify>,
}

impl Share {
    /// Takes room for more bytes, at the cost of whoever holds most.
    ///
    /// # Errors
    /// That is this one, or it had to give its room up before.
    pub fn grow(&mut self, bytes: usize) -> Result<(), GivenUp> {
        let mut state = self.budget.lock();
        state.held.get_mut(&self.id).ok_or(GivenUp)?.bytes += bytes;
        state.used += bytes;
        while state.used > self.budget.limit {
            let Some(largest) = state.largest() else { break };
            state.give_up(largest);
            if largest == self.id {
                return Err(GivenUp);
            }
        }
        Ok(())
    }

    /// Resolves once the room was given to others.
    pub async fn given_up(&self) {
        loop {
            let told = self.word.notified();
            if !self.budget.lock().held.contains_key(&self.id) {
                return;
            }
            told.await;
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.lock().give_up(self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn peer(n: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, n])
    }

    #[tokio::test]
    async fn small_ones_come_through_beside_any_number_of_large_ones() {
        let budget = Budget::new(1000);
        let mut large: Vec<_> = (0..10).map(|_| budget.share(peer(1))).collect();
        let mut given_up = 0;
        for _ in 0..40 {
            for share in &mut large {
                given_up += usize::from(share.grow(10).is_err());
            }
            assert!(budget.used() <= 1000);
        }
        assert!(given_up > 0);
        for _ in 0..100 {
            let mut small = budget.share(peer(2));
            small.grow(50).unwrap();
            assert!(budget.used() <= 1000);
        }
        drop(large);
        assert_eq!(budget.used(), 0);
    }

    #[tokio::test]
    async fn who_loses_its_room_is_told() {
        let budget = Budget::new(100);
        let (mut one, mut two) = (budget.share(peer(1)), budget.share(peer(2)));
        one.grow(80).unwrap();
        let wait = tokio::time::timeout(Duration::from_secs(5), one.given_up());
        let (told, grown) = tokio::join!(wait, async { two.grow(40) });
        assert!(told.is_ok() && grown.is_ok());
        assert_eq!((one.grow(1), budget.used()), (Err(GivenUp), 40));
    }

    #[test]
    fn one_alone_gets_no_more_than_all() {
        let budget = Budget::new(100);
        let mut one = budget.share(peer(1));
        assert_eq!((one.grow(100), one.grow(1)), (Ok(()), Err(GivenUp)));
        assert_eq!(budget.used(), 0);
    }
}
